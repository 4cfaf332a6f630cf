/** A clock that can be set. */

/** Runs with the monotonic clock so many milliseconds ahead. Nothing else of the same process may wait meanwhile. */
export async function ahead<T>(ms: number, run: () => T | Promise<T>): Promise<T> {
  const { now } = performance;
  performance.now = () => now.call(performance) + ms;
  try {
    return await run();
  } finally {
    performance.now = now;
  }
}
