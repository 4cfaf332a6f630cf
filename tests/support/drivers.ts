/** Runs a suite of database tests on every driver. */

import { connectPast, type Driver, openContext } from "../conformance/database_cases.ts";
import * as neonHttp from "../runtimes/drivers/neon_http.ts";
import * as nodePostgres from "../runtimes/drivers/node_postgres.ts";
import * as pglite from "../runtimes/drivers/pglite.ts";
import * as postgresJs from "../runtimes/drivers/postgres_js.ts";
import { openSession } from "../suites/session.ts";
import type { Case } from "../suites/suite.ts";
import { createDatabase } from "../../tools/postgres/databases.ts";
import { startHttpEndpoint } from "../../tools/runtimes/neon_proxy.ts";

// All cases of a file share a database, because creating one takes longer than most cases. It is
// opened outside the tests, because Deno expects each test to close what it opens, and ends with
// the run.
const { url } = await createDatabase();
const past = connectPast(url);
await past`select 1`;

const open = (driver: Driver) => openContext(driver, url, { past, openSession });

/** The drivers of `deno task test`; slow cases run on the first. */
export const drivers = {
  "postgres.js": () => open(postgresJs),
  "node-postgres": () => open(nodePostgres),
  "PGlite": () => open(pglite),
};

/** Registers each case of a suite once per driver. */
export function testOnEachDriver(suite: string, cases: readonly Case[]): void {
  for (const [index, [driver, open]] of Object.entries(drivers).entries()) {
    for (const { name, slow, run } of cases) {
      if (slow && index > 0) continue;
      Deno.test(`${suite} (${driver}): ${name}`, async () => {
        await using context = await open();
        await run(context);
      });
    }
  }
}

/** Registers the batches of neon-http, over a local endpoint. */
export function testBatches(): void {
  for (const { name, run } of neonHttp.suites["batches"]!) {
    Deno.test(`batches (neon-http): ${name}`, async () => {
      await using endpoint = await startHttpEndpoint();
      const driver = { ...neonHttp, through: endpoint.url };
      await using context = await openContext(driver, url, { past, openSession });
      await run(context);
    });
  }
}
