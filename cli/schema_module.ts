/** Finds the tables with encrypted columns in an application's schema module. */

import { is } from "drizzle-orm";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import { hasEncryptedColumns, hasForeignEncryptedColumns } from "../pg/internal/encrypted_table.ts";
import { Failure } from "./failure.ts";
import { loadModule } from "./load_module.ts";

/** A table as the operator knows it. */
export interface NamedTable {
  /** With its schema, if it has one. */
  readonly name: string;
  readonly table: PgTable;
}

/**
 * Loads the modules and looks for tables among their exports.
 *
 * @param paths Of the modules, relative to the working directory.
 * @throws {Failure} One cannot be loaded, there is no such table, or one whose values could not be told apart
 * from damaged ones.
 */
export async function findTables(paths: readonly string[]): Promise<NamedTable[]> {
  const tables = new Set<PgTable>();
  for (const path of paths) {
    for (const exported of Object.values(await loadModule(path))) {
      // A default export may hold the tables, too.
      for (const value of [exported, ...valuesOf(exported)]) {
        if (is(value, PgTable)) tables.add(value);
      }
    }
  }
  const loaded = paths.join(", ");
  const foreign = [...tables].filter(hasForeignEncryptedColumns);
  if (foreign.length > 0) {
    throw new Failure(
      `Loading ${loaded}: the encrypted columns of ${foreign.map(nameOf).join(", ")} are made by ` +
        "another copy of this package, start the command from the directory where the application " +
        "has it installed, and let the application have one copy",
    );
  }
  const encrypted = [...tables].filter(hasEncryptedColumns);
  if (encrypted.length === 0) {
    throw new Failure(`Loading ${loaded}: none of its exports is a table with encrypted columns`);
  }
  return encrypted.map((table) => ({ name: nameOf(table), table }));
}

function nameOf(table: PgTable): string {
  const { name, schema } = getTableConfig(table);
  return schema === undefined ? name : `${schema}.${name}`;
}

function valuesOf(value: unknown): unknown[] {
  return typeof value === "object" && value !== null && !is(value, PgTable)
    ? Object.values(value)
    : [];
}
