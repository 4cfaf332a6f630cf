/** The suites that need a database, for any driver. */
import { assertEquals } from "@std/assert";
import postgres from "postgres";
import { changes } from "../suites/changes.ts";
import { confidentiality } from "../suites/confidentiality.ts";
import { damage } from "../suites/damage.ts";
import { order } from "../suites/order.ts";
import { randomStatements } from "../suites/random_statements.ts";
import { reads } from "../suites/reads.ts";
import { recovery } from "../suites/recovery.ts";
import { reencryption } from "../suites/reencryption.ts";
import { refusals } from "../suites/refusals.ts";
import { relational } from "../suites/relational.ts";
import { rule } from "../suites/rule.ts";
import { storage } from "../suites/storage.ts";
import type { Case, DrizzleOptions, OtherSession, TestContext } from "../suites/suite.ts";
import { transactions } from "../suites/transactions.ts";
import { writes } from "../suites/writes.ts";
import { extension } from "./extension.ts";
import type { BoundCase } from "./tap.ts";

type Suites = Readonly<Record<string, readonly Case[]>>;
type Sql = (statement: string) => Promise<Record<string, unknown>[]>;

const suitesOfAll: Suites = {
  rule,
  // Of other drivers and lines of Drizzle; `deno task test` runs more of them.
  "random statements": randomStatements(60),
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
  recovery,
  "re-encryption": reencryption,
  extension,
};

/** Empties the database. */
export const EMPTY_DATABASE = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";

/** A driver's client. */
export interface Connection {
  drizzle(options: DrizzleOptions): unknown;
  close?(): Promise<unknown>;
  /** Set if the database, then empty, has only this session. */
  sql?: Sql;
}

/** A driver. */
export interface Driver {
  /** @param through URL of a proxy or pooler between the driver and the database. */
  connect(url: string, through?: string): Connection | Promise<Connection>;
  /** The driver's own suites, also in place of those that it cannot run. */
  readonly suites?: Suites;
  /** The driver's refusal: its message, and the cases that must fail with it. */
  readonly refused?: { readonly message: string; readonly cases: readonly string[] };
}

/** A runner's job with a database. */
export interface DatabaseJob {
  /** URL of a database to overwrite. */
  readonly url: string;
  /** Whether to omit slow cases. */
  readonly everyday: boolean;
}

/** Drivers by their names in the report. */
export type Drivers = Readonly<Record<string, Driver & { readonly through?: string }>>;

/** Shared by all cases of a run. */
export interface Lasting {
  /** A client that bypasses the tested drivers. */
  readonly past: postgres.Sql;
  /** Opens other sessions. */
  openSession(url: string): Promise<OtherSession>;
}

/** Opens such a client, with one connection. */
export const connectPast = (url: string): postgres.Sql =>
  postgres(url, { max: 1, onnotice: () => {} });

/** Opens and empties a database for one case. */
export async function openContext(
  { connect, through }: Drivers[string],
  url: string,
  lasting?: Lasting,
): Promise<TestContext & AsyncDisposable> {
  const { drizzle, close, sql } = await connect(url, through);
  const past = lasting?.past ?? connectPast(url);
  if (sql === undefined) await past.unsafe(EMPTY_DATABASE);
  return {
    open: <T>(options: DrizzleOptions = {}) => drizzle(options) as T,
    sql: sql ?? ((statement) => rowsOf(past, statement)),
    ...lasting && sql === undefined && { session: () => lasting.openSession(url) },
    async [Symbol.asyncDispose]() {
      await close?.();
      if (!lasting) await past.end();
    },
  };
}

/** @param lasting Absent on runtimes where a connection ends with its request. */
export function databaseCases(
  { url, everyday }: DatabaseJob,
  drivers: Drivers,
  lasting?: Lasting,
): BoundCase[] {
  const cases: BoundCase[] = [];
  for (const [title, driver] of Object.entries(drivers)) {
    const { suites, refused } = driver;
    for (const [suite, ofSuite] of Object.entries({ ...suitesOfAll, ...suites })) {
      for (const { name, slow, run } of ofSuite) {
        if (everyday && slow) continue;
        const message = refused?.cases.includes(`${suite}: ${name}`) ? refused.message : undefined;
        cases.push({
          name: `${suite} (${title}): ${message ? "refused by the driver: " : ""}${name}`,
          async run() {
            await using context = await openContext(driver, url, lasting);
            if (message === undefined) await run(context);
            else assertEquals(await messageOf(run(context)), message);
          },
        });
      }
    }
  }
  return cases;
}

function messageOf(attempt: Promise<void>): Promise<string> {
  return attempt.then(() => "nothing", (error: Error) => error.message);
}

/** Runs SQL; returns the rows of the last statement. */
async function rowsOf(client: postgres.Sql, statements: string) {
  const result = await client.unsafe(statements);
  return [...(Array.isArray(result[0]) ? result.at(-1)! : result)] as Record<string, unknown>[];
}
