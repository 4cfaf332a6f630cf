/** What a command needs to know of the application: its tables, its database, and how columns are named. */

import process from "node:process";
import { Deadline } from "../internal/deadline.ts";
import type { EncryptableDatabase } from "../pg/session.ts";
import { type DrizzleConfig, findConfig, readConfig } from "./drizzle_config.ts";
import { Failure, UsageError } from "./errors.ts";
import { type Casing, casing, type OptionValues, text } from "./options.ts";
import { stderr } from "./output.ts";
import { findTables, type NamedTable } from "./schema_module.ts";

/** Options that say where it is found. */
export const projectOptions = { schema: text, "database-url": text, casing, config: text } as const;

/** Their help. */
export const projectHelp =
  `  --schema FILE         the application's schema module, which builds the keys
  --database-url URL    the database; default: the variable DATABASE_URL, which other users cannot see
  --casing CASING       snake_case or camelCase, if the application gives "casing" to Drizzle
  --config FILE         drizzle-kit's configuration, for what is not given; default: drizzle.config.ts,
                        .js or .mjs, if it is there. Node loads TypeScript from its version 22.18 on
`;

type ProjectOptions = OptionValues<typeof projectOptions>;

/**
 * Works on the application's tables, found by what is given, and the rest in the environment and drizzle-kit's
 * configuration; closes the connection afterwards.
 */
export async function withProject<T>(
  options: ProjectOptions,
  work: (tables: readonly NamedTable[], db: EncryptableDatabase) => Promise<T>,
): Promise<T> {
  const { schema, "database-url": databaseUrl, casing } = options;
  // Not by URL, which does not know those of several hosts.
  if (databaseUrl && /:\/\/[^@]*:[^@]+@/.test(databaseUrl)) {
    stderr.line(
      "--database-url holds a password, which other users of this machine can see; set DATABASE_URL instead",
      "yellow",
    );
  }
  const config = await configFor(options);
  const modules = schema === undefined ? config?.schema ?? [] : [schema];
  if (modules.length === 0) {
    throw new UsageError(
      "give the schema module: --schema ./schema.ts, or a drizzle.config.ts that names it",
    );
  }
  // Before the environment is read: the module may load a .env file.
  const tables = await findTables(modules);
  const url = databaseUrl || process.env["DATABASE_URL"] || config?.url;
  if (!url) throw new UsageError("set DATABASE_URL, or give --database-url");
  const { db, close } = await connect(url, casing ?? config?.casing);
  return await work(tables, db).finally(close);
}

/** Reads the configuration, unless nothing is left that could be in it. */
async function configFor(options: ProjectOptions): Promise<DrizzleConfig | undefined> {
  const { schema, "database-url": databaseUrl, casing, config } = options;
  if (config !== undefined) return await readConfig(config);
  const complete = schema !== undefined && Boolean(databaseUrl || process.env["DATABASE_URL"]);
  const path = complete && casing !== undefined ? undefined : findConfig();
  if (path === undefined) return undefined;
  try {
    return await readConfig(path);
  } catch (error) {
    if (!complete || !(error instanceof Failure)) throw error;
    // Where the application runs, there need not be a drizzle-kit.
    stderr.line(
      `${error.message}. Going on without it: give --casing if the application gives "casing" to Drizzle`,
    );
    return undefined;
  }
}

/** Prepares a connection with the casing that the application gives to Drizzle; the first query opens it. */
async function connect(url: string, casing: Casing | undefined) {
  const options = casing === undefined ? {} : { casing };
  const postgres = await ifInstalled(() => import("postgres"));
  if (postgres) {
    const { drizzle } = await import("drizzle-orm/postgres-js");
    const client = create(() => postgres.default(url, { max: 1, onnotice: () => {} }));
    await reach(client);
    return { db: drizzle(client, options), close: () => client.end({ timeout: 5 }) };
  }
  // @ts-types="@types/pg"
  const pg = await ifInstalled(() => import("pg"));
  if (pg) {
    const { drizzle } = await import("drizzle-orm/node-postgres");
    const pool = create(() => new pg.default.Pool({ connectionString: url, max: 1 }));
    // Without a listener, a connection that breaks while idle would end the program.
    pool.on("error", () => {});
    return { db: drizzle(pool, options), close: () => pool.end() };
  }
  throw new Failure("Connecting to the database: neither postgres nor pg is installed");
}

/** libpq's variable, which postgres.js knows, too. */
const CONNECT_SECONDS = Number(process.env["PGCONNECT_TIMEOUT"]) || 30;

/** Of several hosts postgres.js tries one after another, without end. What is wrong with one, the first query tells. */
async function reach(client: import("postgres").Sql): Promise<void> {
  const deadline = new Deadline(CONNECT_SECONDS * 1_000);
  try {
    await deadline.run("Connecting to the database", () => client`select 1`.catch(() => {}));
  } catch {
    await client.end({ timeout: 0 });
    throw new Failure(
      `Connecting to the database: it could not be reached within ${CONNECT_SECONDS} s`,
    );
  } finally {
    deadline.clear();
  }
}

function create<T>(client: () => T): T {
  try {
    return client();
  } catch {
    // The driver's message may repeat the URL, and with it the password.
    throw new Failure("Connecting to the database: its URL cannot be used");
  }
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
