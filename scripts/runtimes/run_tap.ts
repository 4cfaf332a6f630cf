/**
 * Runs a runner and reads its TAP as strictly as possible: one that ends early, counts wrong or exits with
 * another status than its results deserve has failed.
 *
 * @module
 */
import type { Shared } from "./shared.ts";
import type { Outcome } from "./target.ts";

/** No runner takes this long unless it hangs, in milliseconds. */
const LIMIT_MS = 900_000;

/** What came of a runner, with the JSON that a case noted. */
export type RunnerOutcome = Outcome & { readonly note?: string | undefined };

/**
 * Runs it to its end.
 *
 * @param command The runtime, what it is called in the table, and its arguments.
 * @param job What the runner finds as JSON in the variable JOB.
 */
export async function runTap(
  shared: Shared,
  command: { path: string; args: string[]; cwd: string; versions: string },
  job: object,
): Promise<RunnerOutcome> {
  const { path, args, cwd, versions } = command;
  const child = shared.directory.spawn(path, {
    args,
    cwd,
    env: { NO_COLOR: "1", TMPDIR: shared.path("tmp"), JOB: JSON.stringify(job) },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  const { code, stdout, stderr } = await child.output().finally(() => clearTimeout(timer));
  const [output, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { versions, ...readTap(output!, code, errors!) };
}

function readTap(output: string, status: number, errors: string) {
  const planned = Number(/^1\.\.(\d+)$/m.exec(output)?.[1] ?? 0);
  const passed = output.match(/^ok \d+ - /gm)?.length ?? 0;
  const failures: string[] = output.match(/^not ok \d+ - .*(?:\n# .*){0,20}/gm) ?? [];
  const ran = passed + failures.length;
  if (planned === 0 || planned !== ran || (status === 0) !== (failures.length === 0)) {
    const [end, said] = [output, errors].map((text) => text.split("\n").slice(-20).join("\n"));
    failures.push(`status ${status}, ${ran} of ${planned} planned cases ran\n${end}${said}`);
  }
  return { passed, failures, note: /^# (\{.*\})$/m.exec(output)?.[1] };
}
