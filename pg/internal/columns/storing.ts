/** What statements store in encrypted columns. */

import { Column, is, Name, Param, SQL, StringChunk } from "drizzle-orm";
import {
  describeColumn,
  haveSameKey,
  isEncrypted,
  keyOf,
  MEANS_NOTHING,
  nameOf,
  readable,
  refuse,
  write,
} from "./encrypted_column.ts";
import type { Dialect } from "./encrypting_dialect.ts";
import { storingEncoder } from "./pending_ciphertext.ts";
import { textOf } from "./permits.ts";
import {
  COLUMNS,
  columnsOf,
  encryptedColumnOf,
  encryptedColumnsOf,
  type Fields,
  flattenFields,
  type Selected,
} from "./selection.ts";

const views = new WeakMap<object, object>();

/** A view of a table for statements that write it: its encrypted columns can be named, and make no values themselves. */
export function storing(table: object): object {
  const encrypted = encryptedColumnsOf(table);
  if (encrypted.length === 0) return table;
  let view = views.get(table);
  if (!view) {
    const columns: Record<string, object> = { ...columnsOf(table) };
    const none = { value: undefined };
    for (const [property, column] of encrypted) {
      columns[property] = Object.create(readable(column), { defaultFn: none, onUpdateFn: none });
    }
    views.set(table, view = Object.create(table, { [COLUMNS]: { value: columns } }) as object);
  }
  return view;
}

/** The values of rows as an INSERT writes them. */
export function storedRows(table: object, rows: readonly Fields[]): readonly Fields[] {
  const encrypted = encryptedColumnsOf(table);
  if (encrypted.length === 0) return rows;
  const properties = Object.keys(columnsOf(table));
  return rows.map((row) => {
    const prepared: Record<string, unknown> = {};
    for (const property of properties) prepared[property] = row[property];
    for (const [property, column] of encrypted) {
      const make = column.defaultFn ?? (column.default ? undefined : column.onUpdateFn);
      prepared[property] = stored(column, row[property]) ?? stored(column, make?.());
    }
    return prepared;
  });
}

/** The values as SET writes them. */
export function storedSet(table: object, set: Fields, conflicting?: Dialect): Fields {
  const prepared: Record<string, unknown> = { ...set };
  for (const [property, column] of encryptedColumnsOf(table)) {
    prepared[property] = stored(column, set[property], conflicting) ??
      stored(column, column.onUpdateFn?.());
  }
  return prepared;
}

/**
 * What is written for a value that is stored in an encrypted column.
 *
 * @param conflicting The dialect, where `excluded` is the row that was proposed for insertion.
 */
function stored(column: Column, given: unknown, conflicting?: Dialect): unknown {
  // Drizzle 0.x hands values over as parameters, 1.0 as they are.
  const value = is(given, Param) ? given.value : given;
  if (value === undefined) return undefined;
  if (!is(value, Column) && !is(value, SQL)) {
    const param = new Param(value, storingEncoder(keyOf(readable(column))!));
    return is(given, Param) ? param : new SQL([param]);
  }
  const only = is(value, SQL) ? onlyColumn(value) : value;
  if (only && haveSameKey(only, column)) return new SQL([readable(only)]);
  if (conflicting && is(value, SQL) && isExcluded(value, nameIn(conflicting, column))) return value;
  return refuse(
    `gives ${
      describeColumn(column)
    } something that is neither a string, null, a placeholder nor a ` +
      "column encrypted under the same key",
  );
}

/** The column that an expression consists of. */
function onlyColumn({ queryChunks }: SQL): Column | undefined {
  const [only, ...others] = queryChunks.filter((chunk) =>
    chunk !== undefined && !(is(chunk, StringChunk) && textOf(chunk) === "")
  );
  return others.length === 0 && is(only, Column) ? only : undefined;
}

/** Drizzle's idiom for the value that was proposed for insertion: `` sql`excluded.secret` ``. */
function isExcluded({ queryChunks }: SQL, name: string): boolean {
  let text = "";
  for (const chunk of queryChunks) {
    if (is(chunk, StringChunk)) text += textOf(chunk);
    else if (is(chunk, Name)) text += `"${chunk.value}"`;
    else if (chunk !== undefined) return false;
  }
  return text === `excluded.${name}` || text === `excluded."${name}"`;
}

const nameIn = ({ casing }: Dialect, column: object): string =>
  write("", () => casing?.getColumnCasing(column), { raw: true }) ?? nameOf(column);

/** Only the escaped names of a conflict's target reach the dialect, as one text. */
export function assertConflictTarget(dialect: Dialect, table: object, onConflict?: SQL): void {
  const target = onConflict?.queryChunks.find((chunk) => is(chunk, SQL));
  if (!is(target, SQL)) return;
  const texts = target.queryChunks.map((chunk) => is(chunk, StringChunk) ? textOf(chunk) : "");
  for (const [, column] of encryptedColumnsOf(table)) {
    if (texts.join("").split(",").includes(dialect.escapeName(nameIn(dialect, column)))) {
      refuse(`has ${describeColumn(column)} as the target of ON CONFLICT, ${MEANS_NOTHING}`);
    }
  }
}

/** INSERT … SELECT stores what is selected as it is. */
export function assertSourceOfInsert(table: object, select: Selected): void {
  const [[, encrypted] = []] = encryptedColumnsOf(table);
  if (is(select, SQL) && encrypted) {
    refuse(
      `stores the result of a raw statement in ${describeColumn(encrypted)}; ` +
        "select with Drizzle's builder, or write all of it with db.execute",
    );
  }
  const { fields = {}, setOperators = [] } = select.config ?? {};
  for (const { path: [property], field } of flattenFields(fields)) {
    const from = encryptedColumnOf(field);
    const to = columnsOf(table)[property!];
    if ((from || isEncrypted(to)) && !haveSameKey(from, to)) {
      refuse(
        `gives ${
          describeColumn(isEncrypted(to) ? to : from!)
        } and what is not a column encrypted ` +
          "under its key one value",
      );
    }
  }
  for (const { rightSelect } of setOperators) assertSourceOfInsert(table, rightSelect);
}
