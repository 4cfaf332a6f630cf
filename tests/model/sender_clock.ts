/**
 * The clocks that stamp the attempts of one instance's events.
 *
 * Two things nobody can tell by times alone, so they are kept out: two events of one time, and an attempt whose answer
 * is not known and that is stamped later than the event after it. All else of skewed clocks is in: attempts of one event
 * in any order, and events that are stamped before the one they follow, which have to be refused and come again.
 */

import type { Faults } from "../../testing/mod.ts";
import { MAX_SKEW_MS } from "./plan.ts";
import { Random } from "./random.ts";

/** The least difference between the times of two events, in milliseconds. */
const GAP_MS = 5;

/** How many attempts are stamped by a clock that is wrong, where clocks differ. */
const SKEWED = 0.4;

/** The clocks of one instance. */
export class SenderClock {
  readonly #seed: readonly (string | number)[];
  readonly #skewed: boolean;
  readonly #offsetMs: () => number;
  #event = -1;
  /** The least and the greatest time of the events before the current one. */
  #before = { min: Infinity, max: -Infinity };
  /** The same, of the current one. */
  #current = { min: Infinity, max: -Infinity };

  /**
   * @param seed Whatever tells this clock from others.
   * @param skewed Whether attempts are stamped by different clocks.
   * @param offsetMs How far all of them are ahead.
   */
  constructor(seed: readonly (string | number)[], skewed: boolean, offsetMs: () => number) {
    this.#seed = seed;
    this.#skewed = skewed;
    this.#offsetMs = offsetMs;
  }

  /** The simulator's fault for one event of the instance. Events are numbered from 0, in their order. */
  faultOf(event: number): NonNullable<Faults["clockSkewMs"]> {
    return (attempt) => {
      if (event > this.#event) {
        this.#event = event;
        if (this.#current.max > -Infinity) this.#before = { ...this.#current };
        this.#current = { min: Infinity, max: -Infinity };
      }
      const now = Date.now();
      let stamp = now + this.#offsetMs() + this.#skewOf(event, attempt);
      const behindMs = this.#before.max + GAP_MS - stamp;
      if (behindMs > 0) {
        stamp = behindMs < 2 * GAP_MS || !this.#skewed
          ? this.#before.max + GAP_MS
          : Math.min(this.#before.min, this.#current.min) - GAP_MS;
      }
      this.#current.min = Math.min(this.#current.min, stamp);
      this.#current.max = Math.max(this.#current.max, stamp, this.#before.max);
      return stamp - now;
    };
  }

  #skewOf(event: number, attempt: number): number {
    if (!this.#skewed) return 0;
    const random = new Random(...this.#seed, event, attempt);
    return random.chance(SKEWED) ? random.between(-MAX_SKEW_MS, MAX_SKEW_MS) : 0;
  }
}
