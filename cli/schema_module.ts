/** Finds the tables with encrypted columns in an application's schema module. */

import { is } from "drizzle-orm";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { hasEncryptedColumns, hasForeignEncryptedColumns } from "../pg/internal/encrypted_table.ts";
import { describeError, Failure } from "./failure.ts";

/** A table as the operator knows it. */
export interface NamedTable {
  /** With its schema, if it has one. */
  readonly name: string;
  readonly table: PgTable;
}

/**
 * Loads the module and looks for tables among its exports.
 *
 * @param path Of the module, relative to the working directory.
 * @throws {Failure} It cannot be loaded, has no such table, or one whose values could not be told apart from
 * damaged ones.
 */
export async function findTables(path: string): Promise<NamedTable[]> {
  const module = await load(path);
  const tables = new Set<PgTable>();
  for (const exported of Object.values(module)) {
    // A default export may hold the tables, too.
    for (const value of [exported, ...valuesOf(exported)]) {
      if (is(value, PgTable)) tables.add(value);
    }
  }
  const foreign = [...tables].filter(hasForeignEncryptedColumns);
  if (foreign.length > 0) {
    throw new Failure(
      `Loading ${path}: the encrypted columns of ${foreign.map(nameOf).join(", ")} are made by ` +
        "another copy of this package, start the command from the directory where the application " +
        "has it installed, and let the application have one copy",
    );
  }
  const encrypted = [...tables].filter(hasEncryptedColumns);
  if (encrypted.length === 0) {
    throw new Failure(`Loading ${path}: none of its exports is a table with encrypted columns`);
  }
  return encrypted.map((table) => ({ name: nameOf(table), table }));
}

function nameOf(table: PgTable): string {
  const { name, schema } = getTableConfig(table);
  return schema === undefined ? name : `${schema}.${name}`;
}

async function load(path: string): Promise<Record<string, unknown>> {
  const url = pathToFileURL(resolve(process.cwd(), path)).href;
  try {
    return await import(url);
  } catch (error) {
    if (
      (error as { code?: unknown }).code === "ERR_UNKNOWN_FILE_EXTENSION" &&
      /\.[mc]?tsx?$/.test(path)
    ) {
      throw new Failure(
        `Loading ${path}: Node ${process.versions.node} cannot load TypeScript; use Node 22.18 or later, ` +
          "Bun or Deno, or a loader (NODE_OPTIONS='--import tsx'), or compile it to JavaScript",
      );
    }
    throw new Failure(`Loading ${path}: ${describeError(error)}`);
  }
}

function valuesOf(value: unknown): unknown[] {
  return typeof value === "object" && value !== null && !is(value, PgTable)
    ? Object.values(value)
    : [];
}
