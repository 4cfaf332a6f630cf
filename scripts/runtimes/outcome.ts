/**
 * What came of a cell, read from TAP as strictly as possible: a runner that ends early, counts wrong or
 * exits with another status than its results deserve has failed.
 *
 * @module
 */

/** What came of a cell. */
export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  /** What went wrong, for people. */
  readonly failures: readonly string[];
}

/**
 * Reads TAP.
 *
 * @param output What the runner printed.
 * @param status Its exit status.
 */
export function outcomeOfTap(output: string, status: number): Outcome {
  const lines = output.split("\n");
  const planned = Number(lines.map((line) => /^1\.\.(\d+)$/.exec(line)?.[1]).find(Boolean) ?? 0);
  const passed = lines.filter((line) => /^ok \d+ - /.test(line)).length;
  const failures: string[] = [];
  for (let index = 0; index < lines.length; index++) {
    if (!/^not ok \d+ - /.test(lines[index]!)) continue;
    const failure = [lines[index]!];
    while (lines[index + 1]?.startsWith("# ")) failure.push(lines[++index]!);
    failures.push(failure.slice(0, 20).join("\n"));
  }
  let failed = failures.length;
  if (planned === 0 || planned !== passed + failed) {
    failures.push(
      `of ${planned} planned cases, ${passed + failed} ran\n${lines.slice(-20).join("\n")}`,
    );
    failed = Math.max(failed + 1, planned - passed);
  } else if ((status === 0) !== (failed === 0)) {
    failures.push(`status ${status} with ${failed} failures\n${lines.slice(-20).join("\n")}`);
    failed++;
  }
  return { passed, failed, failures };
}

/** What came of several steps together. */
export function sumOfOutcomes(outcomes: readonly Outcome[]): Outcome {
  return {
    passed: outcomes.reduce((sum, { passed }) => sum + passed, 0),
    failed: outcomes.reduce((sum, { failed }) => sum + failed, 0),
    failures: outcomes.flatMap(({ failures }) => failures),
  };
}

/** What comes of a step that succeeds or throws. */
export async function outcomeOfStep(name: string, step: () => Promise<void>): Promise<Outcome> {
  try {
    await step();
    return { passed: 1, failed: 0, failures: [] };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { passed: 0, failed: 1, failures: [`${name}: ${text}`] };
  }
}
