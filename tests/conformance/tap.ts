/** Runs a case and reports it as TAP. */

/** A case with all its inputs. */
export interface BoundCase {
  readonly name: string;
  run(): Promise<void>;
}

/** Time limit of a case in milliseconds: longer ones hang. */
const LIMIT_MS = 60_000;

/** Returns a line, with an error as comments. */
export async function runCase(index: number, { name, run }: BoundCase): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  let [verdict, comment] = ["ok", ""];
  try {
    await Promise.race([run(), limit]);
  } catch (error) {
    [verdict, comment] = ["not ok", describe(error)];
  } finally {
    clearTimeout(timer);
  }
  return `${verdict} ${index + 1} - ${name}\n${comment.replaceAll(/^.+$/gm, "# $&")}`.trimEnd();
}

/** An error with its causes. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.stack?.includes(error.message) ? error.stack : `${error}\n${error.stack}`;
  return error.cause === undefined ? text : `${text}\nCaused by: ${describe(error.cause)}`;
}
