/** Suites of database tests: cases that get their database. */

import type { Logger } from "drizzle-orm";
import type { Cache } from "drizzle-orm/cache/core";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";

/** Options of the Drizzle database that is opened for a case. */
export interface DrizzleOptions {
  schema?: Record<string, unknown>;
  logger?: Logger;
  cache?: Cache;
  casing?: "snake_case" | "camelCase";
}

export type AnyDatabase = PgDatabase<PgQueryResultHKT>;

/** An empty database for one case. */
export interface TestContext {
  /** Opens it with Drizzle; several may be open at once on the same data. */
  open<TDatabase = AnyDatabase>(options?: DrizzleOptions): TDatabase;
  /** Runs SQL past Drizzle and this library: creates tables, and reads stored values. */
  sql(statement: string): Promise<Record<string, unknown>[]>;
  /** Opens another session; absent if the database has only one. */
  session?(): Promise<OtherSession>;
}

/** A session past Drizzle and this library, to block the tested code. */
export interface OtherSession {
  sql(statement: string): Promise<void>;
  /** Returns when another session waits for this one's lock; throws after some seconds. */
  untilWaiting(): Promise<void>;
  close(): Promise<void>;
}

export interface Case {
  name: string;
  /** Whether everyday runs have it on one driver only, in `deno task test`. */
  slow?: boolean;
  run(context: TestContext): Promise<void>;
}

/** A suite and the functions that add a case; `prepare` makes each case's fixtures. */
export function suite<T>(prepare: (context: TestContext) => T | Promise<T>) {
  const cases: Case[] = [];
  const adding = (slow: boolean) => (name: string, run: (given: T) => Promise<void>): void => {
    cases.push({ name, slow, run: async (context) => await run(await prepare(context)) });
  };
  return { cases, test: adding(false), slowTest: adding(true) };
}

/** The SQLSTATE of a driver's error; Bun's SQL has it in `errno`. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code, errno } = error as { code?: string; errno?: string | number };
  return typeof errno === "string" ? errno : code;
}

/** Records Drizzle's statements and their parameters. */
export function statementLog() {
  const statements: string[] = [];
  const params: unknown[] = [];
  const logQuery = (query: string, values: unknown[]) => {
    statements.push(query);
    params.push(...values);
  };
  /** The first words of the statements since the last call. */
  const verbs = () => statements.splice(0).map((query) => query.split(/\s/, 1)[0]);
  return { logger: { logQuery }, statements, params, verbs };
}
