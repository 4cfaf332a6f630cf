/** Pauses, concurrency limits and rate limits. */

/** Time in milliseconds; tests replace it to save time. */
export const clock = {
  now: (): number => performance.now(),
  setTimeout: (run: () => void, ms: number): ReturnType<typeof setTimeout> => setTimeout(run, ms),
};

/** Waits. Rejects with the signal's reason when it is aborted. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const end = () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    };
    const timer = clock.setTimeout(end, ms);
    const abort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/**
 * Processes items of a source with limited concurrency. Takes no further item after a failure.
 * Settles when no item is in progress: resolves, or rejects with the first failure.
 */
export async function forEachOf<T>(
  source: Iterable<T> | AsyncIterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in source
    ? source[Symbol.asyncIterator]()
    : source[Symbol.iterator]();
  const failures: unknown[] = [];
  // One call at a time: iterators need not support concurrent calls of `next`.
  let taking: Promise<unknown> = Promise.resolve();
  const take = (): Promise<IteratorResult<T>> => {
    const next = taking.then(() => iterator.next());
    taking = next.catch(() => {});
    return next;
  };
  const worker = async () => {
    try {
      for (let next = await take(); !next.done; next = await take()) {
        if (failures.length > 0) return;
        await work(next.value);
      }
    } catch (error) {
      failures.push(error);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failures.length > 0) throw failures[0];
}

/** Limits the number of concurrent calls; the others wait in order. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  async run<T>(call: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await call();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/** Spaces the starts of calls. */
export class Pace {
  #turn: Promise<void> = Promise.resolve();
  #begun = -Infinity;

  constructor(readonly intervalMs: number) {}

  /** Waits for the next start; waiting calls start one after the other. */
  turn(signal: AbortSignal | undefined): Promise<void> {
    const turn = this.#turn.then(async () => {
      const leftMs = this.#begun + this.intervalMs - clock.now();
      if (leftMs > 0) await pause(leftMs, signal);
      this.#begun = clock.now();
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
