/**
 * Runs a runner of `tests/runtimes` and reads its TAP strictly: ending early, a wrong count, or an
 * exit status that contradicts the results is a failure.
 */
import { startProgram } from "../program.ts";
import type { Outcome } from "./target.ts";

/** Time limit of a runner in milliseconds: longer ones hang. */
const LIMIT_MS = 900_000;

/** How to start a runner, and its name in the table. */
export interface Runner {
  readonly path: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly versions: string;
}

/** @param job The runner's job, as JSON in the variable JOB. */
export async function runTap(runner: Runner, job: object): Promise<Outcome> {
  const { path, args, cwd, versions } = runner;
  const { kill, ended } = startProgram(path, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", JOB: JSON.stringify(job) },
  });
  const timer = setTimeout(() => kill("SIGKILL"), LIMIT_MS);
  const { code, stdout: output, stderr } = await ended.finally(() => clearTimeout(timer));
  const planned = Number(/^1\.\.(\d+)$/m.exec(output)?.[1] ?? 0);
  const passed = output.match(/^ok \d+ - /gm)?.length ?? 0;
  const failures: string[] = output.match(/^not ok \d+ - .*(?:\n# .*){0,20}/gm) ?? [];
  const ran = passed + failures.length;
  if (planned === 0 || planned !== ran || (code === 0) !== (failures.length === 0)) {
    const end = (output + stderr).split("\n").slice(-30).join("\n");
    failures.push(`status ${code}, ${ran} of ${planned} planned cases ran\n${end}`);
  }
  return { versions, passed, failures };
}
