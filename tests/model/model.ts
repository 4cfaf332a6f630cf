/**
 * What has to be stored after a run, by what mittwald documents (and not by what the library does):
 *
 * - an event that was answered with success is applied, in the order of the events of its instance;
 * - an update brings all but the secret, a rotation the secret alone, a removal is the end of the instance;
 * - events that a removal found undelivered are dropped: never attempted, they were never applied; attempted, they were
 *   if an answer says so, were not if all answers refuse them, and nobody knows if an answer is missing.
 *
 * The handlers are called once for each difference between the states before and after an event.
 */

import type { Delivery } from "../../testing/mod.ts";
import type { EventStep, State } from "./plan.ts";

/** An event of an instance as the sender saw it. */
export interface ToldEvent {
  readonly step: EventStep;
  /** Whether an attempt was answered with success. */
  readonly acknowledged: boolean;
  /** All attempts that tell it; late arrivals and replays, too. */
  readonly attempts: readonly Delivery[];
}

/** A call of a handler. */
export interface Change {
  readonly change: "added" | "updated" | "secretRotated" | "removed";
  readonly before: State | null;
  readonly instance: State;
}

/** What is kept of an instance. */
export interface Kept {
  readonly state: State | null;
  readonly changes: readonly Change[];
}

/** What may be the last event of an instance. */
export interface LastEvent {
  readonly kind: string;
  /** In ISO 8601, one of them. */
  readonly createdAt: readonly string[];
}

const KINDS = {
  add: "ExtensionAddedToContext",
  update: "InstanceUpdated",
  rotate: "SecretRotated",
  remove: "InstanceRemovedFromContext",
} as const;

/** Whether an attempt was applied, as far as its sender knows. */
function wasApplied({ responseCode, status }: Delivery): "yes" | "no" | "perhaps" {
  if (responseCode === "STORED") return "yes";
  // Of a response that was lost on purpose the status is not known, but its code is.
  const refused = status !== undefined && status >= 400 && status < 500 ||
    /^ERR_(?!STORAGE_FAILED$|HANDLER_FAILED$|DEADLINE_EXCEEDED$|BUSY$|PUBLIC_KEY_UNAVAILABLE$)/
      .test(responseCode ?? "");
  return refused ? "no" : "perhaps";
}

/**
 * What may be kept of an instance: one thing, unless nobody knows whether an event was applied that was dropped.
 *
 * @param events The events in their order.
 */
export function mayBeKept(events: readonly ToldEvent[]): Kept[] {
  let histories: Kept[] = [{ state: null, changes: [] }];
  for (const { step, acknowledged, attempts } of events) {
    const answers = attempts.map(wasApplied);
    if (acknowledged || answers.includes("yes")) {
      histories = histories.map((kept) => apply(kept, step));
    } else if (answers.includes("perhaps")) {
      histories = histories.flatMap((kept) => [kept, apply(kept, step)]);
    }
  }
  return histories;
}

function apply({ state: before, changes }: Kept, { do: kind, state }: EventStep): Kept {
  const made: Change[] = [];
  if (kind === "remove") {
    if (before !== null) made.push({ change: "removed", before: null, instance: before });
    return { state: null, changes: [...changes, ...made] };
  }
  // Only an instance that is known can be told about: the sender goes on when an event has succeeded.
  const instance = kind === "rotate"
    ? { ...before!, secret: state.secret }
    : kind === "update"
    ? { ...state, secret: before!.secret }
    : state;
  if (before === null) {
    made.push({ change: "added", before: null, instance });
  } else {
    const { secret: oldSecret, ...old } = before;
    const { secret, ...rest } = instance;
    if (JSON.stringify(old) !== JSON.stringify(rest)) {
      made.push({ change: "updated", before, instance });
    }
    if (secret !== oldSecret) made.push({ change: "secretRotated", before: null, instance });
  }
  return { state: instance, changes: [...changes, ...made] };
}

/**
 * The last event: the last one that was answered with success, at the newest time of its attempts that is known to be
 * applied, or that of one which nobody knows of. The time of a removal is not before that of any event that was applied.
 *
 * @param events The events in their order.
 */
export function lastEvent(events: readonly ToldEvent[]): LastEvent {
  const last = events.findLast(({ acknowledged }) => acknowledged)!;
  const told = last.step.do === "remove" ? events : [last];
  const attempts = told.flatMap(({ attempts }) => attempts);
  const applied = attempts.filter((attempt) => wasApplied(attempt) === "yes")
    .map(({ createdAt }) => createdAt).sort();
  const newest = applied.at(-1)!;
  const unknown = attempts.filter((attempt) => wasApplied(attempt) === "perhaps")
    .map(({ createdAt }) => createdAt).filter((createdAt) => createdAt > newest);
  return { kind: KINDS[last.step.do], createdAt: [...new Set([newest, ...unknown])] };
}
