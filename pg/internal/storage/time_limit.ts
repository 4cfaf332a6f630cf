/** The time that one call of a storage has. */

import { DeadlineExceededError, type StorageOperation } from "../../../errors.ts";

/**
 * How much longer than the limit a connection is waited for that is to roll back, in milliseconds. Only then the server
 * ends an idle session, and the storage closes a connection.
 */
export const GRACE_MS = 1_000;

/** What is done, and how long it may take. */
export interface Terms {
  readonly operation: StorageOperation;
  /** How messages begin. */
  readonly attempt: string;
  readonly limit: TimeLimit;
}

export class TimeLimit {
  readonly limitMs: number;
  readonly #endsAt: number;

  /** @param limitMs The limit in milliseconds, which begins now. */
  constructor(limitMs: number) {
    this.limitMs = limitMs;
    this.#endsAt = performance.now() + limitMs;
  }

  /** What is left, in milliseconds; 0 when the limit was reached. */
  remainingMs(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /**
   * Waits for a step until the limit, or a little longer. What becomes of the step afterwards is ignored.
   *
   * @throws {DeadlineExceededError} The limit was reached first.
   */
  async wait<T>(attempt: string, step: PromiseLike<T>, graceMs = 0): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.exceeded(attempt)), this.remainingMs() + graceMs);
    });
    try {
      return await Promise.race([step, end]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The error for a limit that was reached. */
  exceeded(attempt: string): DeadlineExceededError {
    return new DeadlineExceededError(attempt, this.limitMs);
  }
}
