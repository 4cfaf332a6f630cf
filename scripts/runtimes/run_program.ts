/**
 * Runs a runner and reads its TAP.
 *
 * @module
 */
import type { Lab } from "./lab.ts";
import { type Outcome, outcomeOfTap } from "./outcome.ts";

/** No cell takes this long unless it hangs, in milliseconds. */
const LIMIT_MS = 900_000;

/** How to start a runner. */
export interface RunnerOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Runs it to its end. */
export async function runRunner(lab: Lab, options: RunnerOptions): Promise<Outcome> {
  const child = lab.directory.spawn(options.command, {
    args: [...options.args],
    cwd: options.cwd,
    env: { NO_COLOR: "1", TMPDIR: lab.path("tmp"), ...options.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  try {
    const { code, stdout, stderr } = await child.output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    const outcome = outcomeOfTap(out!, code);
    return outcome.failed === 0 || err === ""
      ? outcome
      : { ...outcome, failures: [...outcome.failures, err!.split("\n").slice(-20).join("\n")] };
  } finally {
    clearTimeout(timer);
  }
}
