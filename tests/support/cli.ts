/** Runs the command as a process. */

import { fromFileUrl, join } from "../../tools/paths.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { startProgram } from "../../tools/program.ts";

const path = (relative: string) => fromFileUrl(new URL(relative, import.meta.url));

const cliCommand = {
  program: Deno.execPath(),
  args: ["run", "-A", "--quiet", `--config=${path("../../deno.json")}`, path("../../cli.ts")],
} as const;

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const KEPT = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "NPM_CONFIG_REGISTRY", "TMPDIR"];

/** The environment without variables that affect the command. */
function cliEnvironment(env: CommandOptions["env"]): Record<string, string> {
  const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => KEPT.includes(name));
  return { ...Object.fromEntries(inherited), ...env };
}

export const startCommand = (args: readonly string[], { cwd, env }: CommandOptions = {}) =>
  startProgram(cliCommand.program, {
    args: [...cliCommand.args, ...args],
    ...cwd !== undefined && { cwd },
    env: cliEnvironment(env),
    clearEnv: true,
  });

/** Runs the command on a pseudo-terminal, made by `script` of util-linux. */
export async function runOnTerminal(
  command: string,
  env: Readonly<Record<string, string>>,
  columns: number,
  answer?: { readonly to: string; readonly text: string },
) {
  const words = [cliCommand.program, ...cliCommand.args, ...command.split(" ")]
    .map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  const { ended, printed, write } = startProgram("script", {
    // A shell beside it, as for other programs, would be a child of `script`, which waits for all of them.
    stdin: "piped",
    // Quiet, flushed, with the program's exit status, and without a typescript.
    args: ["-qfec", `stty rows 24 cols ${columns} && exec ${words.join(" ")}`, "/dev/null"],
    env: { ...cliEnvironment(env), TERM: "xterm-256color", SHELL: "/bin/sh" },
    clearEnv: true,
  });
  if (answer) {
    await poll(() => printed.stdout.includes(answer.to));
    await write(answer.text);
  }
  return await ended;
}

export const runCommand = (args: readonly string[], options: CommandOptions = {}) =>
  startCommand(args, options).ended;

/** A folder with files; `await using` removes it. */
export async function createFolder(files: Readonly<Record<string, string>> = {}) {
  const path = await Deno.makeTempDir();
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(join(path, name, ".."), { recursive: true });
    await Deno.writeTextFile(join(path, name), text);
  }
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
