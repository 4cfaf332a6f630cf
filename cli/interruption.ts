/** Ctrl-C and the like during work that can be stopped between two steps. */

import process from "node:process";
import { stderr } from "./output.ts";
import { onSignals } from "./signals.ts";

/** `bunx` and others pass on what the terminal has sent already: within this time, in milliseconds, it is the same. */
const SAME_SIGNAL_MS = 1_000;

/**
 * Runs work with a signal that the first Ctrl-C aborts, with the exit status as its reason. The next one ends the
 * program.
 */
export async function interruptible<T>(
  stopping: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const interruption = new AbortController();
  const { signal } = interruption;
  let abortedAt = 0;
  const ignoreSignals = onSignals((status) => {
    if (signal.aborted) {
      if (performance.now() - abortedAt > SAME_SIGNAL_MS) process.exit(status);
      return;
    }
    abortedAt = performance.now();
    interruption.abort(status);
    stderr.line();
    stderr.line(`${stopping}; once more to stop at once`);
  });
  try {
    return await work(signal);
  } finally {
    ignoreSignals();
  }
}
