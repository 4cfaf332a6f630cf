/**
 * The calls of a storage that are under way. Drivers queue what they cannot send, without a limit, and go on with what
 * was given up long ago: once more comes in than the storage can take, nothing would succeed within the time limit any
 * more, also when less comes in again. So while a storage does not keep up, it is given what it can do in time.
 */

import { BusyError, DeadlineExceededError } from "../../errors.ts";
import type { Deadline } from "../../internal/deadline.ts";

/** So many may always be under way: some that wait for a lock do not keep others away. */
const MIN_LIMIT = 32;
/** More may never be under way: nobody knows yet how much can be done in time. */
const MAX_LIMIT = 1_000;
/** The share of what ends within the time limit that may be under way: what is new then waits for half of the time. */
const SHARE = 0.5;
/** After so many time limits without a refusal and without a call that is given up, it keeps up again. */
const CALM_AFTER = 2;
/** After so many time limits a call is dead: on Cloudflare Workers some never settle. */
const DEAD_AFTER = 10;

/** The calls of one handler's storage. */
export class StorageCalls {
  readonly #timeoutMs: number;
  /** When each was begun: the oldest comes first. */
  readonly #running: Map<symbol, number> = new Map();
  /** How many ended in this period, which lasts a time limit, and in the one before. */
  #ended = 0;
  #endedBefore = 0;
  #periodBegan = performance.now();
  #behindUntil = 0;

  /** @param timeoutMs The time limit of a delivery. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Makes a call, and waits for it until the deadline.
   *
   * @throws {BusyError} The storage does not keep up.
   * @throws {DeadlineExceededError} It did not end in time.
   */
  async run<T>(attempt: string, deadline: Deadline, call: () => Promise<T> | T): Promise<T> {
    const now = performance.now();
    const isBehind = now < this.#behindUntil;
    if (this.#countRunning(now) >= (isBehind ? this.#limit(now) : MAX_LIMIT)) {
      if (isBehind) this.#fallBehind(now);
      throw new BusyError("the storage does not keep up", attempt);
    }
    try {
      return await deadline.run(attempt, () => this.#begin(call));
    } catch (error) {
      if (error instanceof DeadlineExceededError) this.#fallBehind(performance.now());
      throw error;
    }
  }

  #begin<T>(call: () => Promise<T> | T): Promise<T> {
    const id = Symbol();
    this.#running.set(id, performance.now());
    const end = () => {
      this.#turnPeriod(performance.now());
      if (this.#running.delete(id)) this.#ended++;
    };
    const result = new Promise<T>((resolve) => resolve(call()));
    result.then(end, end);
    return result;
  }

  #fallBehind(now: number): void {
    this.#behindUntil = now + CALM_AFTER * this.#timeoutMs;
  }

  #countRunning(now: number): number {
    for (const [id, begun] of this.#running) {
      if (now - begun <= DEAD_AFTER * this.#timeoutMs) break;
      this.#running.delete(id);
    }
    return this.#running.size;
  }

  #limit(now: number): number {
    this.#turnPeriod(now);
    const wanted = SHARE * Math.max(this.#ended, this.#endedBefore);
    return Math.min(MAX_LIMIT, Math.max(MIN_LIMIT, wanted));
  }

  #turnPeriod(now: number): void {
    const elapsed = now - this.#periodBegan;
    if (elapsed < this.#timeoutMs) return;
    this.#endedBefore = elapsed < 2 * this.#timeoutMs ? this.#ended : 0;
    this.#ended = 0;
    this.#periodBegan = now;
  }
}
