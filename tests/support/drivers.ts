/** Runs a suite of database tests on every driver. */

import { PGlite } from "@electric-sql/pglite";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
// @ts-types="@types/pg"
import pg from "pg";
import postgres from "postgres";
import type { Case, DrizzleOptions, TestContext } from "../suites/suite.ts";
import { openSession } from "../suites/session.ts";
import { createDatabase } from "./postgres.ts";

/** A context, and what has to be closed after it. */
export interface DriverContext extends TestContext, AsyncDisposable {}

/** Opens a context on a fresh database, or an emptied one. */
export type OpenContext = () => Promise<DriverContext>;

async function openPostgresJs(): Promise<DriverContext> {
  const database = await createDatabase();
  const client = postgres(database.url, { max: 4, onnotice: () => {} });
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) =>
      drizzlePostgresJs(client, options) as unknown as TDatabase,
    // A client of its own: Drizzle changes the one it gets.
    sql: (statement) => queryWithNodePostgres(database.url, statement),
    session: () => openSession(database.url),
    async [Symbol.asyncDispose]() {
      await client.end();
      await database.drop();
    },
  };
}

async function openNodePostgres(): Promise<DriverContext> {
  const database = await createDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) =>
      drizzleNodePostgres(pool, options) as unknown as TDatabase,
    sql: (statement) => queryWithNodePostgres(database.url, statement),
    session: () => openSession(database.url),
    async [Symbol.asyncDispose]() {
      await pool.end();
      await database.drop();
    },
  };
}

async function queryWithNodePostgres(
  connectionString: string,
  statement: string,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

// Starting PGlite takes seconds, so its contexts share one, emptied in between.
let pglite: Promise<PGlite> | undefined;

async function openPglite(): Promise<DriverContext> {
  const client = await (pglite ??= PGlite.create());
  await client.exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) =>
      drizzlePglite(client, options) as unknown as TDatabase,
    sql: async (statement) => (await client.exec(statement)).at(-1)?.rows ?? [],
    async [Symbol.asyncDispose]() {
      await client.exec("DEALLOCATE ALL");
    },
  };
}

/** Every driver that the everyday tests run on. */
export const drivers: Record<string, OpenContext> = {
  "postgres.js": openPostgresJs,
  "node-postgres": openNodePostgres,
  "PGlite": openPglite,
};

/** Registers each case of a suite once for each driver. */
export function testOnEachDriver(suite: string, cases: readonly Case[]): void {
  for (const [driver, open] of Object.entries(drivers)) {
    for (const { name, run } of cases) {
      Deno.test({
        name: `${suite} (${driver}): ${name}`,
        // Drivers keep timers and PGlite a whole server of their own; ours is only what passes between them.
        sanitizeOps: false,
        sanitizeResources: false,
        async fn() {
          await using context = await open();
          await run(context);
        },
      });
    }
  }
}
