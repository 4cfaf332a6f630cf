/**
 * The log of a simulated mStudio.
 *
 * @module
 */

import type { AttemptFailure, AttemptResult, WireRequest } from "./attempt.ts";
import type { LifecycleEvent, LifecycleKind } from "./events.ts";
import type { Undone } from "./delivery_queue.ts";
import { DeliveryError } from "./errors.ts";

/** One attempt to deliver an event, as the log tells it. It doesn't hold what was sent. */
export interface Delivery {
  /** Kind of the event. */
  readonly kind: LifecycleKind;
  /** Id of the instance. */
  readonly instanceId: string;
  /** Which attempt of this event it was, counted from 1. */
  readonly attempt: number;
  /** Where it was sent to. */
  readonly url: string;
  /** Whether the sender saw a status from 200 to 299. */
  readonly ok: boolean;
  /** The status that the sender saw. */
  readonly status: number | undefined;
  /** Why it saw none. */
  readonly failure: AttemptFailure | undefined;
  /** The response's body; also that of a response that was lost on purpose. */
  readonly responseBody: string | undefined;
  /** The error behind a failure: what a handler threw, why a connection failed. */
  readonly error: unknown;
}

/** Describes an attempt for the log. */
export function describe(
  event: LifecycleEvent,
  attempt: number,
  wire: WireRequest,
  result: AttemptResult,
  responseLost: boolean,
): Delivery {
  const answered = result.failure === undefined;
  const seen = answered && !responseLost ? result : undefined;
  return Object.freeze({
    kind: event.kind,
    instanceId: event.id,
    attempt,
    url: wire.url,
    ok: seen !== undefined && seen.status >= 200 && seen.status <= 299,
    status: seen?.status,
    failure: answered ? (responseLost ? "response-lost" : undefined) : result.failure,
    responseBody: answered ? new TextDecoder().decode(result.body) : undefined,
    error: answered ? undefined : result.cause,
  });
}

/** The error of an event that was not delivered. */
export function undelivered(
  event: LifecycleEvent,
  reason: Undone | "ERR_NO_RESPONSE",
  count: number,
  latest: readonly Delivery[],
): DeliveryError {
  const outcomes = latest.map(outcome).join(", ");
  const found = {
    ERR_GAVE_UP: `${count} of ${count} attempts failed: ${
      count > latest.length ? "…, " : ""
    }${outcomes}`,
    ERR_DROPPED: "the instance was removed",
    ERR_CLOSED: "the simulated mStudio was closed",
    ERR_NO_RESPONSE: outcomes,
  }[reason];
  const cause = latest.at(-1)?.error;
  return new DeliveryError(
    reason,
    `Delivering ${event.kind} of instance ${JSON.stringify(event.id)}: ${found}`,
    cause === undefined ? undefined : { cause },
  );
}

function outcome({ status, failure, responseBody }: Delivery): string {
  if (status === undefined) return failure ?? "no-response";
  const code = codeOf(responseBody);
  return code === undefined ? `${status}` : `${status} ${code}`;
}

/** A body can hold anything, a secret too; only what has the form of an error code is repeated. */
function codeOf(body: string | undefined): string | undefined {
  try {
    const { code } = JSON.parse(body ?? "") as { code?: unknown };
    return typeof code === "string" && /^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? code : undefined;
  } catch {
    return undefined;
  }
}
