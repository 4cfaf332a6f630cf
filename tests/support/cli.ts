/** Runs the operator's command as a process. */

import { fromFileUrl, join } from "../../scripts/lib/paths.ts";

const path = (relative: string) => fromFileUrl(new URL(relative, import.meta.url));

/** The program and the arguments that start the command. */
export const cliCommand = {
  program: Deno.execPath(),
  args: ["run", "-A", "--quiet", `--config=${path("../../deno.json")}`, path("../../cli.ts")],
} as const;

/** Where the command runs. */
export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const KEPT = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "NPM_CONFIG_REGISTRY", "TMPDIR"];

/** The environment, without what would change how the command behaves. */
export function cliEnvironment(env: CommandOptions["env"]): Record<string, string> {
  const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => KEPT.includes(name));
  return { ...Object.fromEntries(inherited), ...env };
}

/** Starts the command, and collects what it prints. */
export function startCommand(args: readonly string[], options: CommandOptions = {}) {
  const child = new Deno.Command(cliCommand.program, {
    ...options,
    args: [...cliCommand.args, ...args],
    env: cliEnvironment(options.env),
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const printed = { stdout: "", stderr: "" };
  const collect = async (name: "stdout" | "stderr") => {
    for await (const text of child[name].pipeThrough(new TextDecoderStream())) {
      printed[name] += text;
    }
  };
  const ended = Promise.all([child.status, collect("stdout"), collect("stderr")]);
  return {
    printed,
    kill: (signal: Deno.Signal) => child.kill(signal),
    ended: ended.then(([{ code }]) => ({ code, ...printed })),
  };
}

/** Runs the command to its end. */
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
