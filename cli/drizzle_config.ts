/** Reads drizzle-kit's configuration file. */

import { existsSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "./errors.ts";
import { loadModule } from "./load_module.ts";
import { type Casing, casing as casingOption, checkValue } from "./options.ts";

/** A database's address: a URL or its parts. */
export type DatabaseAddress = string | {
  readonly host: string;
  readonly port?: number | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly database: string;
};

/** The TLS setting, as in drizzle-kit, postgres.js and node-postgres. */
export type Tls = boolean | (typeof TLS_MODES)[number] | Readonly<Record<string, unknown>>;

/** The settings used here. */
export interface DrizzleConfig {
  /** Paths of the schema modules. */
  readonly schema: readonly string[];
  readonly address: DatabaseAddress | undefined;
  /** `ssl` of `dbCredentials`. */
  readonly tls: Tls | undefined;
  readonly casing: Casing | undefined;
}

const TLS_MODES = ["require", "allow", "prefer", "verify-full"] as const;

/** The names that drizzle-kit looks for, and other module extensions. */
const NAMES = ["ts", "js", "mjs", "mts"].map((extension) => `drizzle.config.${extension}`);

/** Matches schema modules in a folder. */
const MODULE = /(?<!\.d)\.[cm]?[jt]s$/;

/** Finds the configuration in the working directory. */
export function findConfig(): string | undefined {
  return NAMES.find((name) => existsSync(name));
}

/**
 * Reads the configuration.
 *
 * @throws {Failure} When it cannot be loaded or is not for PostgreSQL.
 */
export async function readConfig(path: string): Promise<DrizzleConfig> {
  const exported = asRecord((await loadModule(path))["default"]);
  // If it was compiled to CommonJS, its default export is one level deeper.
  const { dialect, schema, casing, dbCredentials } = asRecord(exported["default"] ?? exported);
  if (dialect !== undefined && dialect !== "postgresql") {
    throw new Failure(
      `Reading ${path}: its dialect is ${JSON.stringify(dialect)}, this package needs "postgresql"`,
    );
  }
  const { url, host, port, user, password, database, ssl } = asRecord(dbCredentials);
  const parts = { host, port: port === undefined ? port : Number(port), user, password, database };
  const hasParts = typeof host === "string" && typeof database === "string";
  return {
    schema: await expand(path, [schema].flat()),
    address: typeof url === "string" ? url : hasParts ? parts as DatabaseAddress : undefined,
    tls: checkTls(path, ssl),
    casing: typeof casing === "string" ? checkValue("casing", casingOption, casing) : undefined,
  };
}

/** drizzle-kit accepts modules, folders and patterns, relative to the working directory. */
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
  // Node.js has it from 22.
  const { glob } = fs as { glob?: (pattern: string) => AsyncIterable<string> };
  if (typeof glob === "function") return glob(pattern);
  throw new Failure(
    `Reading ${config}: this runtime cannot find the files of a pattern, give --schema`,
  );
}

/** An invalid setting must not result in a connection without TLS. */
function checkTls(config: string, ssl: unknown): Tls | undefined {
  if (ssl === undefined || typeof ssl === "boolean") return ssl;
  if (typeof ssl === "object" && ssl !== null) return ssl as Tls;
  const mode = TLS_MODES.find((mode) => mode === ssl);
  if (mode !== undefined) return mode;
  throw new Failure(
    `Reading ${config}: ssl of its dbCredentials is not a boolean, an object or one of ` +
      TLS_MODES.join(", "),
  );
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
