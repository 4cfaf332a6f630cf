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
type DriverContext = TestContext & AsyncDisposable;

/** A driver's Drizzle on a client of its own. */
type Connect = (url: string) => {
  open(options: DrizzleOptions): unknown;
  end(): Promise<unknown>;
};

async function openServer(connect: Connect): Promise<DriverContext> {
  const database = await createDatabase();
  const { open, end } = connect(database.url);
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) => open(options) as TDatabase,
    async sql(statement) {
      const client = new pg.Client(database.url);
      await client.connect();
      return await client.query(statement).then(({ rows }) => rows).finally(() => client.end());
    },
    session: () => openSession(database.url),
    async [Symbol.asyncDispose]() {
      await end();
      await database.drop();
    },
  };
}

// Starting PGlite takes seconds, so its contexts share one, emptied in between.
let pglite: Promise<PGlite> | undefined;

async function openPglite(): Promise<DriverContext> {
  const client = await (pglite ??= PGlite.create());
  await client.exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) => drizzlePglite(client, options) as TDatabase,
    sql: async (statement) => (await client.exec(statement)).at(-1)?.rows ?? [],
    [Symbol.asyncDispose]: async () => void await client.exec("DEALLOCATE ALL"),
  };
}

/** Every driver that the everyday tests run on. */
export const drivers: Record<string, () => Promise<DriverContext>> = {
  "postgres.js": () =>
    openServer((url) => {
      const client = postgres(url, { max: 4, onnotice: () => {} });
      return {
        open: (options) => drizzlePostgresJs(client, options),
        end: () => client.end(),
      };
    }),
  "node-postgres": () =>
    openServer((url) => {
      const pool = new pg.Pool({ connectionString: url, max: 4 });
      return { open: (options) => drizzleNodePostgres(pool, options), end: () => pool.end() };
    }),
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
