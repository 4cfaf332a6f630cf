/**
 * The clocks that stamp the attempts of one instance's events.
 *
 * Two things nobody can tell by times alone, so they are kept out: two events of one time, and an attempt whose answer
 * is not known and that is stamped later than the event after it. All else of skewed clocks is in: attempts of one event
 * in any order, and events that are stamped before the one they follow, which have to be refused and come again.
 */

import type { Random } from "./random.ts";

/** How much the sender's clocks differ at most, to either side. */
const MAX_SKEW_MS = 2_000;

/** The least difference between the times of two events, in milliseconds. */
const GAP_MS = 5;

/** How many attempts are stamped by a clock that is wrong, where clocks differ. */
const SKEWED = 0.4;

/**
 * @param random Where clocks differ, what they show.
 * @param offsetMs How far all of them are ahead.
 * @returns Makes the simulator's fault for the next event of the instance.
 */
export function senderClock(
  random: Random | undefined,
  offsetMs: () => number,
): () => () => number {
  const never = { min: Infinity, max: -Infinity };
  /** The least and the greatest time of the events before the current one, and of that. */
  let [before, current] = [never, never];
  return () => {
    let begun = false;
    return () => {
      if (!begun) [begun, before, current] = [true, current, { min: Infinity, max: current.max }];
      const now = Date.now();
      let stamp = now + offsetMs();
      if (random?.chance(SKEWED)) stamp += random.between(-MAX_SKEW_MS, MAX_SKEW_MS);
      const next = before.max + GAP_MS;
      if (stamp < next) {
        stamp = random === undefined || next - stamp < 2 * GAP_MS
          ? next
          : Math.min(before.min, current.min) - GAP_MS;
      }
      current = { min: Math.min(current.min, stamp), max: Math.max(current.max, stamp) };
      return stamp - now;
    };
  };
}
