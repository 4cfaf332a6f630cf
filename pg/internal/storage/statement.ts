/**
 * Statements that are built once and sent with new values each time, never under a name: behind a connection pooler
 * such as PgBouncer another connection would not know it.
 */

import type { SQL } from "drizzle-orm";
import { getTableConfig, type PgTable } from "drizzle-orm/pg-core";
import type { EncryptableDatabase } from "../../interfaces.ts";

/** Values by the names of their placeholders. */
export type Values = Readonly<Record<string, unknown>>;

/** A row of a statement's result, by the names that it has in the statement. */
export type ResultRow = Readonly<Record<string, unknown>>;

// What Drizzle's classes have in common across drivers and versions; none of it is in Drizzle's public types.

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
    /** Drizzle 1.0 alone. */
    objects?: unknown;
    cache?: { onMutate(mutation: { tables: string[] }): Promise<void> };
  };
}

const internalsOf = (db: EncryptableDatabase) => db as unknown as Internals;

/** The statement's text, as Drizzle writes it for a database. */
export function render(db: EncryptableDatabase, part: SQL): string {
  return internalsOf(db).dialect.sqlToQuery(part).sql;
}

/** A statement of a storage. */
export class Statement {
  readonly #query: Query;
  readonly #prepared = new WeakMap<object, Prepared>();

  /**
   * @param db A database of the same driver and casing as those that it will be sent to.
   * @param statement The statement, its values placeholders.
   */
  constructor(db: EncryptableDatabase, statement: SQL) {
    this.#query = internalsOf(db).dialect.sqlToQuery(statement);
  }

  /**
   * Sends it.
   *
   * @param db The undecorated database or transaction.
   * @param values Values of all placeholders.
   */
  async run(db: EncryptableDatabase, values: Values): Promise<readonly ResultRow[]> {
    let prepared = this.#prepared.get(db);
    if (!prepared) {
      const { session } = internalsOf(db);
      // The arguments: no columns to map to, no name; of 1.0: rows as they come, no name.
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
 * Tells Drizzle's cache, if there is one, that rows of tables have changed, as Drizzle's own builders do.
 *
 * @param db The database.
 * @param tables What {@linkcode nameForCache} returned.
 */
export async function invalidateCache(
  db: EncryptableDatabase,
  tables: readonly string[],
): Promise<void> {
  await internalsOf(db).session.cache?.onMutate({ tables: [...tables] });
}

/** A table's name as Drizzle's caches know it. */
export function nameForCache(table: PgTable): string {
  const { schema, name } = getTableConfig(table);
  return schema === undefined ? name : `${schema}.${name}`;
}
