/**
 * The calls of a storage that are under way. Drivers queue what they cannot send, without a limit, and go on with what
 * was given up long ago. So only so many are given to the storage at once, and everything else is refused at once.
 */

import { BusyError } from "../../errors.ts";
import type { Deadline } from "../../internal/deadline.ts";

/** After so many time limits a call counts as dead: on Cloudflare Workers some never settle. */
const DEAD_AFTER = 10;

/** The calls of one handler's storage. */
export class StorageCalls {
  readonly #limit: number;
  readonly #deadAfterMs: number;
  /** When each was begun: the oldest comes first. */
  readonly #running: Map<symbol, number> = new Map();

  /**
   * @param limit How many may be under way at once.
   * @param timeoutMs The time limit of a delivery.
   */
  constructor(limit: number, timeoutMs: number) {
    this.#limit = limit;
    this.#deadAfterMs = DEAD_AFTER * timeoutMs;
  }

  /**
   * Makes a call, and waits for it until the deadline. It counts until it ends, also after the deadline.
   *
   * @throws {BusyError} Too many are under way.
   * @throws {DeadlineExceededError} It did not end in time.
   */
  async run<T>(attempt: string, deadline: Deadline, call: () => Promise<T> | T): Promise<T> {
    if (this.#countRunning() >= this.#limit) {
      throw new BusyError(`${this.#limit} calls of the storage are under way`, attempt);
    }
    return await deadline.run(attempt, () => this.#begin(call));
  }

  #begin<T>(call: () => Promise<T> | T): Promise<T> {
    const id = Symbol();
    this.#running.set(id, performance.now());
    const end = () => this.#running.delete(id);
    const result = new Promise<T>((resolve) => resolve(call()));
    result.then(end, end);
    return result;
  }

  #countRunning(): number {
    const dead = performance.now() - this.#deadAfterMs;
    for (const [id, begun] of this.#running) {
      if (begun > dead) break;
      this.#running.delete(id);
    }
    return this.#running.size;
  }
}
