/** Ctrl-C and other signals during work that can stop between two steps. */

import process from "node:process";
import { stderr } from "./output.ts";
import { onSignals } from "./signals.ts";

/** `bunx` and others repeat the terminal's signal: within this time (ms), it is ignored. */
const SAME_SIGNAL_MS = 1_000;

/**
 * Runs work with an abort signal. The first Ctrl-C aborts it, with the exit status as reason. The
 * second one ends the program.
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
    stderr.line(`${stopping}; press Ctrl-C again to stop at once`);
  });
  try {
    return await work(signal);
  } finally {
    ignoreSignals();
  }
}
