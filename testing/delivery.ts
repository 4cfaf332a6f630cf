/**
 * Where events are delivered to, how often, and what the log tells of it.
 *
 * @module
 */

import type { LifecycleKind } from "./events.ts";

/** Where webhooks are delivered to: a URL, or a handler as `Deno.serve` takes it. */
export type DeliveryTarget = string | URL | ((request: Request) => Response | Promise<Response>);

/** How long the sender waits before it tries again: doubling from `initialMs` up to `maxMs`. */
export interface Backoff {
  /** Milliseconds before the second attempt. */
  readonly initialMs: number;
  /** The longest wait in milliseconds. */
  readonly maxMs: number;
}

/** Why an attempt got no response. */
export type AttemptFailure = "timed-out" | "no-response" | "response-lost" | "closed";

/** One attempt to deliver an event, as the log tells it. It doesn't hold what was sent. */
export interface Delivery {
  /** Kind of the event, in its short spelling. */
  readonly kind: LifecycleKind;
  /** Id of the instance. */
  readonly instanceId: string;
  /** Id of the request; a late arrival and a replay have that of the attempt that they repeat. */
  readonly requestId: string;
  /** When the request claims to be made, as signed: ISO 8601, UTC. */
  readonly createdAt: string;
  /** Which attempt of this event it was, counted from 1. */
  readonly attempt: number;
  /** Where it was sent to. */
  readonly url: string;
  /** Whether the request reached the receiver after the attempt had failed; nobody took note of the response. */
  readonly late: boolean;
  /** Whether it was sent by `replay`. */
  readonly replay: boolean;
  /** Whether its sender saw a status from 200 to 299. */
  readonly ok: boolean;
  /** The status of the response; that of a lost response is not known. */
  readonly status: number | undefined;
  /** Why there was no response, or none that the sender saw. */
  readonly failure: AttemptFailure | undefined;
  /** The `code` of a response that is JSON; also that of a response that was lost on purpose. */
  readonly responseCode: string | undefined;
  /** The response's body; also that of a response that was lost on purpose. */
  readonly responseBody: string | undefined;
  /** The error behind a failure: what a handler threw, why a connection failed. */
  readonly error: unknown;
}
