/** Rate limits with bursts. */

/** A token bucket. */
export class Allowance {
  readonly #most: number;
  readonly #perMs: number;
  #left: number;
  #countedAt: number | undefined;

  /**
   * @param most The burst.
   * @param perSecond The average rate per second.
   */
  constructor(most: number, perSecond: number) {
    this.#most = most;
    this.#perMs = perSecond / 1_000;
    this.#left = most;
  }

  /** Takes a token if there is one. */
  take(): boolean {
    // Does not read the clock before the first use: some runtimes have none at import time.
    const now = performance.now();
    const sinceMs = now - (this.#countedAt ?? now);
    this.#left = Math.min(this.#most, this.#left + sinceMs * this.#perMs);
    this.#countedAt = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** Returns a token. */
  giveBack(): void {
    this.#left = Math.min(this.#most, this.#left + 1);
  }
}
