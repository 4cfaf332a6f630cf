/** Reads the configuration file of drizzle-kit. */

import { existsSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "./errors.ts";
import { loadModule } from "./load_module.ts";
import { type Casing, casing as casingOption, checkValue } from "./options.ts";

/** What is read of it. */
export interface DrizzleConfig {
  /** Paths of the schema modules. */
  readonly schema: readonly string[];
  /** URL of the database. */
  readonly url: string | undefined;
  readonly casing: Casing | undefined;
}

/** The names that drizzle-kit looks for, and what else runs. */
const NAMES = ["ts", "js", "mjs", "mts"].map((extension) => `drizzle.config.${extension}`);

/** What can be a schema module in a folder. */
const MODULE = /(?<!\.d)\.[cm]?[jt]s$/;

/** The configuration in the working directory, if there is one. */
export function findConfig(): string | undefined {
  return NAMES.find((name) => existsSync(name));
}

/**
 * Reads the configuration.
 *
 * @throws {Failure} It cannot be loaded, or is not for PostgreSQL.
 */
export async function readConfig(path: string): Promise<DrizzleConfig> {
  const exported = asRecord((await loadModule(path))["default"]);
  // Compiled to CommonJS, its default export is one level deeper.
  const { dialect, schema, casing, dbCredentials } = asRecord(exported["default"] ?? exported);
  if (dialect !== undefined && dialect !== "postgresql") {
    throw new Failure(
      `Reading ${path}: its dialect is ${JSON.stringify(dialect)}, this package needs "postgresql"`,
    );
  }
  return {
    schema: await expand(path, [schema].flat()),
    url: urlIn(asRecord(dbCredentials)),
    casing: typeof casing === "string" ? checkValue("casing", casingOption, casing) : undefined,
  };
}

/** drizzle-kit takes paths of modules and folders, and patterns, from the directory that it is started in. */
async function expand(config: string, schema: readonly unknown[]): Promise<string[]> {
  const paths: string[] = [];
  for (const path of schema) {
    if (typeof path !== "string") continue;
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      paths.push(...(await fs.readdir(path)).map((name) => join(path, name)));
    } else if (/[*?{[]/.test(path)) {
      for await (const match of glob(config, path)) paths.push(match);
    } else {
      paths.push(path);
    }
  }
  return paths.filter((path) => MODULE.test(path)).sort();
}

function glob(config: string, pattern: string): AsyncIterable<string> {
  // Node has it since 22.
  const { glob } = fs as { glob?: (pattern: string) => AsyncIterable<string> };
  if (typeof glob === "function") return glob(pattern);
  throw new Failure(
    `Reading ${config}: this runtime cannot find the files of a pattern, give --schema`,
  );
}

function urlIn(credentials: Record<string, unknown>): string | undefined {
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

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
