/** Finds the tables in an application's schema modules. */

import { is } from "drizzle-orm";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import {
  hasEncryptedColumns,
  hasForeignEncryptedColumns,
} from "../pg/internal/columns/encrypted_table.ts";
import { Failure } from "./errors.ts";
import { loadModule } from "./load_module.ts";

/** A table with its name. */
export interface NamedTable {
  /** Includes the schema, if there is one. */
  readonly name: string;
  readonly table: PgTable;
}

/** An application's tables. */
export interface ProjectTables {
  /** The tables with encrypted columns: at least one. */
  readonly encrypted: readonly NamedTable[];
  readonly all: readonly NamedTable[];
}

/**
 * Loads modules and collects the tables among their exports.
 *
 * @throws {Failure} When a module cannot be loaded, no table has encrypted columns, or another
 *   version of this package made one.
 */
export async function findTables(paths: readonly string[]): Promise<ProjectTables> {
  const found = new Set<PgTable>();
  for (const path of paths) {
    for (const exported of Object.values(await loadModule(path))) {
      // A default export may contain the tables.
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
        "made by another version of this package: start the command from the directory where the " +
        "application has it installed, and install one copy only",
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
