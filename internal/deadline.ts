/** One time limit over several steps that follow each other. */

import { DeadlineExceededError } from "../errors.ts";

/** Starts counting when it is made. Whoever makes it must {@linkcode Deadline.clear | clear} it. */
export class Deadline {
  readonly #limitMs: number;
  readonly #endsAt: number;
  /** Set when there is something to wait for. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  // One step at a time, so one slot. Racing each step against one long-lived promise would instead collect a
  // reaction for every chunk of a body.
  #expire: (() => void) | undefined;
  #expired = false;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
    this.#endsAt = performance.now() + limitMs;
  }

  /**
   * Waits for one step, but not longer than the limit. A step that goes on after that is left alone: whatever becomes
   * of it, its failure included, is ignored.
   *
   * @throws {DeadlineExceededError} When the limit is reached first.
   */
  run<T>(attempt: string, step: () => T | PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const expire = () => reject(new DeadlineExceededError(attempt, this.#limitMs));
      // The clock is asked as well: steps that finish without the event loop turning would starve the timer.
      if (this.#expired || this.remainingMs() === 0) return expire();
      this.#expire = expire;
      this.#timer ??= setTimeout(() => {
        this.#expired = true;
        this.#expire?.();
      }, Math.ceil(this.remainingMs()));
      new Promise<T>((done) => done(step())).then(resolve, reject);
    });
  }

  /**
   * For the loops within a step, which could go on without the event loop turning.
   *
   * @throws {DeadlineExceededError} When the limit was reached.
   */
  check(attempt: string): void {
    if (this.remainingMs() === 0) throw new DeadlineExceededError(attempt, this.#limitMs);
  }

  /** What is left of the limit, in milliseconds; 0 when it was reached. */
  remainingMs(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /** Stops the timer. */
  clear(): void {
    this.#expire = undefined;
    clearTimeout(this.#timer);
  }
}
