/** Finds the command that is asked for, and turns errors into what the operator sees. */

import process from "node:process";
import { type OptionsConfig, parseOptions } from "./arguments.ts";
import type { Command } from "./command.ts";
import { readEnvFile } from "./env_file.ts";
import { describeError } from "./failure.ts";
import { keygen } from "./keygen.ts";
import { mstudio } from "./mstudio.ts";
import { stderr, stdout } from "./output.ts";
import { reencrypt } from "./reencrypt.ts";
import { status } from "./status.ts";
import { UsageError } from "./usage_error.ts";
import { VERSION } from "./version.ts";

const help =
  `Keys of encrypted columns: makes them, and changes them. And webhooks for local development.

Usage: mitthooks-drizzle COMMAND [OPTIONS]

Commands:
  keygen      makes a master password and a salt
  mstudio     delivers the webhooks of a simulated mStudio
  status      counts the values under each key
  reencrypt   writes every value under the current key

mitthooks-drizzle COMMAND --help tells more about each.

Options of all commands:
  --env-file FILE   sets the variables of FILE that are not set
  --version         shows the version
`;

// Each command knows its own options alone.
// deno-lint-ignore no-explicit-any
const commands: ReadonlyMap<string, Command<any>> = new Map<string, Command<any>>([
  ["keygen", keygen],
  ["mstudio", mstudio],
  ["status", status],
  ["reencrypt", reencrypt],
]);

const COMMON_OPTIONS = { "env-file": { type: "string" } } as const satisfies OptionsConfig;

/** Runs the command line and resolves with its exit status. */
export async function runCli([name, ...args]: readonly string[]): Promise<number> {
  if (name === "--help" || name === "-h" || name === "help") {
    stdout.write(help);
    return 0;
  }
  const command = name === undefined ? undefined : commands.get(name);
  if (name === "--version" || (command && args.includes("--version"))) {
    stdout.line(VERSION);
    return 0;
  }
  if (!command) {
    if (name !== undefined) stderr.line(stderr.style("red", "There is no such command"));
    stderr.write(help);
    return 2;
  }
  if (args.includes("--help") || args.includes("-h")) {
    stdout.write(command.help);
    return 0;
  }
  try {
    const values = parseOptions(args, { ...command.options, ...COMMON_OPTIONS });
    const { "env-file": envFile, ...own } = values as { "env-file"?: string };
    if (envFile !== undefined) await setVariables(envFile);
    return await command.run(own);
  } catch (error) {
    stderr.line(stderr.style("red", `${name}: ${describeError(error)}`));
    if (!(error instanceof UsageError)) return 1;
    stderr.line(`mitthooks-drizzle ${name} --help tells more`);
    return 2;
  }
}

/** What the environment has comes first, as with `node --env-file`. */
async function setVariables(path: string): Promise<void> {
  for (const [name, value] of Object.entries(await readEnvFile(path))) {
    process.env[name] ??= value;
  }
}
