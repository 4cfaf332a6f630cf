/** What a query selects, told by Drizzle's own description of it. */

import { Column, getTableName, is, SQL, Subquery, Table } from "drizzle-orm";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import {
  describeColumn,
  haveSameKey,
  isEncrypted,
  MEANS_NOTHING,
  nameOf,
  refuse,
} from "./encrypted_column.ts";

/** One selected field, and where it stands in a row of the result. */
export interface Field {
  readonly path: readonly string[];
  readonly field: object;
}

/** Selected fields by name: columns, expressions, tables, and groups of them. */
export type Fields = Readonly<Record<string, unknown>>;

/** What a SELECT selects, in whichever form its builder has it. */
export interface Selection {
  readonly fields?: Fields;
  readonly fieldsFlat?: readonly Field[];
  readonly setOperators?: readonly SetOperator[];
}

interface SetOperator {
  readonly type: string;
  readonly isAll: boolean;
  readonly rightSelect: Selected;
}

/** A builder of a SELECT. */
export interface Selected {
  readonly config?: Selection;
  getSelectedFields?(): Fields;
}

/** The selected fields one after another. */
export function fieldsOf({ fields, fieldsFlat }: Selection): readonly Field[] {
  return fieldsFlat ?? flattenFields(fields ?? {});
}

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

/** Drizzle's symbol for the columns of a table, of an alias of one, or of what a subquery selects. */
export const COLUMNS = Symbol.for("drizzle:Columns");

/** These columns. */
export function columnsOf(table: object): Readonly<Record<string, object>> {
  return (table as { [COLUMNS]?: Record<string, object> })[COLUMNS] ?? {};
}

type EncryptedColumns = readonly (readonly [property: string, column: Column])[];

const encryptedColumns = new WeakMap<object, EncryptedColumns>();

/** The encrypted ones of them. */
export function encryptedColumnsOf(table: object): EncryptedColumns {
  const columns = columnsOf(table);
  let found = encryptedColumns.get(columns);
  if (!found) {
    found = Object.entries(columns).filter(([, column]) => isEncrypted(column)) as EncryptedColumns;
    encryptedColumns.set(columns, found);
  }
  return found;
}

/** The encrypted column that a field's values are read with, or `undefined`. */
export function encryptedColumnOf(field: unknown): object | undefined {
  // Before asking for its class: nothing else is asked of most fields.
  if (isEncrypted(field)) return is(field, Column) ? field : undefined;
  if (!is(field, Subquery)) return undefined;
  // A scalar subquery is read like the one field that it selects.
  const [only, ...others] = flattenFields(field._.selectedFields);
  return only && others.length === 0 ? encryptedColumnOf(only.field) : undefined;
}

/** The encrypted columns among fields. */
export function encryptedColumnsIn(fields: readonly Pick<Field, "field">[] = []): object[] {
  return fields.flatMap(({ field }) => encryptedColumnOf(field) ?? []);
}

/** Refuses what would compare ciphertexts: both sides of a set operation are read with the columns of the first. */
export function assertSameKeys(
  left: readonly Field[],
  { type, isAll, rightSelect }: SetOperator,
): void {
  const right = fieldsOf(rightSelect.config ?? { fields: rightSelect.getSelectedFields?.() ?? {} });
  const operation = `${type.toUpperCase()}${isAll ? " ALL" : ""}`;
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const one = encryptedColumnOf(left[index]?.field);
    const other = encryptedColumnOf(right[index]?.field);
    const column = one ?? other;
    if (!column || (operation === "UNION ALL" && haveSameKey(one, other))) continue;
    refuse(
      operation === "UNION ALL"
        ? `puts ${
          describeColumn(column)
        } beside what is not encrypted under its key by ${operation}`
        : `compares ${describeColumn(column)} by ${operation}, ${MEANS_NOTHING}`,
    );
  }
}

/**
 * Refuses DISTINCT where equal values would count as different ones. With the primary key among what is
 * selected they stand in the same row anyway.
 */
export function assertDistinct(selected: readonly Field[], sources: readonly unknown[]): void {
  // What is selected there may be of several tables, whatever the names.
  const subqueries = sources.flatMap((source) => is(source, Subquery) ? source._.alias : []);
  for (const { field } of selected) {
    const column = encryptedColumnOf(field);
    if (!column) continue;
    const ofSubquery = is(field, Column) && subqueries.includes(getTableName(field.table));
    if (is(field, Column) && !ofSubquery && hasPrimaryKeyOf(field, selected)) continue;
    refuse(
      `compares ${
        describeColumn(column)
      } by DISTINCT, whose equal values are stored differently; ` +
        (ofSubquery
          ? "of a subquery no primary key is known, make it distinct within"
          : "select the primary key of its table, too"),
    );
  }
}

function hasPrimaryKeyOf({ table }: Column, selected: readonly Field[]): boolean {
  if (!is(table, PgTable)) return false;
  const { columns, primaryKeys } = getTableConfig(table);
  const key = primaryKeys[0]?.columns ?? columns.filter(({ primary }) => primary);
  const isSelected = (part: Column) =>
    selected.some(({ field }) =>
      is(field, Column) && getTableName(field.table) === getTableName(table) &&
      nameOf(field) === nameOf(part)
    );
  return key.length > 0 && key.every(isSelected);
}
