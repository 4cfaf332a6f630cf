#!/usr/bin/env node
/**
 * # Operator's command
 *
 * Makes keys, tells under which keys the stored values are, and re-encrypts them. With npm it is the
 * command `mitthooks-drizzle`; with Deno, `deno run -A jsr:@wais/mitthooks-drizzle/cli`.
 *
 * ```sh
 * npx mitthooks-drizzle keygen --write .env
 * npx mitthooks-drizzle status --schema ./schema.ts
 * npx mitthooks-drizzle reencrypt --schema ./schema.ts --dry-run
 * npx mitthooks-drizzle reencrypt --help
 * ```
 *
 * `status` and `reencrypt` load the application's own schema module, so they use its keys; master passwords
 * come from the environment that this module reads, never from arguments. They connect through postgres.js
 * or node-postgres, whichever is installed.
 *
 * Runs on Deno, Bun and Node, as a program only; imported, the module does nothing.
 *
 * @module
 */

import { realpathSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runCli } from "./cli/run.ts";

/**
 * Runs the command, from `@wais/mitthooks-drizzle/cli`. Prints to standard output and standard error.
 *
 * @param args The arguments after the program's name.
 * @returns The exit status: 0 for success with nothing left to do, 1 for a failure, unreadable values or
 * values that could not be written, 2 for arguments that make no sense, 130 after Ctrl-C and 143 after SIGTERM.
 *
 * @example Show the help of a command
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { main } from "@wais/mitthooks-drizzle/cli";
 *
 * assertEquals(await main(["status", "--help"]), 0);
 * ```
 */
export function main(args: readonly string[]): Promise<number> {
  return runCli(args);
}

/** Node tells it by `import.meta.main` only since its version 24. */
function isProgram(): boolean {
  const { main } = import.meta as { main?: boolean };
  if (main !== undefined) return main;
  const started = process.argv[1];
  // npm starts commands through a link.
  return started !== undefined && import.meta.url.startsWith("file:") &&
    realpathSync(started) === fileURLToPath(import.meta.url);
}

if (isProgram()) {
  main(process.argv.slice(2)).then((status) => {
    // The schema module may have opened connections of its own, which nobody would close.
    process.stdout.write("", () => process.stderr.write("", () => process.exit(status)));
  });
}
