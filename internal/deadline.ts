/** One time limit for a sequence of steps. */

import { DeadlineExceededError } from "../errors.ts";

/** Starts counting when it is constructed. The owner must {@linkcode Deadline.clear | clear} it. */
export class Deadline {
  readonly #limitMs: number;
  readonly #endsAt: number;
  /** Started by the first step. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  // One slot, since steps run one at a time. Racing each step against one long-lived promise would
  // accumulate a reaction for every chunk of a body.
  #expire: (() => void) | undefined;
  #expired = false;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
    this.#endsAt = performance.now() + limitMs;
  }

  /**
   * Waits for one step until the limit. A step that runs longer is not cancelled; its outcome, even
   * a failure, is ignored.
   *
   * @throws {DeadlineExceededError} When the deadline passes first.
   */
  run<T>(attempt: string, step: () => T | PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const expire = () => reject(new DeadlineExceededError(attempt, this.#limitMs));
      // Checks the clock, too: steps that finish without a turn of the event loop starve the timer.
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
   * For loops within a step, which may run without a turn of the event loop.
   *
   * @throws {DeadlineExceededError} When the deadline has passed.
   */
  check(attempt: string): void {
    if (this.remainingMs() === 0) throw new DeadlineExceededError(attempt, this.#limitMs);
  }

  /** The time left in milliseconds; 0 after the deadline. */
  remainingMs(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /** Stops the timer. */
  clear(): void {
    this.#expire = undefined;
    clearTimeout(this.#timer);
  }
}
