/** Connects to the database through the driver that is installed. */

import type { EncryptableDatabase } from "../pg/session.ts";
import { Failure } from "./failure.ts";
import { UsageError } from "./usage_error.ts";

/** A connection. */
export interface Connection {
  readonly db: EncryptableDatabase;
  close(): Promise<void>;
}

/** Drizzle's ways to name columns whose name in the database is not given. */
export type Casing = "snake_case" | "camelCase";

/** Checks the value of `--casing`. */
export function parseCasing(text: string | undefined): Casing | undefined {
  if (text === undefined || text === "snake_case" || text === "camelCase") return text;
  throw new UsageError("--casing is neither snake_case nor camelCase");
}

/**
 * Prepares a connection; the first query opens it.
 *
 * @param url URL of the database.
 * @param casing As the application gives it to Drizzle.
 */
export async function connect(url: string, casing: Casing | undefined): Promise<Connection> {
  const open = await connectWithPostgresJs() ?? await connectWithNodePostgres();
  if (!open) {
    throw new Failure("Connecting to the database: neither postgres nor pg is installed");
  }
  try {
    return open(url, casing === undefined ? {} : { casing });
  } catch {
    // The driver's message may repeat the URL, and with it the password.
    throw new Failure("Connecting to the database: its URL cannot be used");
  }
}

type Open = (url: string, options: { casing?: Casing }) => Connection;

async function connectWithPostgresJs(): Promise<Open | undefined> {
  const postgres = await ifInstalled(() => import("postgres"));
  if (!postgres) return undefined;
  const { drizzle } = await import("drizzle-orm/postgres-js");
  return (url, options) => {
    const client = postgres.default(url, { max: 1, onnotice: () => {} });
    return { db: drizzle(client, options), close: () => client.end({ timeout: 5 }) };
  };
}

async function connectWithNodePostgres(): Promise<Open | undefined> {
  // @ts-types="@types/pg"
  const pg = await ifInstalled(() => import("pg"));
  if (!pg) return undefined;
  const { drizzle } = await import("drizzle-orm/node-postgres");
  return (url, options) => {
    const pool = new pg.default.Pool({ connectionString: url, max: 1 });
    // Without a listener, a connection that breaks while idle would end the program.
    pool.on("error", () => {});
    return { db: drizzle(pool, options), close: () => pool.end() };
  };
}

async function ifInstalled<T>(load: () => Promise<T>): Promise<T | undefined> {
  try {
    return await load();
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
