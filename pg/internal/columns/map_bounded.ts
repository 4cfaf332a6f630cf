/** Maps many values without starting all of them at once. */

/** Enough to keep every core, or a key service, busy; few enough to stay small. */
const CONCURRENCY = 256;

/**
 * Maps values, a limited number at a time: the next one begins as soon as one of them has ended.
 *
 * @param values What to map.
 * @param map Called in the order of the values.
 * @param limit How many may be at work at once.
 * @returns The results, in the order of the values.
 * @throws What the first of them that failed, in their order, failed with. None is at work any more then, and
 * none begins after a failure.
 */
export async function mapBounded<T, U>(
  values: readonly T[],
  map: (value: T, index: number) => Promise<U>,
  limit: number = CONCURRENCY,
): Promise<U[]> {
  const results = new Array<U>(values.length);
  let next = 0;
  let firstFailed = values.length;
  let reason: unknown;
  const work = async () => {
    while (next < firstFailed) {
      const index = next++;
      try {
        results[index] = await map(values[index]!, index);
      } catch (error) {
        // Those that began before are still at work, and one of them may fail, too.
        if (index < firstFailed) [firstFailed, reason] = [index, error];
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, values.length) }, work));
  if (firstFailed < values.length) throw reason;
  return results;
}
