/** What a suite of database tests is made of: cases that take the database they run on. */

import type { Logger } from "drizzle-orm";
import type { Cache } from "drizzle-orm/cache/core";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";

/** What a case may ask of the Drizzle database that is opened for it. */
export interface DrizzleOptions {
  schema?: Record<string, unknown>;
  logger?: Logger;
  cache?: Cache;
  casing?: "snake_case" | "camelCase";
}

export type AnyDatabase = PgDatabase<PgQueryResultHKT>;

/** An empty database that belongs to one case alone. */
export interface TestContext {
  /** Opens it with Drizzle; several may be open at once and see the same data. */
  open<TDatabase = AnyDatabase>(options?: DrizzleOptions): TDatabase;
  /** Runs SQL past Drizzle and this library: for tables, and for what really is stored. */
  sql(statement: string): Promise<Record<string, unknown>[]>;
  /** Opens a session of its own; missing where the database has one session alone. */
  session?(): Promise<OtherSession>;
}

/** A session past Drizzle and this library, to stand in the way of what is tested. */
export interface OtherSession {
  sql(statement: string): Promise<void>;
  /** Returns once another session waits for a lock that this one holds; throws after some seconds. */
  untilWaiting(): Promise<void>;
  close(): Promise<void>;
}

export interface Case {
  name: string;
  run(context: TestContext): Promise<void>;
}

/** A suite, and the function that adds a case to it; `prepare` makes what each case begins with. */
export function suite<T>(prepare: (context: TestContext) => T | Promise<T>) {
  const cases: Case[] = [];
  const test = (name: string, run: (given: T) => Promise<void>): void => {
    cases.push({ name, run: async (context) => await run(await prepare(context)) });
  };
  return { cases, test };
}

/** The SQLSTATE of a driver's error; Bun's SQL keeps it in `errno`. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code, errno } = error as { code?: string; errno?: string | number };
  return typeof errno === "string" ? errno : code;
}

/** Notes the statements that Drizzle sends, and their parameters. */
export function statementLog() {
  const statements: string[] = [];
  const params: unknown[] = [];
  const logQuery = (query: string, values: unknown[]) => {
    statements.push(query);
    params.push(...values);
  };
  /** The first words of what was sent since the last call. */
  const verbs = () => statements.splice(0).map((query) => query.split(/\s/, 1)[0]);
  return { logger: { logQuery }, statements, params, verbs };
}
