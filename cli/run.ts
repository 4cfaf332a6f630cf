/** Finds the command that is asked for, and turns errors into what the operator sees. */

import { describeError } from "./failure.ts";
import { keygen, keygenHelp } from "./keygen.ts";
import { stderr, stdout } from "./output.ts";
import { reencrypt, reencryptHelp } from "./reencrypt.ts";
import { status, statusHelp } from "./status.ts";
import { UsageError } from "./usage_error.ts";

const help = `Keys of encrypted columns: makes them, and changes them.

Usage: mitthooks-drizzle COMMAND [OPTIONS]

Commands:
  keygen      makes a master password and a salt
  status      counts the values under each key
  reencrypt   writes every value under the current key

mitthooks-drizzle COMMAND --help tells more about each.
`;

interface Command {
  readonly help: string;
  run(args: readonly string[]): Promise<number>;
}

const commands: ReadonlyMap<string, Command> = new Map([
  ["keygen", { help: keygenHelp, run: keygen }],
  ["status", { help: statusHelp, run: status }],
  ["reencrypt", { help: reencryptHelp, run: reencrypt }],
]);

/** Runs the command line and resolves with its exit status. */
export async function runCli([name, ...args]: readonly string[]): Promise<number> {
  if (name === "--help" || name === "-h" || name === "help") {
    stdout.write(help);
    return 0;
  }
  const command = name === undefined ? undefined : commands.get(name);
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
    return await command.run(args);
  } catch (error) {
    stderr.line(stderr.style("red", `${name}: ${describeError(error)}`));
    if (!(error instanceof UsageError)) return 1;
    stderr.line(`mitthooks-drizzle ${name} --help tells more`);
    return 2;
  }
}
