#!/usr/bin/env node
/**
 * # Command line tool
 *
 * Generates keys, counts the stored values by key and re-encrypts them; compares the stored
 * instances with mStudio and repairs them. Run it as `mitthooks-drizzle` with npm, or as
 * `deno run -A jsr:@wais/mitthooks-drizzle/cli` with Deno.
 *
 * ```sh
 * npx mitthooks-drizzle keygen --write .env
 * npx mitthooks-drizzle status --schema ./schema.ts
 * npx mitthooks-drizzle reencrypt --schema ./schema.ts --dry-run
 * npx mitthooks-drizzle compare --schema ./schema.ts --repair
 * npx mitthooks-drizzle reencrypt --help
 * ```
 *
 * `status`, `reencrypt` and `compare` load the application's schema module and use its keys; that
 * module reads master passwords from the environment, never from arguments. They connect through
 * postgres.js or node-postgres, whichever is installed.
 *
 * Runs on Deno, Bun and Node.js. Importing the module runs no command.
 *
 * @module
 */

import { createRequire } from "node:module";
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as compare from "./cli/compare.ts";
import { describeError, UsageError } from "./cli/errors.ts";
import * as keygen from "./cli/keygen.ts";
import * as mstudio from "./cli/mstudio.ts";
import { stderr, stdout, styled } from "./cli/output.ts";
import * as reencrypt from "./cli/reencrypt.ts";
import * as status from "./cli/status.ts";
import { closestTo } from "./cli/suggestion.ts";

/** Equal to the manifest's; a test compares them. */
const VERSION = "0.3.0";

const help =
  `Generates and changes the keys of encrypted columns, compares extension instances with mStudio
and repairs them, and delivers webhooks for local development.

Usage: mitthooks-drizzle COMMAND [OPTIONS]

Commands:
  compare     compares the table of instances with mStudio, and repairs it
  keygen      generates a master password and a salt
  mstudio     delivers the webhooks of a simulated mStudio
  status      counts the values by key
  reencrypt   encrypts every value with the current key

mitthooks-drizzle COMMAND --help, or help COMMAND, shows more about each.

Options of all commands:
  --env-file FILE   sets the variables of FILE that are not set yet
  --version         shows the version
`;

/** One module per command: its `help`, and `run`, which resolves to the exit status. */
const commands = new Map(Object.entries({ compare, keygen, mstudio, status, reencrypt }));

/**
 * Runs a command. Prints to standard output and standard error. Exported by
 * `@wais/mitthooks-drizzle/cli`.
 *
 * @param args The arguments after the program's name.
 * @returns The exit status: 0 for success with nothing left to do; 1 for a failure, values that
 *   cannot be read or written, or a table that differs from mStudio; 2 for invalid arguments or a
 *   table that could not be compared; 130 after Ctrl-C and 143 after SIGTERM.
 *
 * @example Show the help of a command
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { main } from "@wais/mitthooks-drizzle/cli";
 *
 * assertEquals(await main(["status", "--help"]), 0);
 * ```
 */
export async function main(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args;
  const name = first === "help" ? rest[0] : first;
  const command = commands.get(name!);
  const asks = (...options: string[]) =>
    options.includes(first!) || (command && options.some((option) => rest.includes(option)));
  if (asks("--version")) {
    stdout.line(VERSION);
    return 0;
  }
  if (name === undefined && first === "help") return showHelp(help);
  if (asks("--help", "-h") || (first === "help" && command)) return showHelp(command?.help ?? help);
  if (!command) {
    if (name !== undefined) {
      // Does not repeat the argument: it might be a misplaced password.
      const close = closestTo(name, commands.keys());
      const meant = close === undefined ? "" : `; did you mean ${close}?`;
      stderr.line(styled("red", `There is no such command${meant}`));
    }
    stderr.text(help);
    return 2;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    stderr.line(styled("red", `${name}: ${describeError(error)}`));
    if (!(error instanceof UsageError)) return 1;
    stderr.line(`mitthooks-drizzle ${name} --help shows more`);
    return 2;
  }
}

function showHelp(text: string): 0 {
  stdout.text(text);
  return 0;
}

/** Whether this module was started as a program. Node.js has `import.meta.main` only from 24. */
function isProgram(): boolean {
  const { main } = import.meta as { main?: boolean };
  if (main !== undefined) return main;
  const started = process.argv[1];
  if (started === undefined || !import.meta.url.startsWith("file:")) return false;
  try {
    // npm starts commands through a link, and Node.js accepts paths without extension.
    const path = createRequire(import.meta.url).resolve(resolve(started));
    return path === fileURLToPath(import.meta.url);
  } catch {
    // With code on the command line, the first argument is not a path.
    return false;
  }
}

if (isProgram()) {
  main(process.argv.slice(2)).then((status) => {
    // Connections that the schema module opened would keep the process alive.
    process.stdout.write("", () => process.stderr.write("", () => process.exit(status)));
  });
}
