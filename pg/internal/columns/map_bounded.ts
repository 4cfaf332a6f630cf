/** Processes many values with bounded concurrency and without blocking the event loop. */

/** High enough to keep every core or a key service busy; low enough to bound memory. */
const CONCURRENCY = 256;

/** After this many values the event loop gets a turn. */
const VALUES_IN_A_TURN = 256;

/** A text counts as one more value per this many characters. */
const CHARACTERS_OF_A_VALUE = 4_096;

/** Options for processing many values. */
export interface Bounds {
  /** The maximum number of values in flight. */
  readonly limit?: number;
  /** Maps the error of the value at an index to the error thrown. */
  readonly explain?: (error: unknown, index: number) => unknown;
}

/**
 * Processes values by index, a limited number at a time: the next starts as soon as one has ended.
 *
 * @param count The number of values.
 * @param work Called for each index, in order. A result that is not a promise is done immediately.
 * @throws The error of the failed value with the lowest index, once no value is in flight. After a
 *   failure, no further value starts.
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
        // Values that started earlier are still in flight and may fail, too.
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
 * @param map Called in the order of the values. A result that is not a promise is used directly.
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

/**
 * Deno polls sockets only when it waits for another thread. That is expensive, so it happens once
 * in this many turns.
 */
const TURNS_WITHOUT_SOCKETS = 8;

/** Resolves after timers, and now and then sockets, had a turn, as far as the runtime allows. */
async function turnOfEventLoop(number: number): Promise<void> {
  const { setImmediate } = globalThis as Runtime;
  if (setImmediate) await new Promise<void>((resolve) => setImmediate(resolve));
  // Bun hashes fewer bytes on the same thread.
  if (!setImmediate || number % TURNS_WITHOUT_SOCKETS === 0) {
    await crypto.subtle.digest("SHA-256", new Uint8Array(128));
  }
}
