/**
 * Limits concurrent storage calls. Drivers queue statements without a limit and continue with
 * abandoned ones, so calls beyond the limit are refused immediately.
 */

import { BusyError } from "../../errors.ts";
import type { Deadline } from "../../internal/deadline.ts";

/** After this many time limits a call counts as dead: on Cloudflare Workers some never settle. */
const DEAD_AFTER = 10;

/** The calls of one handler's storage. */
export class StorageCalls {
  readonly #limit: number;
  readonly #deadAfterMs: number;
  /** Start times, oldest first. */
  readonly #running: Map<symbol, number> = new Map();

  /**
   * @param limit The limit of concurrent calls.
   * @param timeoutMs The time limit of a delivery.
   */
  constructor(limit: number, timeoutMs: number) {
    this.#limit = limit;
    this.#deadAfterMs = DEAD_AFTER * timeoutMs;
  }

  /**
   * Makes a call and waits for it until the deadline. It counts until it ends, even after the
   * deadline.
   *
   * @throws {BusyError} When too many calls are running.
   * @throws {DeadlineExceededError} When the deadline passes first.
   */
  async run<T>(attempt: string, deadline: Deadline, call: () => Promise<T> | T): Promise<T> {
    if (this.#countRunning() >= this.#limit) {
      throw new BusyError(`${this.#limit} storage calls are in progress`, attempt);
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
