/** What a command needs to know of the application: its tables, its database, and how columns are named. */

import process from "node:process";
import type { OptionValues } from "./arguments.ts";
import { type Casing, parseCasing } from "./database.ts";
import { type DrizzleConfig, findConfig, readConfig } from "./drizzle_config.ts";
import { Failure } from "./failure.ts";
import { stderr } from "./output.ts";
import { findTables, type NamedTable } from "./schema_module.ts";
import { UsageError } from "./usage_error.ts";

/** Options that say where it is found. */
export const projectOptions = {
  schema: { type: "string" },
  "database-url": { type: "string" },
  casing: { type: "string" },
  config: { type: "string" },
} as const;

/** Their help. */
export const projectHelp =
  `  --schema FILE         the application's schema module, which builds the keys
  --database-url URL    the database; default: the variable DATABASE_URL, which other users cannot see
  --casing CASING       snake_case or camelCase, if the application gives "casing" to Drizzle
  --config FILE         drizzle-kit's configuration, for what is not given; default: drizzle.config.ts,
                        .js or .mjs, if it is there. Node loads TypeScript from its version 22.18 on
`;

/** An application. */
export interface Project {
  readonly tables: readonly NamedTable[];
  /** URL of its database. */
  readonly url: string;
  readonly casing: Casing | undefined;
}

/** Reads what is given, and the rest from the environment and drizzle-kit's configuration. */
export async function readProject(options: OptionValues<typeof projectOptions>): Promise<Project> {
  const casing = parseCasing(options.casing);
  if (passwordOf(options["database-url"])) {
    stderr.line(stderr.style(
      "yellow",
      "--database-url holds a password, which other users of this machine can see; set DATABASE_URL instead",
    ));
  }
  const config = await configFor(options);
  const schema = options.schema === undefined ? config?.schema ?? [] : [options.schema];
  if (schema.length === 0) {
    throw new UsageError(
      "give the schema module: --schema ./schema.ts, or a drizzle.config.ts that names it",
    );
  }
  // Before the environment is read: the module may load a .env file.
  const tables = await findTables(schema);
  const url = options["database-url"] || process.env["DATABASE_URL"] || config?.url;
  if (!url) throw new UsageError("set DATABASE_URL, or give --database-url");
  return { tables, url, casing: casing ?? config?.casing };
}

/** Reads the configuration, unless nothing is left that could be in it. */
async function configFor(
  options: OptionValues<typeof projectOptions>,
): Promise<DrizzleConfig | undefined> {
  if (options.config !== undefined) return await readConfig(options.config);
  const hasUrl = Boolean(options["database-url"] || process.env["DATABASE_URL"]);
  if (options.schema !== undefined && hasUrl && options.casing !== undefined) return undefined;
  const path = findConfig();
  if (path === undefined) return undefined;
  try {
    return await readConfig(path);
  } catch (error) {
    if (options.schema === undefined || !hasUrl || !(error instanceof Failure)) throw error;
    // Where the application runs, there need not be a drizzle-kit.
    stderr.line(
      `${error.message}. Going on without it: give --casing if the application gives "casing" to Drizzle`,
    );
    return undefined;
  }
}

function passwordOf(url: string | undefined): string | undefined {
  try {
    return url === undefined ? undefined : new URL(url).password;
  } catch {
    return undefined;
  }
}
