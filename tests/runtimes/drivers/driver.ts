/**
 * What a runner needs of a driver.
 *
 * @module
 */
// @ts-types="@types/pg"
import pg from "pg";
import type { TestContext } from "../../suites/suite.ts";

/** A context, and how to end it. */
export interface Connection extends TestContext {
  close(): Promise<void>;
}

/** Where to connect to. */
export interface Place {
  /** URL of the database. */
  readonly url: string;
  /** URL of what stands between the driver and the database: a proxy, a pooler. */
  readonly through?: string;
}

/** Opens a driver on an empty database. */
export type Connect = (place: Place) => Promise<Connection>;

/** Runs SQL past Drizzle, this library and the driver under test. */
export async function runSql(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const result = await client.query(statement);
    // Several statements have several results.
    return (Array.isArray(result) ? result.at(-1) : result).rows;
  } finally {
    await client.end();
  }
}

/** Empties a database. */
export async function emptyDatabase(url: string): Promise<void> {
  await runSql(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
}
