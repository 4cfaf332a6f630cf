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
import type { Case, DrizzleOptions, OtherSession } from "../suites/suite.ts";
import { transactions } from "../suites/transactions.ts";
import { writes } from "../suites/writes.ts";
import { extension } from "./extension.ts";
import type { BoundCase } from "./tap.ts";

type Suites = Readonly<Record<string, readonly Case[]>>;
type Sql = (statement: string) => Promise<Record<string, unknown>[]>;

const suitesOfAll: Suites = {
  rule,
  // Of other drivers and lines of Drizzle; `deno task test` runs more of them.
  "random statements": randomStatements(20),
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
  /** Whether to omit {@linkcode LONG}. */
  readonly everyday: boolean;
}

/** Slow suites that show nothing beyond `deno task test`. */
const LONG =
  "re-encryption: more values in a batch than a statement's limit of parameters, and every character";

/** Drivers by their names in the report. */
export type Drivers = Readonly<Record<string, Driver & { readonly through?: string }>>;

/** @param openSession Opens other sessions, if the runtime can. */
export function databaseCases(
  { url, everyday }: DatabaseJob,
  drivers: Drivers,
  openSession?: (url: string) => Promise<OtherSession>,
): BoundCase[] {
  const cases: BoundCase[] = [];
  for (const [title, driver] of Object.entries(drivers)) {
    const { suites, refused, through } = driver;
    for (const [suite, ofSuite] of Object.entries({ ...suitesOfAll, ...suites })) {
      for (const { name, run } of ofSuite) {
        if (everyday && `${suite}: ${name}` === LONG) continue;
        const message = refused?.cases.includes(`${suite}: ${name}`) ? refused.message : undefined;
        cases.push({
          name: `${suite} (${title}): ${message ? "refused by the driver: " : ""}${name}`,
          run: () =>
            withClient(url, async (past) => {
              const { drizzle, close, sql } = await driver.connect(url, through);
              if (sql === undefined) await past.unsafe(EMPTY_DATABASE);
              const context = {
                open: <T>(options: DrizzleOptions = {}) => drizzle(options) as T,
                sql: sql ?? ((statement) => rowsOf(past, statement)),
                ...openSession && sql === undefined && { session: () => openSession(url) },
              };
              try {
                if (message === undefined) await run(context);
                else assertEquals(await messageOf(run(context)), message);
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

function messageOf(attempt: Promise<void>): Promise<string> {
  return attempt.then(() => "nothing", (error: Error) => error.message);
}

/** Lends a session that bypasses the tested driver. */
async function withClient(url: string, use: (client: postgres.Sql) => Promise<void>) {
  const client = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

/** Runs SQL; returns the rows of the last statement. */
async function rowsOf(client: postgres.Sql, statements: string) {
  const result = await client.unsafe(statements);
  return [...(Array.isArray(result[0]) ? result.at(-1)! : result)] as Record<string, unknown>[];
}
