/** Reads the configuration file of drizzle-kit. */

import { existsSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { type Casing, parseCasing } from "./database.ts";
import { Failure } from "./failure.ts";
import { loadModule } from "./load_module.ts";

/** What is read of it. */
export interface DrizzleConfig {
  /** Paths of the schema modules. */
  readonly schema: readonly string[];
  /** URL of the database. */
  readonly url: string | undefined;
  readonly casing: Casing | undefined;
}

/** The names that drizzle-kit looks for, and what else runs. */
const NAMES = [
  "drizzle.config.ts",
  "drizzle.config.js",
  "drizzle.config.mjs",
  "drizzle.config.mts",
];

/** What can be a schema module in a folder. */
const MODULE = /\.[cm]?[jt]s$/;
const DECLARATION = /\.d\.[cm]?ts$/;

/** The configuration in the working directory, if there is one. */
export function findConfig(): string | undefined {
  return NAMES.find((name) => existsSync(resolve(process.cwd(), name)));
}

/**
 * Reads the configuration.
 *
 * @throws {Failure} It cannot be loaded, or is not for PostgreSQL.
 */
export async function readConfig(path: string): Promise<DrizzleConfig> {
  const config = configIn(await loadModule(path));
  const { dialect, schema, casing, dbCredentials } = config;
  if (dialect !== undefined && dialect !== "postgresql") {
    throw new Failure(
      `Reading ${path}: its dialect is ${JSON.stringify(dialect)}, this package needs "postgresql"`,
    );
  }
  return {
    schema: await expand(path, schema),
    url: urlIn(dbCredentials),
    casing: parseCasing(typeof casing === "string" ? casing : undefined),
  };
}

/** Compiled to CommonJS, its default export is one level deeper. */
function configIn(module: Record<string, unknown>): Record<string, unknown> {
  let config: unknown = module["default"];
  if (isObject(config) && isObject(config["default"])) config = config["default"];
  return isObject(config) ? config : {};
}

/** drizzle-kit takes paths of modules and folders, and patterns, from the directory that it is started in. */
async function expand(config: string, schema: unknown): Promise<string[]> {
  const given = (Array.isArray(schema) ? schema : [schema]).filter((path) =>
    typeof path === "string"
  );
  const paths: string[] = [];
  for (const path of given) {
    const isFolder = statSync(resolve(process.cwd(), path), { throwIfNoEntry: false })
      ?.isDirectory();
    if (isFolder) paths.push(...(await fs.readdir(path)).map((name) => join(path, name)));
    else if (/[*?{[]/.test(path)) paths.push(...await matches(config, path));
    else paths.push(path);
  }
  return paths.filter((path) => MODULE.test(path) && !DECLARATION.test(path)).sort();
}

async function matches(config: string, pattern: string): Promise<string[]> {
  // Node has it since 22.
  const { glob } = fs as { glob?: (pattern: string) => AsyncIterable<string> };
  if (typeof glob !== "function") {
    throw new Failure(
      `Reading ${config}: this runtime cannot find the files of a pattern, give --schema`,
    );
  }
  const paths: string[] = [];
  for await (const path of glob(pattern)) paths.push(path);
  return paths;
}

function urlIn(credentials: unknown): string | undefined {
  if (!isObject(credentials)) return undefined;
  const { url, host, port, user, password, database, ssl } = credentials;
  if (typeof url === "string") return url;
  if (typeof host !== "string" || typeof database !== "string") return undefined;
  const built = new URL(`postgres://${host}/${encodeURIComponent(database)}`);
  if (port !== undefined) built.port = String(port);
  if (typeof user === "string") built.username = encodeURIComponent(user);
  if (typeof password === "string") built.password = encodeURIComponent(password);
  if (ssl === true) built.searchParams.set("sslmode", "require");
  else if (typeof ssl === "string") built.searchParams.set("sslmode", ssl);
  return built.href;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
