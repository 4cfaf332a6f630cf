/** Runs a suite of database tests on every driver. */

import type { Driver } from "../conformance/database_cases.ts";
import * as nodePostgres from "../runtimes/drivers/node_postgres.ts";
import * as pglite from "../runtimes/drivers/pglite.ts";
import * as postgresJs from "../runtimes/drivers/postgres_js.ts";
import { openSession } from "../suites/session.ts";
import type { Case, DrizzleOptions, TestContext } from "../suites/suite.ts";
import { createDatabase, query } from "../../tools/postgres/databases.ts";

async function open({ connect }: Driver): Promise<TestContext & AsyncDisposable> {
  const database = connect === pglite.connect ? undefined : await createDatabase();
  const url = database?.url ?? "";
  const { drizzle, close, sql } = await connect(url);
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) => drizzle(options) as TDatabase,
    sql: sql ?? ((statement) => query(url, statement)),
    ...database && { session: () => openSession(url) },
    async [Symbol.asyncDispose]() {
      await close?.();
      await database?.drop();
    },
  };
}

/** The drivers of `deno task test`. */
export const drivers = {
  "postgres.js": () => open(postgresJs),
  "node-postgres": () => open(nodePostgres),
  "PGlite": () => open(pglite),
};

/** Registers each case of a suite once per driver. */
export function testOnEachDriver(suite: string, cases: readonly Case[]): void {
  for (const [driver, open] of Object.entries(drivers)) {
    for (const { name, run } of cases) {
      Deno.test(`${suite} (${driver}): ${name}`, async () => {
        await using context = await open();
        await run(context);
      });
    }
  }
}
