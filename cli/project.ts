/** Finds the application's tables, database and column naming for a command. */

import process from "node:process";
import { Deadline } from "../internal/deadline.ts";
import type { EncryptableDatabase } from "../pg/interfaces.ts";
import {
  type DatabaseAddress,
  type DrizzleConfig,
  findConfig,
  readConfig,
  type Tls,
} from "./drizzle_config.ts";
import { Failure, UsageError } from "./errors.ts";
import { type Casing, casing, type OptionValues, text } from "./options.ts";
import { stderr, styled } from "./output.ts";
import { findTables, type ProjectTables } from "./schema_module.ts";

/** The options for finding them. */
export const projectOptions = { schema: text, "database-url": text, casing, config: text } as const;

/** Their help. */
export const projectHelp =
  `  --schema FILE         the application's schema module, which creates the keys
  --database-url URL    the database; default: the variable DATABASE_URL, hidden from other users
  --casing CASING       snake_case or camelCase, if the application passes "casing" to Drizzle
  --config FILE         drizzle-kit's configuration, for options that are not given; default:
                        drizzle.config.ts, .js or .mjs, if it exists; its ssl applies to every URL
                        without sslmode

On Node.js, TypeScript is loaded through jiti if it is installed (npm install --save-dev jiti), with
paths of tsconfig.json, enums, and imports without extensions. Node.js 22.18 and later load
TypeScript without these features by themselves; Bun and Deno load all of it.
`;

type ProjectOptions = OptionValues<typeof projectOptions>;

/**
 * Finds the application's tables and database, by the options first, then the environment, then
 * drizzle-kit's configuration. Runs `work` with them and closes the connection.
 */
export async function withProject<T>(
  options: ProjectOptions,
  work: (tables: ProjectTables, db: EncryptableDatabase) => Promise<T>,
): Promise<T> {
  const { schema, "database-url": databaseUrl, casing } = options;
  // A pattern: `URL` cannot parse addresses with several hosts.
  if (databaseUrl && /:\/\/[^@]*:[^@]+@/.test(databaseUrl)) {
    stderr.line(styled(
      "yellow",
      "--database-url contains a password, which other users of this machine can see; set DATABASE_URL instead",
    ));
  }
  const config = await configFor(options);
  const modules = schema === undefined ? config?.schema ?? [] : [schema];
  if (modules.length === 0) {
    throw new UsageError(
      "give the schema module: --schema ./schema.ts, or a drizzle.config.ts that names it",
    );
  }
  // Before reading the environment: the module may load a .env file.
  const tables = await findTables(modules);
  const address = givenUrl(options) ?? config?.address;
  if (!address) throw new UsageError("set DATABASE_URL, or give --database-url");
  const { db, close } = await connect(address, tlsFor(address, config), casing ?? config?.casing);
  return await work(tables, db).finally(close);
}

/** The URL that takes precedence over the configuration's. */
function givenUrl({ "database-url": databaseUrl }: ProjectOptions): string | undefined {
  return databaseUrl || process.env["DATABASE_URL"] || undefined;
}

/** Reads the configuration unless the options leave nothing to look up. */
async function configFor(options: ProjectOptions): Promise<DrizzleConfig | undefined> {
  const { schema, casing, config } = options;
  if (config !== undefined) return await readConfig(config);
  const path = findConfig();
  const url = givenUrl(options);
  if (path === undefined) return undefined;
  const complete = schema !== undefined && url !== undefined;
  if (complete && casing !== undefined && tellsTls(url)) return undefined;
  try {
    return await readConfig(path);
  } catch (error) {
    if (!complete || !(error instanceof Failure)) throw error;
    // In production, drizzle-kit need not be installed.
    if (!tellsTls(url) && !isLocal(url)) {
      throw new Failure(
        `${error.message}. It may ask for TLS: to continue without it, add sslmode to the database's ` +
          "URL, for example sslmode=require, or sslmode=disable for a connection without TLS",
      );
    }
    if (casing === undefined) {
      stderr.line(
        `${error.message}. Continuing without it: give --casing if the application gives "casing" to Drizzle`,
      );
    }
    return undefined;
  }
}

/** Whether a URL contains a TLS setting. */
function tellsTls(address: DatabaseAddress): boolean {
  return typeof address === "string" && /[?&]ssl(mode)?=/i.test(address);
}

/** Whether a URL points to this machine. Addresses with several hosts are not parsed. */
function isLocal(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname, searchParams } = new URL(url);
  const host = hostname || searchParams.get("host") || "localhost";
  return /^(localhost|127(\.\d+){3}|\[::1\]|\/.*)$/.test(host);
}

/**
 * The configuration's TLS setting, unless the URL has one. It applies to other URLs, too.
 *
 * @throws {Failure} When the configuration has both.
 */
function tlsFor(address: DatabaseAddress, config: DrizzleConfig | undefined): Tls | undefined {
  if (!tellsTls(address) || config?.tls === undefined) return config?.tls;
  if (address !== config.address) return undefined;
  throw new Failure(
    "Connecting to the database: drizzle-kit's configuration has ssl, and its url has sslmode, " +
      "leave one of them out",
  );
}

/** Creates a client with the application's casing; the first query opens the connection. */
async function connect(
  address: DatabaseAddress,
  tls: Tls | undefined,
  casing: Casing | undefined,
) {
  const options = casing === undefined ? {} : { casing };
  const postgres = await ifInstalled(() => import("postgres"));
  if (postgres) {
    const { drizzle } = await import("drizzle-orm/postgres-js");
    const settings = { max: 1, onnotice: () => {}, ...tls !== undefined && { ssl: tls } };
    const client = create(() =>
      typeof address === "string"
        ? postgres.default(address, settings)
        : postgres.default({ ...present(address), ...settings })
    );
    await reach(client);
    return { db: drizzle(client, options), close: () => client.end({ timeout: 5 }) };
  }
  // @ts-types="@types/pg"
  const pg = await ifInstalled(() => import("pg"));
  if (pg) {
    const { drizzle } = await import("drizzle-orm/node-postgres");
    const where = typeof address === "string" ? { connectionString: address } : present(address);
    const ssl = tls === undefined ? {} : { ssl: forNodePostgres(tls) };
    const pool = create(() => new pg.default.Pool({ ...where, ...ssl, max: 1 }));
    // Without a listener, losing an idle connection would end the program.
    pool.on("error", () => {});
    return { db: drizzle(pool, options), close: () => pool.end() };
  }
  throw new Failure("Connecting to the database: neither postgres nor pg is installed");
}

/** node-postgres has no modes, and never falls back to a connection without TLS. */
function forNodePostgres(tls: Tls): boolean | Readonly<Record<string, unknown>> {
  if (typeof tls !== "string") return tls;
  return { rejectUnauthorized: tls === "verify-full" };
}

/** Drops undefined properties, which drivers treat as values. */
function present(address: Exclude<DatabaseAddress, string>): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(address).filter(([, value]) => value !== undefined),
  ) as Record<string, string | number>;
}

/** libpq's variable, also used by postgres.js. */
const CONNECT_SECONDS = Number(process.env["PGCONNECT_TIMEOUT"]) || 30;

/** With several hosts, postgres.js retries forever. Other failures show in the first query. */
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
    // The driver's message may contain the URL with its password.
    throw new Failure("Connecting to the database: its URL is invalid");
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
