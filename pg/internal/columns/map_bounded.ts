/** Maps many values without starting all of them at once, and without holding up the event loop. */

/** Enough to keep every core, or a key service, busy; few enough to stay small. */
const CONCURRENCY = 256;

/** After so many values the event loop gets its turn. */
const VALUES_IN_A_TURN = 256;

/** A text counts as one value more for every so many characters. */
const CHARACTERS_OF_A_VALUE = 4_096;

/**
 * Maps values, a limited number at a time: the next one begins as soon as one of them has ended.
 *
 * @param values What to map.
 * @param map Called in the order of the values. A result that is no promise is taken at once.
 * @param options `limit`: how many may be at work at once. `explain`: makes what is thrown of what `map` failed
 * with.
 * @returns The results, in the order of the values.
 * @throws What the first of them that failed, in their order, failed with. None is at work any more then, and
 * none begins after a failure.
 */
export async function mapBounded<T, U>(
  values: readonly T[],
  map: (value: T) => U | Promise<U>,
  { limit = CONCURRENCY, explain = (error) => error }: {
    limit?: number;
    explain?: (error: unknown, value: T) => unknown;
  } = {},
): Promise<U[]> {
  const results = new Array<U>(values.length);
  let next = 0;
  let firstFailed = values.length;
  let reason: unknown;
  let done = 0;
  let turn: Promise<void> | undefined;
  let begun = 0;
  const lanes: Promise<void>[] = [];
  const beginLane = () => {
    begun++;
    lanes.push(lane());
  };
  const lane = async () => {
    while (next < firstFailed) {
      if (done >= VALUES_IN_A_TURN) {
        turn ??= turnOfEventLoop().then(() => {
          done = 0;
          turn = undefined;
        });
        await turn;
        continue;
      }
      const index = next++;
      try {
        const mapped = map(values[index]!);
        if (isPromise(mapped)) {
          if (begun < limit && next < firstFailed) beginLane();
          results[index] = await mapped;
        } else results[index] = mapped;
      } catch (error) {
        // Those that began before are still at work, and one of them may fail, too.
        if (index < firstFailed) [firstFailed, reason] = [index, explain(error, values[index]!)];
      }
      const result: unknown = results[index];
      done += 1 + (typeof result === "string" ? result.length / CHARACTERS_OF_A_VALUE : 0);
    }
  };
  beginLane();
  for (const lane of lanes) await lane;
  if (firstFailed < values.length) throw reason;
  return results;
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | null | undefined)?.then === "function";
}

interface Runtime {
  readonly setImmediate?: (run: () => void) => void;
}

/** Resolves after timers and sockets had their turn, as far as the runtime has such a thing. */
async function turnOfEventLoop(): Promise<void> {
  const { setImmediate } = globalThis as Runtime;
  await Promise.all([
    // Bun and Deno look at timers before one of these.
    setImmediate && new Promise<void>((resolve) => setImmediate(resolve)),
    // Deno looks at sockets when it waits for another thread; for fewer bytes Bun needs none.
    crypto.subtle.digest("SHA-256", new Uint8Array(128)),
  ]);
}
