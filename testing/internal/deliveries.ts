/**
 * Log entries and errors of deliveries.
 *
 * @module
 */

import type { AttemptResult, WireRequest } from "./attempt.ts";
import type { Delivery } from "../delivery.ts";
import type { LifecycleEvent } from "../events.ts";
import type { Undone } from "./delivery_queue.ts";
import { DeliveryError } from "../../errors.ts";

/** The request of an attempt. */
export interface Sent {
  readonly event: LifecycleEvent;
  readonly attempt: number;
  readonly wire: WireRequest;
}

/** Marks of an attempt. */
export interface Marks {
  readonly responseLost?: boolean | undefined;
  readonly late?: boolean | undefined;
  readonly replay?: boolean | undefined;
}

/** Builds the log entry of an attempt. */
export function describe(
  { event, attempt, wire }: Sent,
  result: AttemptResult,
  { responseLost = false, late = false, replay = false }: Marks,
): Delivery {
  const answered = result.failure === undefined;
  const status = answered && !responseLost ? result.status : undefined;
  const responseBody = answered ? new TextDecoder().decode(result.body) : undefined;
  return Object.freeze({
    kind: event.kind,
    instanceId: event.id,
    requestId: wire.requestId,
    createdAt: wire.createdAt,
    attempt,
    url: wire.url,
    late,
    replay,
    ok: !late && status !== undefined && status >= 200 && status <= 299,
    status,
    failure: answered ? (responseLost ? "response-lost" : undefined) : result.failure,
    responseCode: codeInBody(responseBody),
    responseBody,
    error: answered ? undefined : result.cause,
  });
}

/** Creates the error for an event that was not delivered. */
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

function outcome({ status, failure, responseCode }: Delivery): string {
  if (status === undefined) return failure ?? "no-response";
  return responseCode === undefined ? `${status}` : `${status} ${responseCode}`;
}

/** Returns only texts in the form of an error code: the body may contain a secret. */
function codeInBody(body: string | undefined): string | undefined {
  try {
    const { code } = JSON.parse(body ?? "") as { code?: unknown };
    return typeof code === "string" && /^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? code : undefined;
  } catch {
    return undefined;
  }
}
