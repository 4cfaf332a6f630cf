/**
 * With any fault of transactions: every change once, no lost client, no uncaught error. Runs on
 * each driver with transactions.
 *
 * FAULT_SECONDS: seconds per driver, instead of 4. SEED: repeats a run.
 */

import { assertEquals } from "@std/assert";
import { neonConfig, Pool as NeonPool } from "@neondatabase/serverless";
import { drizzle as drizzleNeon } from "drizzle-orm/neon-serverless";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
// @ts-types="@types/pg"
import pg from "pg";
import postgres from "postgres";
import { createDatabase, poll } from "../tools/postgres/databases.ts";
import { startWebSocketProxy } from "../tools/runtimes/neon_proxy.ts";
import { closingOf } from "./runtimes/close_pool.ts";
import type { AnyDatabase } from "./suites/suite.ts";
import { IS_OURS } from "./model/extension.ts";
import {
  describeFaults,
  type FaultyClient,
  runFaults,
  takeAll,
} from "./model/transaction_faults.ts";

/** Shorter than an event's time limit, so that statements time out in the driver first. */
const QUERY_TIMEOUT_MS = 1_000;

const CONNECTIONS = 4;

function onPool(pool: pg.Pool, db: AnyDatabase): FaultyClient {
  const close = closingOf(pool);
  pool.on("error", () => {});
  return {
    db,
    async check() {
      const isBack = () => pool.totalCount === pool.idleCount && pool.waitingCount === 0;
      const back = await poll(isBack, { timeoutMs: 10_000 }).catch(() => false);
      const { totalCount, idleCount, waitingCount } = pool;
      return back
        ? await takeAll(db, CONNECTIONS)
        : [`clients are missing: ${JSON.stringify({ totalCount, idleCount, waitingCount })}`];
    },
    close,
  };
}

const clients: Record<string, (url: string) => FaultyClient> = {
  "postgres.js": (url) => {
    const client = postgres(url, {
      max: CONNECTIONS,
      onnotice: () => {},
      connect_timeout: 5,
      // Otherwise a failing query for them is an unhandled rejection.
      fetch_types: false,
    });
    const db = drizzlePostgresJs(client) as unknown as AnyDatabase;
    return {
      db,
      check: () => takeAll(db, CONNECTIONS),
      close: () => client.end({ timeout: 1 }),
    };
  },
  "node-postgres": (connectionString) => {
    const pool = new pg.Pool({ connectionString, max: CONNECTIONS });
    return onPool(pool, drizzleNodePostgres(pool) as AnyDatabase);
  },
  "node-postgres with query_timeout": (connectionString) => {
    const options = { connectionString, max: CONNECTIONS, query_timeout: QUERY_TIMEOUT_MS };
    const pool = new pg.Pool(options);
    return onPool(pool, drizzleNodePostgres(pool) as AnyDatabase);
  },
  "Neon": (connectionString) => {
    const pool = new NeonPool({ connectionString, max: CONNECTIONS });
    return onPool(pool as unknown as pg.Pool, drizzleNeon(pool) as unknown as AnyDatabase);
  },
};

/**
 * Errors without our code: postgres.js' faults when a connection breaks, see
 * tests/model/extension.ts.
 */
const isPostgresJsFault = (stack: string) =>
  /postgres\/src\/connection\.js/.test(stack) && !IS_OURS.test(stack);

for (const [driver, connect] of Object.entries(clients)) {
  Deno.test(`transaction faults: ${driver}`, async () => {
    await using database = await createDatabase();
    await using neon = await startWebSocketProxy();
    Object.assign(neonConfig, {
      wsProxy: (host: string, port: number) => `${neon.url}/?address=${host}:${port}`,
      useSecureWebSocket: false,
      pipelineTLS: false,
      pipelineConnect: false,
    });
    const options = {
      seed: Number(Deno.env.get("SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]),
      seconds: Number(Deno.env.get("FAULT_SECONDS") ?? 4),
      url: database.url,
      connect,
      isDriverFault: driver === "postgres.js" ? isPostgresJsFault : undefined,
    };
    const result = await runFaults(options);
    const told = describeFaults(options, result);
    console.log(told);
    assertEquals(result.differences, [], told);
  });
}
