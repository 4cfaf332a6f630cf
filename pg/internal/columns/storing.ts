/** Stand-ins for what statements store: the encrypted columns that they write, and the values of these. */

import { type Column, Param, SQL, sql } from "drizzle-orm";
import {
  describeColumn,
  haveSameKey,
  isEncrypted,
  keyOf,
  MEANS_NOTHING,
  readable,
  refuse,
  viewed,
} from "./encrypted_column.ts";
import { differingByPlace, encryptedColumnsOf, type Scope } from "./names.ts";
import { type Builder, COLUMNS, columnsOf, type Fields, flattenFields, kindOf } from "./parts.ts";
import { storingEncoder } from "./pending_ciphertext.ts";
import { permitPart, wordsOf } from "./permits.ts";

/** A view of a table for statements that write it: its encrypted columns can be named, and make no values themselves. */
export function storing<T extends object>(table: T): T {
  if (encryptedColumnsOf(table).length === 0) return table;
  const none = { value: undefined };
  const named = (column: object) =>
    Object.create(readable(column), { defaultFn: none, onUpdateFn: none });
  return Object.create(table, { [COLUMNS]: { value: viewed(columnsOf(table), named) } });
}

/** The values of rows as an INSERT writes them; into other tables they may be many, and are not looked at. */
export function storedRows(
  table: object,
  rows: readonly Fields[],
  scope: Scope,
): readonly Fields[] {
  const encrypted = encryptedColumnsOf(table);
  return encrypted.length === 0 ? rows : rows.map((row) => {
    const values: Record<string, unknown> = {};
    for (const property in row) values[property] = permitPart(row[property], scope);
    for (const [property, column] of encrypted) {
      const make = column.defaultFn ?? (column.default ? undefined : column.onUpdateFn);
      values[property] = stored(column, row[property], scope) ?? made(column, make, scope);
    }
    return values;
  });
}

/** The values as SET writes them, there where `excluded` may be the row that was proposed for insertion. */
export function storedSet(table: object, set: Fields, scope: Scope, conflicting: boolean): Fields {
  const values: Record<string, unknown> = {};
  for (const [property, column] of Object.entries(columnsOf(table))) {
    values[property] = isEncrypted(column)
      ? stored(column, set[property], scope, conflicting) ?? made(column, column.onUpdateFn, scope)
      : permitPart(set[property], scope);
  }
  return values;
}

/** What is written for a value that a column makes itself. */
function made(column: Column, make: (() => unknown) | undefined, scope: Scope): unknown {
  return make && (stored(column, make(), scope) ??
    refuse(`gives ${describeColumn(column)} what its $default or $onUpdate made: undefined`));
}

/** What is written for a value that is stored in an encrypted column. */
function stored(column: Column, given: unknown, scope: Scope, conflicting = false): unknown {
  // Drizzle 0.x hands values over as parameters, 1.0 as they are.
  const value = kindOf(given) === "param" ? (given as Param).value : given;
  if (value === undefined) return undefined;
  const isExpression = kindOf(value) === "sql";
  if (kindOf(value) !== "column" && !isExpression) {
    const param = new Param(value, storingEncoder(keyOf(readable(column))!));
    return value === given ? new SQL([param]) : param;
  }
  const only = isExpression ? onlyPart(value as SQL) : value;
  if (haveSameKey(only, column)) {
    scope.mention(only as Column, false, true);
    return new SQL([readable(only as Column)]);
  }
  if (conflicting && wordsOf([value]) === `excluded.${wordFor(column, scope)}`) return value;
  return refuse(
    `gives ${describeColumn(column)} something that is neither a string, null, a placeholder ` +
      "nor a column encrypted under the same key",
  );
}

/** What an expression consists of, if it is one thing. */
function onlyPart({ queryChunks }: SQL): unknown {
  const [only, ...others] = queryChunks.filter((chunk) => wordsOf([chunk]) !== "");
  return others.length === 0 ? only : undefined;
}

const wordFor = (column: object, { naming }: Scope) =>
  wordsOf([sql.identifier(naming.nameIn(column))]);

/** Only the escaped names of a conflict's target reach the dialect, as one text. */
export function assertConflictTarget(
  table: object,
  onConflict: SQL | undefined,
  scope: Scope,
): void {
  const target = onConflict?.queryChunks.find((chunk) => kindOf(chunk) === "sql");
  const names = wordsOf([target]).split(",");
  for (const [, column] of encryptedColumnsOf(table)) {
    if (names.includes(wordFor(column, scope))) {
      refuse(`has ${describeColumn(column)} as the target of ON CONFLICT, ${MEANS_NOTHING}`);
    }
  }
}

/** INSERT … SELECT stores what is selected as it is. */
export function assertSourceOfInsert(table: object, select: Builder): void {
  const [[, encrypted] = []] = encryptedColumnsOf(table);
  if (kindOf(select) === "sql" && encrypted) {
    refuse(
      `stores the result of a raw statement in ${describeColumn(encrypted)}; ` +
        "select with Drizzle's builder, or write all of it with db.execute",
    );
  }
  const { fields = {}, setOperators = [] } = select.config ?? {};
  const targets = Object.keys(fields).map((property) => ({ field: columnsOf(table)[property]! }));
  const column = differingByPlace(targets, flattenFields(fields));
  if (column) {
    refuse(
      `gives ${describeColumn(column)} and what is not a column encrypted under its key one value`,
    );
  }
  for (const { rightSelect } of setOperators) assertSourceOfInsert(table, rightSelect);
}
