/** Clocks that tests can set. */

/**
 * Runs with the monotonic clock ahead by milliseconds. Nothing else in the process may wait
 * meanwhile.
 */
export async function ahead<T>(ms: number, run: () => T | Promise<T>): Promise<T> {
  const { now } = performance;
  performance.now = () => now.call(performance) + ms;
  try {
    return await run();
  } finally {
    performance.now = now;
  }
}

/**
 * Runs at another time, in milliseconds since 1970. Nothing else in the process may wait meanwhile.
 */
export async function atTime<T>(now: number, run: () => T | Promise<T>): Promise<T> {
  const { Date } = globalThis;
  globalThis.Date = class extends Date {
    constructor(given: number = now) {
      super(given);
    }
    static override now = () => now;
  } as DateConstructor;
  try {
    return await run();
  } finally {
    globalThis.Date = Date;
  }
}
