/**
 * Runs cases one after another, and reports in the form of TAP.
 *
 * @module
 */

/** A case without what it needs. */
export interface BoundCase {
  readonly name: string;
  run(): Promise<void>;
}

/** What came of a case. */
export interface CaseResult {
  readonly name: string;
  /** What was wrong, or nothing. */
  readonly error?: string;
}

/** No case takes this long unless it hangs, in milliseconds. */
const LIMIT_MS = 60_000;

/**
 * Runs all cases.
 *
 * @param cases The cases.
 * @param done Called with each result as soon as it is there.
 * @returns All results.
 */
export async function runCases(
  cases: Iterable<BoundCase>,
  done: (result: CaseResult) => void = () => {},
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const { name, run } of cases) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let result: CaseResult;
    try {
      await Promise.race([
        run(),
        new Promise((_, reject) => {
          timer = setTimeout(() => reject(new Error(`no end after ${LIMIT_MS} ms`)), LIMIT_MS);
        }),
      ]);
      result = { name };
    } catch (error) {
      result = { name, error: describe(error) };
    } finally {
      clearTimeout(timer);
    }
    results.push(result);
    done(result);
  }
  return results;
}

/** An error with its causes. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.stack?.includes(error.message) ? error.stack : `${error}\n${error.stack}`;
  return error.cause === undefined ? text : `${text}\nCaused by: ${describe(error.cause)}`;
}

/** A result as a line of TAP, with the error as comment. */
export function tapLine(index: number, { name, error }: CaseResult): string {
  const comment = error?.split("\n").map((line) => `\n# ${line}`).join("") ?? "";
  return `${error === undefined ? "ok" : "not ok"} ${index} - ${name}${comment}`;
}
