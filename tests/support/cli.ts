/** Runs the operator's command as a process. */

import { fromFileUrl } from "../../scripts/lib/paths.ts";

const path = (relative: string) => fromFileUrl(new URL(relative, import.meta.url));

/** The program and the arguments that start the command. */
export const cliCommand = {
  program: Deno.execPath(),
  args: ["run", "-A", "--quiet", `--config=${path("../../deno.json")}`, path("../../cli.ts")],
} as const;

/** The environment, without what would change how the command behaves. */
export function cliEnvironment(env: Readonly<Record<string, string>>): Record<string, string> {
  const kept = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "NPM_CONFIG_REGISTRY", "TMPDIR"];
  const inherited = kept.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(inherited), ...env };
}

/** Starts the command with its output in pipes. */
export function startCommand(
  args: readonly string[],
  { env = {}, cwd }: { env?: Record<string, string>; cwd?: string } = {},
): Deno.ChildProcess {
  return new Deno.Command(cliCommand.program, {
    args: [...cliCommand.args, ...args],
    env: cliEnvironment(env),
    clearEnv: true,
    ...(cwd === undefined ? {} : { cwd }),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the command to its end. */
export async function runCommand(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await startCommand(args, options).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
