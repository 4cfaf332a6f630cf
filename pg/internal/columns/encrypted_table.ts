/** Describes a table for changing keys: its primary key and its encrypted columns. */

import { getTableColumns, is } from "drizzle-orm";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import type { ColumnKey } from "./column_key.ts";
import { isOfAnotherVersion, keyOf } from "./encrypted_column.ts";

/** A column of any table. */
export type Column = ReturnType<typeof getTableColumns<PgTable>>[string];

/** An encrypted column. */
export interface EncryptedColumn {
  /** Its name in TypeScript. */
  readonly property: string;
  readonly column: Column;
  readonly key: Required<ColumnKey>;
}

/** A table with at least one encrypted column. */
export interface EncryptedTable {
  readonly table: PgTable;
  /** The columns of the primary key in its order, by their names in TypeScript. */
  readonly primaryKey: readonly (readonly [property: string, column: Column])[];
  readonly encrypted: readonly EncryptedColumn[];
}

/**
 * Describes a table.
 *
 * @param attempt The purpose, with which messages begin.
 * @throws {TypeError} When the value is not a table, or has no primary key, no encrypted column, an
 *   encrypted column of another version of this package, or a key without `isCurrent`.
 */
export function describeTable(attempt: string, table: PgTable): EncryptedTable {
  if (!is(table, PgTable)) throw new TypeError(`${attempt}: table is not a PostgreSQL table`);
  const { name } = getTableConfig(table);
  const found = `the table ${JSON.stringify(name)} has`;
  const encrypted: EncryptedColumn[] = [];
  for (const [property, column] of Object.entries(getTableColumns(table))) {
    const key = keyOf(column);
    if (!key) {
      if (!isOfAnotherVersion(column)) continue;
      throw new TypeError(
        `${attempt}: column ${JSON.stringify(property)} of ${
          JSON.stringify(name)
        } is encrypted by another ` +
          "version of this package, take both from the same one",
      );
    }
    if (!canTellItsOwn(key)) {
      throw new TypeError(
        `${attempt}: the key of column ${JSON.stringify(property)} has no method isCurrent, ` +
          "so it cannot tell which values are written under it",
      );
    }
    encrypted.push({ property, column, key });
  }
  if (encrypted.length === 0) throw new TypeError(`${attempt}: ${found} no encrypted column`);
  const primaryKey = primaryKeyOf(table);
  if (primaryKey.length === 0) throw new TypeError(`${attempt}: ${found} no primary key`);
  return { table, primaryKey, encrypted };
}

/** Whether a table has encrypted columns. */
export function hasEncryptedColumns(table: PgTable): boolean {
  return Object.values(getTableColumns(table)).some(keyOf);
}

/** Whether a table has columns encrypted by another version of this package. */
export function hasForeignEncryptedColumns(table: PgTable): boolean {
  return Object.values(getTableColumns(table)).some(isOfAnotherVersion);
}

function canTellItsOwn(key: ColumnKey): key is ColumnKey & Required<ColumnKey> {
  return typeof key.isCurrent === "function";
}

function primaryKeyOf(table: PgTable): (readonly [string, Column])[] {
  const columns = Object.entries(getTableColumns(table));
  const [composite] = getTableConfig(table).primaryKeys;
  if (!composite) return columns.filter(([, column]) => column.primary);
  // Its columns are copies of the table's columns.
  return composite.columns.flatMap((part) => {
    const found = columns.find(([, { name }]) => name === part.name);
    return found ? [found] : [];
  });
}
