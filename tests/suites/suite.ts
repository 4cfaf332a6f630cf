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

/** A database of any driver. */
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
  /** Runs SQL. */
  sql(statement: string): Promise<void>;
  /** Returns once another session waits for a lock that this one holds; throws after some seconds. */
  untilWaiting(): Promise<void>;
  close(): Promise<void>;
}

/** One test. */
export interface Case {
  name: string;
  run(context: TestContext): Promise<void>;
}

/** The SQLSTATE of a driver's error; Bun's SQL keeps it in `errno`. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code, errno } = error as { code?: string; errno?: string | number };
  return typeof errno === "string" ? errno : code;
}
