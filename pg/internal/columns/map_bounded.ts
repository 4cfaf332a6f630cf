/** Works on many values without starting all of them at once, and without holding up the event loop. */

/** Enough to keep every core, or a key service, busy; few enough to stay small. */
const CONCURRENCY = 256;

/** After so many values the event loop gets its turn. */
const VALUES_IN_A_TURN = 256;

/** A text counts as one value more for every so many characters. */
const CHARACTERS_OF_A_VALUE = 4_096;

/** How to work on many values. */
export interface Bounds {
  /** How many may be at work at once. */
  readonly limit?: number;
  /** Makes what is thrown of what the value of an index failed with. */
  readonly explain?: (error: unknown, index: number) => unknown;
}

/**
 * Works on values by their indexes, a limited number at a time: the next one begins as soon as one of them has ended.
 *
 * @param count How many there are.
 * @param work Called for each index, in order. A result that is no promise counts as done at once.
 * @throws What the first of them that failed, in their order, failed with. None is at work any more then, and
 * none begins after a failure.
 */
export async function eachBounded(
  count: number,
  work: (index: number) => unknown,
  { limit = CONCURRENCY, explain = (error) => error }: Bounds = {},
): Promise<void> {
  let next = 0;
  let firstFailed = count;
  let reason: unknown;
  let done = 0;
  let turns = 0;
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
        turn ??= turnOfEventLoop(turns++).then(() => {
          done = 0;
          turn = undefined;
        });
        await turn;
        continue;
      }
      const index = next++;
      try {
        let result = work(index);
        if (isPromise(result)) {
          if (begun < limit && next < firstFailed) beginLane();
          result = await result;
        }
        done += 1 + (typeof result === "string" ? result.length / CHARACTERS_OF_A_VALUE : 0);
      } catch (error) {
        // Those that began before are still at work, and one of them may fail, too.
        if (index < firstFailed) [firstFailed, reason] = [index, explain(error, index)];
      }
    }
  };
  beginLane();
  for (const lane of lanes) await lane;
  if (firstFailed < count) throw reason;
}

/**
 * The same for an array.
 *
 * @param map Called in the order of the values. A result that is no promise is taken at once.
 * @returns The results, in the order of the values.
 */
export async function mapBounded<T, U>(
  values: readonly T[],
  map: (value: T) => U | Promise<U>,
  bounds?: Bounds,
): Promise<U[]> {
  const results = new Array<U>(values.length);
  await eachBounded(values.length, (index) => {
    const mapped = map(values[index]!);
    return isPromise(mapped)
      ? mapped.then((result) => results[index] = result)
      : results[index] = mapped;
  }, bounds);
  return results;
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | null | undefined)?.then === "function";
}

interface Runtime {
  readonly setImmediate?: (run: () => void) => void;
}

/** Deno looks at sockets only when it waits for another thread, which costs more than all else: every so many turns. */
const TURNS_WITHOUT_SOCKETS = 8;

/** Resolves after timers, and now and then sockets, had their turn, as far as the runtime has such a thing. */
async function turnOfEventLoop(number: number): Promise<void> {
  const { setImmediate } = globalThis as Runtime;
  if (setImmediate) await new Promise<void>((resolve) => setImmediate(resolve));
  // For fewer bytes Bun asks no other thread.
  if (!setImmediate || number % TURNS_WITHOUT_SOCKETS === 0) {
    await crypto.subtle.digest("SHA-256", new Uint8Array(128));
  }
}
