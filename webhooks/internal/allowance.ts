/** How often something may be done: so often at once, and then at a rate. */

/** A token bucket. */
export class Allowance {
  readonly #most: number;
  readonly #perMs: number;
  #left: number;
  #countedAt: number | undefined;

  /**
   * @param most How often at once.
   * @param perSecond How often a second in the long run.
   */
  constructor(most: number, perSecond: number) {
    this.#most = most;
    this.#perMs = perSecond / 1_000;
    this.#left = most;
  }

  /** Takes one, where there is one. */
  take(): boolean {
    // No look at the clock before the first use: some runtimes have none at import time.
    const now = performance.now();
    const sinceMs = now - (this.#countedAt ?? now);
    this.#left = Math.min(this.#most, this.#left + sinceMs * this.#perMs);
    this.#countedAt = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** Gives back one that was taken. */
  giveBack(): void {
    this.#left = Math.min(this.#most, this.#left + 1);
  }
}
