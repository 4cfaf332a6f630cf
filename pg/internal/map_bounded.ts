/** Bounded concurrency. */

/** Values at work at once: enough to keep every core busy, few enough to stay small. */
const LIMIT = 256;

/**
 * Maps values, at most 256 at a time; a next one begins whenever one has ended.
 *
 * @returns The results, in the order of the values.
 * @throws What the first of those that failed, in their order, failed with. None is at work any more then.
 */
export async function mapBounded<T, U>(
  values: readonly T[],
  map: (value: T, index: number) => Promise<U>,
): Promise<U[]> {
  const results = new Array<U>(values.length);
  let next = 0;
  let failed = Infinity;
  let failure: unknown;
  async function work(): Promise<void> {
    // Those behind a failure cannot be the first to fail.
    while (next < values.length && next < failed) {
      const index = next++;
      try {
        results[index] = await map(values[index]!, index);
      } catch (error) {
        if (index < failed) {
          failed = index;
          failure = error;
        }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(LIMIT, values.length) }, work));
  if (failed < Infinity) throw failure;
  return results;
}
