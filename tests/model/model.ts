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

import { isDeepStrictEqual } from "node:util";
import type { Delivery } from "../../testing/mod.ts";

export interface State {
  readonly contextId: string;
  readonly context: "customer" | "project";
  readonly active: boolean;
  readonly variantKey: string | null;
  readonly consentedScopes: readonly string[];
  readonly secret: string;
}

/** An event of an instance as the sender saw it. */
export interface ToldEvent {
  readonly kind: "add" | "update" | "rotate" | "remove";
  /** What mStudio has after it; of a removal, before it. */
  readonly state: State;
  /** Whether an attempt was answered with success. */
  readonly acknowledged: boolean;
  /** All attempts that tell it; late arrivals and replays, too. */
  readonly attempts: readonly Delivery[];
}

/** What is kept of an instance, and the calls of the handlers. */
export interface Kept {
  readonly state: State | null;
  readonly changes: readonly {
    readonly change: "added" | "updated" | "secretRotated" | "removed";
    readonly before: State | null;
    readonly instance: State;
  }[];
}

const KINDS = {
  add: "ExtensionAddedToContext",
  update: "InstanceUpdated",
  rotate: "SecretRotated",
  remove: "InstanceRemovedFromContext",
};

/** Whether an attempt was applied, as far as its sender knows; of a response that was lost on purpose it knows the code. */
function wasApplied({ responseCode = "" }: Delivery): "yes" | "no" | "perhaps" {
  if (responseCode === "STORED") return "yes";
  return /^ERR_(?!STORAGE_FAILED$|HANDLER_FAILED$|DEADLINE_EXCEEDED$|BUSY$|PUBLIC_KEY_UNAVAILABLE$)/
      .test(responseCode)
    ? "no"
    : "perhaps";
}

/** What may be kept of an instance: one thing, unless nobody knows whether an event was applied that was dropped. */
export function mayBeKept(events: readonly ToldEvent[]): Kept[] {
  let histories: Kept[] = [{ state: null, changes: [] }];
  for (const event of events) {
    const answers = event.attempts.map(wasApplied);
    if (event.acknowledged || answers.includes("yes")) {
      histories = histories.map((kept) => apply(kept, event));
    } else if (answers.includes("perhaps")) {
      histories = histories.flatMap((kept) => [kept, apply(kept, event)]);
    }
  }
  return histories;
}

function apply({ state: before, changes }: Kept, { kind, state }: ToldEvent): Kept {
  if (kind === "remove") {
    const removed = before && { change: "removed" as const, before: null, instance: before };
    return { state: null, changes: removed ? [...changes, removed] : changes };
  }
  if (before === null) {
    return { state, changes: [...changes, { change: "added", before, instance: state }] };
  }
  const secret = kind === "update" ? before.secret : state.secret;
  const instance = { ...(kind === "rotate" ? before : state), secret };
  const made: Kept["changes"][number][] = [];
  if (!isDeepStrictEqual(instance, { ...before, secret })) {
    made.push({ change: "updated", before, instance });
  }
  if (secret !== before.secret) made.push({ change: "secretRotated", before: null, instance });
  return { state: instance, changes: [...changes, ...made] };
}

/**
 * The last event, and what its time may be: it is the last one that was answered with success, at the newest time of
 * its attempts that is known to be applied, or that of one which nobody knows of. The time of a removal is not before
 * that of any event that was applied.
 */
export function lastEvent(events: readonly ToldEvent[]) {
  const last = events.findLast(({ acknowledged }) => acknowledged)!;
  const attempts = (last.kind === "remove" ? events : [last]).flatMap(({ attempts }) => attempts);
  const times = (applied: "yes" | "perhaps") =>
    attempts.filter((attempt) => wasApplied(attempt) === applied).map(({ createdAt }) => createdAt);
  const newest = times("yes").sort().at(-1)!;
  const later = times("perhaps").filter((createdAt) => createdAt > newest);
  return { kind: KINDS[last.kind], createdAt: [newest, ...later] };
}
