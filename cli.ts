#!/usr/bin/env node
/**
 * # Operator's command
 *
 * Makes keys, tells under which keys the stored values are, and re-encrypts them; compares the stored instances with
 * mStudio, and mends them. With npm it is the
 * command `mitthooks-drizzle`; with Deno, `deno run -A jsr:@wais/mitthooks-drizzle/cli`.
 *
 * ```sh
 * npx mitthooks-drizzle keygen --write .env
 * npx mitthooks-drizzle status --schema ./schema.ts
 * npx mitthooks-drizzle reencrypt --schema ./schema.ts --dry-run
 * npx mitthooks-drizzle compare --schema ./schema.ts --repair
 * npx mitthooks-drizzle reencrypt --help
 * ```
 *
 * `status`, `reencrypt` and `compare` load the application's own schema module, so they use its keys; master passwords
 * come from the environment that this module reads, never from arguments. They connect through postgres.js
 * or node-postgres, whichever is installed.
 *
 * Runs on Deno, Bun and Node, as a program only; imported, the module does nothing.
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

/** A test compares it with the manifest. */
const VERSION = "0.3.0";

const help =
  `Keys of encrypted columns: makes them, and changes them. Extension instances: compares them with
mStudio, and mends them. And webhooks for local development.

Usage: mitthooks-drizzle COMMAND [OPTIONS]

Commands:
  compare     compares the table of instances with mStudio, and mends it
  keygen      makes a master password and a salt
  mstudio     delivers the webhooks of a simulated mStudio
  status      counts the values under each key
  reencrypt   writes every value under the current key

mitthooks-drizzle COMMAND --help, or help COMMAND, tells more about each.

Options of all commands:
  --env-file FILE   sets the variables of FILE that are not set
  --version         shows the version
`;

/** A module for each: its `help`, and `run`, which takes the arguments and resolves with the exit status. */
const commands = new Map(Object.entries({ compare, keygen, mstudio, status, reencrypt }));

/**
 * Runs the command, from `@wais/mitthooks-drizzle/cli`. Prints to standard output and standard error.
 *
 * @param args The arguments after the program's name.
 * @returns The exit status: 0 for success with nothing left to do, 1 for a failure, unreadable values or
 * values that could not be written, or a table that differs from mStudio, 2 for arguments that make no sense and for a
 * table that could not be compared, 130 after Ctrl-C and 143 after SIGTERM.
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
      // The argument itself is not repeated: it might be a password in the wrong place.
      const close = closestTo(name, commands.keys());
      const meant = close === undefined ? "" : `; ${close} is meant?`;
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
    stderr.line(`mitthooks-drizzle ${name} --help tells more`);
    return 2;
  }
}

function showHelp(text: string): 0 {
  stdout.text(text);
  return 0;
}

/** Node tells it by `import.meta.main` only since its version 24. */
function isProgram(): boolean {
  const { main } = import.meta as { main?: boolean };
  if (main !== undefined) return main;
  const started = process.argv[1];
  if (started === undefined || !import.meta.url.startsWith("file:")) return false;
  try {
    // npm starts commands through a link, and Node takes paths without their extension.
    const path = createRequire(import.meta.url).resolve(resolve(started));
    return path === fileURLToPath(import.meta.url);
  } catch {
    // With code on the command line, it is whatever comes after that.
    return false;
  }
}

if (isProgram()) {
  main(process.argv.slice(2)).then((status) => {
    // The schema module may have opened connections of its own, which nobody would close.
    process.stdout.write("", () => process.stderr.write("", () => process.exit(status)));
  });
}
