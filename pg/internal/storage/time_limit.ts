/** The time limit of a storage call. */

import { DeadlineExceededError, type StorageOperation } from "../../../errors.ts";

/**
 * Extra time after the limit for a rollback, in milliseconds. Only after it does the server end an
 * idle session, and the storage close a connection.
 */
export const GRACE_MS = 1_000;

/** An operation and its time limit. */
export interface Terms {
  readonly operation: StorageOperation;
  /** Start of the messages. */
  readonly attempt: string;
  readonly limit: TimeLimit;
}

export class TimeLimit {
  readonly limitMs: number;
  readonly #endsAt: number;

  /** @param limitMs The limit in milliseconds, starting now. */
  constructor(limitMs: number) {
    this.limitMs = limitMs;
    this.#endsAt = performance.now() + limitMs;
  }

  /** The time left in milliseconds; 0 after the limit. */
  remainingMs(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /**
   * Waits for a step until the limit plus `graceMs`. Ignores the step's later outcome.
   *
   * @throws {DeadlineExceededError} When the deadline passes first.
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

  /** Creates the error for an exceeded limit. */
  exceeded(attempt: string): DeadlineExceededError {
    return new DeadlineExceededError(attempt, this.limitMs);
  }
}
