/** Finds the tables in an application's schema modules. */

import { is } from "drizzle-orm";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import {
  hasEncryptedColumns,
  hasForeignEncryptedColumns,
} from "../pg/internal/columns/encrypted_table.ts";
import { Failure } from "./errors.ts";
import { loadModule } from "./load_module.ts";

/** A table as the operator knows it. */
export interface NamedTable {
  /** With its schema, if it has one. */
  readonly name: string;
  readonly table: PgTable;
}

/** The tables of an application. */
export interface ProjectTables {
  /** Those with encrypted columns: one at least. */
  readonly encrypted: readonly NamedTable[];
  readonly all: readonly NamedTable[];
}

/**
 * Loads the modules and looks for tables among their exports.
 *
 * @throws {Failure} One cannot be loaded, there is no such table, or one whose values could not be told apart
 * from damaged ones.
 */
export async function findTables(paths: readonly string[]): Promise<ProjectTables> {
  const found = new Set<PgTable>();
  for (const path of paths) {
    for (const exported of Object.values(await loadModule(path))) {
      // A default export may hold the tables, too.
      const values = is(exported, PgTable) ? [exported] : Object.values(exported ?? {});
      for (const value of values) if (is(value, PgTable)) found.add(value);
    }
  }
  const all = [...found].map((table) => ({ name: nameOf(table), table }));
  const loaded = paths.join(", ");
  const foreign = all.filter(({ table }) => hasForeignEncryptedColumns(table));
  if (foreign.length > 0) {
    throw new Failure(
      `Loading ${loaded}: the encrypted columns of ${
        foreign.map(({ name }) => name).join(", ")
      } are ` +
        "made by another version of this package, start the command from the directory where the " +
        "application has it installed, and let the application have one copy",
    );
  }
  const encrypted = all.filter(({ table }) => hasEncryptedColumns(table));
  if (encrypted.length === 0) {
    throw new Failure(`Loading ${loaded}: none of its exports is a table with encrypted columns`);
  }
  return { encrypted, all };
}

function nameOf(table: PgTable): string {
  const { name, schema } = getTableConfig(table);
  return schema === undefined ? name : `${schema}.${name}`;
}
