/** Stand-ins for what statements store: the encrypted columns that they write, and the values of these. */

import { type Column, Param, SQL, sql } from "drizzle-orm";
import {
  describeColumn,
  haveSameKey,
  isEncrypted,
  keyOf,
  MEANS_NOTHING,
} from "./encrypted_column.ts";
import { readable, refuse, viewed } from "./encrypted_column.ts";
import { encryptedColumnsOf, type Scope } from "./names.ts";
import { COLUMNS, columnsOf, type Fields, kindOf, mapChanged } from "./parts.ts";
import { storingEncoder } from "./pending_ciphertext.ts";
import { permit, permitPart, wordsOf } from "./permits.ts";

/** A view of a table for statements that write it: its encrypted columns can be named, and make no values themselves. */
export function storing<T extends object>(table: T): T {
  if (encryptedColumnsOf(table).length === 0) return table;
  const none = { value: undefined };
  const named = (column: object) =>
    Object.create(readable(column), { defaultFn: none, onUpdateFn: none });
  return Object.create(table, { [COLUMNS]: { value: viewed(columnsOf(table), named) } });
}

/** The values of rows as an INSERT writes them. There may be many: those that are no expressions are not looked at. */
export function storedRows(table: object, rows: readonly Fields[], scope: Scope) {
  const encrypted = encryptedColumnsOf(table);
  return mapChanged(rows, (row) => {
    let values: Record<string, unknown> = row;
    const put = (property: string, value: unknown) => {
      if (value === row[property]) return;
      if (values === row) values = { ...row };
      values[property] = value;
    };
    for (const property in row) {
      const value = row[property];
      if (kindOf(value) === "sql") put(property, permit(value as SQL, scope));
    }
    for (const [property, column] of encrypted) {
      const make = column.defaultFn ?? (column.default ? undefined : column.onUpdateFn);
      put(property, stored(column, row[property], make, scope));
    }
    return values;
  });
}

/** The values as SET writes them. */
export function storedSet(table: object, set: Fields, scope: Scope): Fields {
  const values: Record<string, unknown> = {};
  for (const [property, column] of Object.entries(columnsOf(table))) {
    values[property] = isEncrypted(column)
      ? stored(column, set[property], column.onUpdateFn, scope)
      : permitPart(set[property], scope);
  }
  return values;
}

/** What is written for a value that is stored in an encrypted column, or that the column makes itself. */
function stored(column: Column, given: unknown, make: (() => unknown) | undefined, scope: Scope) {
  // Drizzle 0.x hands values over as parameters, 1.0 as they are.
  let value = kindOf(given) === "param" ? (given as Param).value : given;
  if (value === undefined) {
    if (!make) return undefined;
    value = make();
    if (value === undefined) {
      refuse(`gives ${describeColumn(column)} what its $default or $onUpdate made: undefined`);
    }
  }
  const kind = kindOf(value);
  if (kind !== "column" && kind !== "sql") {
    return new SQL([new Param(value, storingEncoder(keyOf(readable(column))!))]);
  }
  const only = kind === "sql" ? onlyPart(value as SQL) : value;
  if (haveSameKey(only, column)) {
    scope.mention(only as Column, false, true);
    return new SQL([readable(only as Column)]);
  }
  // In ON CONFLICT, the row that was proposed for insertion.
  const isInsert = scope.verb === "INSERT";
  if (isInsert && wordsOf([value]) === `excluded.${wordFor(column, scope)}`) return value;
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

const wordFor = (column: object, { nameIn }: Scope) => wordsOf([sql.identifier(nameIn(column))]);

/** Only the escaped names of a conflict's target reach the dialect, as one text. */
export function assertConflictTarget(table: object, onConflict: SQL | undefined, scope: Scope) {
  const target = onConflict?.queryChunks.find((chunk) => kindOf(chunk) === "sql");
  const names = wordsOf([target]).split(",");
  for (const [, column] of encryptedColumnsOf(table)) {
    if (names.includes(wordFor(column, scope))) {
      refuse(`has ${describeColumn(column)} as the target of ON CONFLICT, ${MEANS_NOTHING}`);
    }
  }
}
