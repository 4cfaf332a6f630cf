/**
 * The suites that need a database, on any driver, and the rows that targets read of each other.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { PgExtensionStorage, withEncryption } from "../../pg/mod.ts";
import { changes } from "../suites/changes.ts";
import { confidentiality } from "../suites/confidentiality.ts";
import { damage } from "../suites/damage.ts";
import { order } from "../suites/order.ts";
import { reads } from "../suites/reads.ts";
import { reencryption } from "../suites/reencryption.ts";
import { refusals } from "../suites/refusals.ts";
import { relational } from "../suites/relational.ts";
import { rule } from "../suites/rule.ts";
import { storage } from "../suites/storage.ts";
import type { Case, DrizzleOptions, OtherSession } from "../suites/suite.ts";
import { transactions } from "../suites/transactions.ts";
import { writes } from "../suites/writes.ts";
import { extensionInstances } from "../support/extension_instance.ts";
import { secretOf } from "./interop.ts";
import type { BoundCase } from "./tap.ts";

type Suites = Readonly<Record<string, readonly Case[]>>;
type Sql = (statement: string) => Promise<Record<string, unknown>[]>;

const suitesOfAll: Suites = {
  rule,
  writes,
  reads,
  "relational queries": relational,
  transactions,
  refusals,
  confidentiality,
  damage,
  storage,
  order,
  changes,
  "re-encryption": reencryption,
};

/** Empties it. */
export const EMPTY_DATABASE = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";

/** A driver's client. */
export interface Connection {
  drizzle(options: DrizzleOptions): unknown;
  close?(): Promise<unknown>;
  /** Where the database, which is empty then, has this one session alone. */
  sql?: Sql;
}

/** A driver. */
export interface Driver {
  /** @param through URL of what stands between the driver and the database: a proxy, a pooler. */
  connect(url: string, through?: string): Connection | Promise<Connection>;
  /** Suites of its own, also in the place of those that it cannot run. */
  readonly suites?: Suites;
  /** What it refuses: the message, and the cases that have to fail with it. */
  readonly refused?: { readonly message: string; readonly cases: readonly string[] };
}

/** What a runner is to do with a database. */
export interface DatabaseJob {
  readonly writer: string;
  /** A database to do anything with. */
  readonly url: string;
  /** The database with a row of each target. */
  readonly interopUrl: string;
  /** Only its presence counts: then rows are read, and nothing else runs. */
  readonly read?: unknown;
}

/** Drivers by what the report calls them. */
export type Drivers = Readonly<Record<string, Driver & { readonly through?: string }>>;

/** @param openSession Opens other sessions, on runtimes that can. */
export function databaseCases(
  { url, interopUrl, writer, read }: DatabaseJob,
  drivers: Drivers,
  openSession?: (url: string) => Promise<OtherSession>,
): BoundCase[] {
  if (read !== undefined) return [readsRows(interopUrl)];
  const cases: BoundCase[] = [writesRow(interopUrl, writer)];
  for (const [title, driver] of Object.entries(drivers)) {
    const { suites, refused, through } = driver;
    for (const [suite, ofSuite] of Object.entries({ ...suitesOfAll, ...suites })) {
      for (const { name, run } of ofSuite) {
        const message = refused?.cases.includes(`${suite}: ${name}`) ? refused.message : undefined;
        cases.push({
          name: `${suite} (${title}): ${message ? "refused by the driver: " : ""}${name}`,
          run: () =>
            withSql(url, async (past) => {
              const { drizzle, close, sql } = await driver.connect(url, through);
              if (sql === undefined) await past(EMPTY_DATABASE);
              const context = {
                open: <T>(options: DrizzleOptions = {}) => drizzle(options) as T,
                sql: sql ?? past,
                ...openSession && sql === undefined && { session: () => openSession(url) },
              };
              try {
                if (message === undefined) await run(context);
                else assertEquals(await failure(run(context)), message);
              } finally {
                await close?.();
              }
            }),
        });
      }
    }
  }
  return cases;
}

function failure(attempt: Promise<void>): Promise<string> {
  return attempt.then(() => "nothing", (error: Error) => error.message);
}

/** Lends a session past Drizzle, this library and the driver under test. */
async function withSql<T>(url: string, use: (sql: Sql) => Promise<T>): Promise<T> {
  const client = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await use(async (statement) => {
      const result = await client.unsafe(statement);
      // Several statements have several results.
      return [...(Array.isArray(result[0]) ? result.at(-1)! : result)] as Record<string, unknown>[];
    });
  } finally {
    await client.end();
  }
}

function writesRow(url: string, writer: string): BoundCase {
  return withInteropDatabase("interop: writes a row for the others", url, async (db) => {
    await new PgExtensionStorage(db, extensionInstances).upsertExtension({
      extensionInstanceId: writer,
      contextId: "p-abc123",
      consentedScopes: ["a"],
      secret: secretOf(writer),
    });
  });
}

function readsRows(url: string): BoundCase {
  return withInteropDatabase("interop: reads the rows of all", url, async (db) => {
    const rows = await withEncryption(db).select().from(extensionInstances);
    assert(rows.length >= 2);
    for (const { id, secret } of rows) assertEquals(secret, secretOf(id));
  });
}

function withInteropDatabase(
  name: string,
  url: string,
  use: (db: ReturnType<typeof drizzle>) => Promise<void>,
): BoundCase {
  return {
    name,
    async run() {
      const client = postgres(url, { max: 1 });
      try {
        await use(drizzle({ client }));
      } finally {
        await client.end();
      }
    },
  };
}
