/** What a query selects, told by Drizzle's own description of it. */

import { Column, getViewSelectedFields, is, SQL, Subquery, Table, View } from "drizzle-orm";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import { isEncrypted } from "./encrypted_column.ts";

/** One selected field, and where it stands in a row of the result. */
export interface Field {
  readonly path: readonly string[];
  readonly field: object;
}

/** Selected fields by name: columns, expressions, tables, and groups of them. */
export type Fields = Readonly<Record<string, unknown>>;

/** The fields one after another, in the order in which they are sent. */
export function flattenFields(fields: Fields, path: readonly string[] = []): Field[] {
  return Object.keys(fields).flatMap((name) => {
    // Past the proxies of subqueries, which refuse to show expressions without an alias.
    const field = Object.getOwnPropertyDescriptor(fields, name)?.value as object;
    const here = [...path, name];
    if (isLeaf(field)) return [{ path: here, field }];
    return flattenFields(is(field, Table) ? columnsOf(field) : field as Fields, here);
  });
}

function isLeaf(field: unknown): boolean {
  return is(field, Column) || is(field, SQL) || is(field, SQL.Aliased) || is(field, Subquery);
}

const COLUMNS = Symbol.for("drizzle:Columns");

/** The columns of a table, of an alias of one, or of what a subquery selects. */
export function columnsOf(table: object): Readonly<Record<string, object>> {
  return (table as { [COLUMNS]?: Record<string, object> })[COLUMNS] ?? {};
}

/** The encrypted column that a field's values are read with, or `undefined`. */
export function encryptedColumnOf(field: unknown): object | undefined {
  // Before asking for its class: nothing else is asked of most fields.
  if (isEncrypted(field)) return is(field, Column) ? field : undefined;
  if (is(field, Column)) return undefined;
  if (is(field, SQL)) return decoderOf(field);
  if (is(field, SQL.Aliased)) return decoderOf(field.sql);
  if (is(field, Subquery)) {
    // A scalar subquery is read like the one field that it selects.
    const [only, ...others] = flattenFields(field._.selectedFields);
    return only && others.length === 0 ? encryptedColumnOf(only.field) : undefined;
  }
  return undefined;
}

function decoderOf(expression: SQL): object | undefined {
  const { decoder } = expression as unknown as { decoder: unknown };
  return isEncrypted(decoder) ? decoder : undefined;
}

const encryptedColumns = new WeakMap<object, object | false>();

/** An encrypted column of a table, view, CTE or subquery. */
export function encryptedColumnIn(source: object): object | undefined {
  let found = encryptedColumns.get(source);
  if (found === undefined) {
    found = findEncryptedColumn(source) ?? false;
    encryptedColumns.set(source, found);
  }
  return found || undefined;
}

function findEncryptedColumn(source: object): object | undefined {
  const fields = is(source, Subquery)
    ? source._.selectedFields
    : is(source, View)
    ? getViewSelectedFields(source)
    : columnsOf(source);
  return flattenFields(fields).map(({ field }) => encryptedColumnOf(field)).find(Boolean);
}

/** The names of the columns of a table's primary key; of a view or an undescribed subquery none. */
export function primaryKeyOf(table: object): string[] {
  if (!is(table, PgTable)) return [];
  const { columns, primaryKeys } = getTableConfig(table);
  const parts = primaryKeys[0]?.columns ?? columns.filter(({ primary }) => primary);
  return parts.map(({ name }) => name);
}
