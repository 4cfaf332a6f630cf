/**
 * Statements that are built once and sent with new values each time. They have no name: behind a
 * connection pooler such as PgBouncer, another connection would not have the prepared statement.
 */

import type { SQL } from "drizzle-orm";
import { getTableConfig, type PgTable } from "drizzle-orm/pg-core";
import type { EncryptableDatabase } from "../../interfaces.ts";

/** Values by the names of their placeholders. */
export type Values = Readonly<Record<string, unknown>>;

/** A row of a result, by the names in the statement. */
export type ResultRow = Readonly<Record<string, unknown>>;

// Common to Drizzle's classes in all drivers and versions; not in Drizzle's public types.

interface Query {
  readonly sql: string;
  readonly params: unknown[];
}

interface Prepared {
  execute(values: Values): Promise<unknown>;
}

interface Internals {
  readonly dialect: { sqlToQuery(statement: SQL): Query };
  readonly session: {
    prepareQuery(query: Query, ...rest: unknown[]): Prepared;
    /** Drizzle 1.0 only. */
    objects?: unknown;
    cache?: { onMutate(mutation: { tables: string[] }): Promise<void> };
  };
}

const internalsOf = (db: EncryptableDatabase) => db as unknown as Internals;

/** The text that Drizzle writes for a database. */
export function render(db: EncryptableDatabase, part: SQL): string {
  return internalsOf(db).dialect.sqlToQuery(part).sql;
}

/** A statement of a storage. */
export class Statement {
  readonly #query: Query;
  readonly #prepared = new WeakMap<object, Prepared>();

  /**
   * @param db A database with the driver and casing of those that will run it.
   * @param statement The statement, with placeholders for its values.
   */
  constructor(db: EncryptableDatabase, statement: SQL) {
    this.#query = internalsOf(db).dialect.sqlToQuery(statement);
  }

  /**
   * Sends the statement.
   *
   * @param db The undecorated database or transaction.
   * @param values The values of all placeholders.
   */
  async run(db: EncryptableDatabase, values: Values): Promise<readonly ResultRow[]> {
    let prepared = this.#prepared.get(db);
    if (!prepared) {
      const { session } = internalsOf(db);
      // Arguments: no columns to map, no name; in 1.0: raw rows, no name.
      prepared = session.objects === undefined
        ? session.prepareQuery(this.#query, undefined, undefined, false)
        : session.prepareQuery(this.#query, "raw", false);
      this.#prepared.set(db, prepared);
    }
    const result = await prepared.execute(values) as ResultRow[] | { rows: ResultRow[] };
    return Array.isArray(result) ? result : result.rows;
  }
}

/**
 * Invalidates tables in Drizzle's cache, if there is one, like Drizzle's builders do.
 *
 * @param db The database.
 * @param tables Results of {@linkcode nameForCache}.
 */
export async function invalidateCache(
  db: EncryptableDatabase,
  tables: readonly string[],
): Promise<void> {
  await internalsOf(db).session.cache?.onMutate({ tables: [...tables] });
}

/** A table's name in Drizzle's caches. */
export function nameForCache(table: PgTable): string {
  const { schema, name } = getTableConfig(table);
  return schema === undefined ? name : `${schema}.${name}`;
}
