/** What happens to one instance, all of it drawn from the seed. */

import { Random } from "./random.ts";

/** What is stored of an instance. */
export interface State {
  readonly contextId: string;
  readonly context: "customer" | "project";
  readonly active: boolean;
  readonly variantKey: string | null;
  readonly consentedScopes: readonly string[];
  readonly secret: string;
}

/** What goes wrong with the delivery of one event. */
export interface PlannedFaults {
  readonly duplicate: number;
  readonly dropResponse: number;
  readonly forge: number;
  readonly tamper: number;
  /** How long after the sender has given up the first attempts reach the receiver, in milliseconds. */
  readonly lateByMs: readonly number[];
}

/** An event, and what it does to what mStudio has. */
export interface EventStep {
  readonly do: "add" | "update" | "rotate" | "remove";
  /** The state after it; for a removal that before it. */
  readonly state: State;
  readonly faults: PlannedFaults;
  /** Whether the next step waits until this event has been answered with success. */
  readonly awaited: boolean;
}

/** A step of a plan. */
export type Step =
  | EventStep
  /** Plays back what was sent before: the first attempt of an event, or one that is `at` of all, from 0 to 1. */
  | { readonly do: "replay"; readonly at: "first" | number }
  /** Says with a genuine signature, and in the unsigned query, that it is a dry run. */
  | { readonly do: "dry-run"; readonly of: "this" | "unknown" }
  /** An attempt of the first event arrives only now, stamped by a clock that is ahead. */
  | { readonly do: "straggler" }
  | { readonly do: "pause"; readonly ms: number };

/** The plan of one instance. */
export interface Plan {
  readonly id: string;
  readonly steps: readonly Step[];
  /** Whether the clocks that stamp its attempts differ, by up to {@linkcode MAX_SKEW_MS} to either side. */
  readonly skewed: boolean;
  /** How many attempts reach the receiver at least. */
  readonly deliveries: number;
}

/** How much the sender's clocks differ at most. */
export const MAX_SKEW_MS = 2_000;

const SCOPES = ["project:read", "project:write", "größe:ändern", "db:*", '"quoted", {braces}'];
const VARIANTS = ["small", "large", "NULL", ""];

/**
 * Draws the plan of an instance.
 *
 * @param seed The run's seed.
 * @param index Which instance it is.
 * @param contexts Ids of what instances are installed in: few, so that several come and go in each.
 */
export function draw(seed: number, index: number, contexts: readonly string[]): Plan {
  const random = new Random(seed, "plan", index);
  const steps: Step[] = [];
  let state = firstState(random, contexts);
  const event = (kind: EventStep["do"], awaited: boolean) => {
    steps.push({ do: kind, state, faults: drawFaults(random), awaited });
  };
  const disturb = () => {
    while (random.chance(0.25)) steps.push(drawDisturbance(random));
  };

  event("add", random.chance(0.7));
  disturb();
  for (let left = random.between(2, 10); left > 0; left--) {
    const kind = random.pick(["update", "update", "rotate"] as const);
    state = kind === "update"
      ? nextState(random, state)
      : { ...state, secret: random.digits(random.between(1, 64)) };
    event(kind, random.chance(0.6));
    disturb();
  }
  if (random.chance(0.6)) {
    // What is queued for it is dropped, unless the last event was waited for.
    const awaited = random.chance(0.8);
    event("remove", awaited);
    disturb();
    if (awaited && random.chance(0.5)) steps.push({ do: "straggler" });
    // Somebody recorded how it was added.
    if (random.chance(0.7)) steps.push({ do: "replay", at: "first" });
  }
  return {
    id: random.uuid(),
    steps,
    skewed: random.chance(0.3),
    deliveries: steps.reduce((sum, step, at) => sum + deliveriesOf(step, steps.slice(at + 1)), 0),
  };
}

function firstState(random: Random, contexts: readonly string[]): State {
  const contextId = random.pick(contexts);
  return {
    contextId,
    context: contextId.startsWith("c-") ? "customer" : "project",
    active: random.chance(0.8),
    variantKey: random.chance(0.5) ? random.pick(VARIANTS) : null,
    consentedScopes: random.some(SCOPES),
    secret: random.digits(32),
  };
}

function nextState(random: Random, state: State): State {
  // Some updates tell what is known already.
  if (random.chance(0.2)) return state;
  return {
    ...state,
    active: random.chance(0.5),
    variantKey: random.chance(0.6) ? random.pick(VARIANTS) : null,
    consentedScopes: random.some(SCOPES),
  };
}

function drawFaults(random: Random): PlannedFaults {
  const times = (probability: number) => random.chance(probability) ? random.between(1, 2) : 0;
  const late = times(0.15);
  return {
    duplicate: times(0.25),
    dropResponse: times(0.2),
    forge: times(0.05),
    tamper: times(0.05),
    lateByMs: Array.from({ length: late }, () => random.between(20, 1_500)),
  };
}

function drawDisturbance(random: Random): Step {
  const kind = random.next();
  if (kind < 0.6) return { do: "replay", at: random.next() };
  if (kind < 0.7) return { do: "dry-run", of: random.pick(["this", "unknown"]) };
  return { do: "pause", ms: random.between(1, 300) };
}

/** An event that may be dropped in favour of a removal counts for nothing. */
function deliveriesOf(step: Step, following: readonly Step[]): number {
  if (step.do === "pause") return 0;
  if (!("awaited" in step)) return 1;
  const next = following.find((one): one is EventStep => "awaited" in one && one.awaited);
  if (step.do !== "remove" && !step.awaited && next?.do === "remove") return 0;
  const { duplicate, dropResponse, forge, tamper, lateByMs } = step.faults;
  return 1 + duplicate + Math.max(dropResponse, forge, tamper, lateByMs.length);
}

/**
 * Draws as many instances as it takes for a number of deliveries.
 *
 * @param seed The run's seed.
 * @param deliveries How many attempts are to reach the receiver at least.
 */
export function drawAll(seed: number, deliveries: number): Plan[] {
  const random = new Random(seed, "contexts");
  const contexts = Array.from(
    { length: 10 },
    () => `${random.pick(["p", "c"])}-${random.digits(6)}`,
  );
  const plans: Plan[] = [];
  for (let planned = 0; planned < deliveries; planned += plans.at(-1)!.deliveries) {
    plans.push(draw(seed, plans.length, contexts));
  }
  return plans;
}
