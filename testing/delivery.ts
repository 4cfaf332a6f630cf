/**
 * Targets, retries and the log of deliveries.
 *
 * @module
 */

import type { LifecycleKind } from "./events.ts";

/** The target of webhooks: a URL, or a function from a `Request` to its `Response`. */
export type DeliveryTarget = string | URL | ((request: Request) => Response | Promise<Response>);

/** How long the sender waits before a retry: doubling from `initialMs` up to `maxMs`. */
export interface Backoff {
  /** Milliseconds before the second attempt. */
  readonly initialMs: number;
  /** Upper bound of the wait in milliseconds. */
  readonly maxMs: number;
}

/** Why an attempt got no response. */
export type AttemptFailure = "timed-out" | "no-response" | "response-lost" | "closed";

/** A log entry for one attempt to deliver an event, without the request's content. */
export interface Delivery {
  /** Kind of the event, in the short spelling. */
  readonly kind: LifecycleKind;
  /** The instance's id. */
  readonly instanceId: string;
  /** The request's id. Late arrivals and replays have the id of the original attempt. */
  readonly requestId: string;
  /** The signed time of the request: ISO 8601, UTC. */
  readonly createdAt: string;
  /** The number of the attempt for this event, starting at 1. */
  readonly attempt: number;
  /** The URL to which it was sent. */
  readonly url: string;
  /** Whether the request arrived after the attempt had failed; its response was ignored. */
  readonly late: boolean;
  /** Whether it was sent by `replay`. */
  readonly replay: boolean;
  /** Whether the sender saw a status from 200 to 299. */
  readonly ok: boolean;
  /** The response's status; `undefined` for a lost response. */
  readonly status: number | undefined;
  /** Why the sender saw no response. */
  readonly failure: AttemptFailure | undefined;
  /** The `code` of a JSON response, even if the response was lost on purpose. */
  readonly responseCode: string | undefined;
  /** The response's body, even if the response was lost on purpose. */
  readonly responseBody: string | undefined;
  /** The error behind a failure: a handler's, or a connection's. */
  readonly error: unknown;
}
