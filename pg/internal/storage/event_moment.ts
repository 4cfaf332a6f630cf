/** The place of an event in the order of events. */

import { checkNames } from "../../../internal/check_options.ts";
import { kindOf } from "../../../internal/kind_of.ts";
import type { EventTime } from "../../../webhooks/storage.ts";

/** Tolerated difference between the clocks of the sender and this machine, in milliseconds. */
const MAX_AHEAD_MS = 5 * 60 * 1000;

/** The time of an event and its source. */
export interface EventMoment {
  /** When the sender signed it; otherwise, when the storage was called. */
  readonly at: Date;
  /** Whether the sender signed it. */
  readonly signed: Signed;
  /** The id of the signed request, if there is one. */
  readonly requestIds: readonly string[];
  /** For `"asked"`: the instance's version before the request to mStudio. */
  readonly basis?: string | undefined;
}

/**
 * Whether the sender signed an event's time. `"asked"`: not an event, but a state fetched from
 * mStudio.
 */
export type Signed = boolean | "asked";

/**
 * Reads the time of an event. Default: now.
 *
 * @throws {TypeError} When a value has the wrong type, or there is a `requestId` without
 *   `occurredAt`.
 * @throws {RangeError} When the time is before 1970, or too far in the future: all genuine events
 *   until then would be refused.
 */
export function eventMoment(attempt: string, { occurredAt, requestId }: EventTime): EventMoment {
  if (occurredAt === undefined) {
    if (requestId !== undefined) throw new TypeError(`${attempt}: requestId needs occurredAt`);
    return { at: new Date(), signed: false, requestIds: [] };
  }
  if (kindOf(occurredAt) !== "Date" || Number.isNaN(occurredAt.getTime())) {
    throw new TypeError(`${attempt}: occurredAt is not a valid Date`);
  }
  if (occurredAt.getTime() > Date.now() + MAX_AHEAD_MS) {
    throw new RangeError(`${attempt}: occurredAt is more than 5 minutes in the future`);
  }
  if (occurredAt.getTime() < 0) throw new RangeError(`${attempt}: occurredAt is before 1970`);
  if (requestId !== undefined && typeof requestId !== "string") {
    throw new TypeError(`${attempt}: requestId is not a string`);
  }
  return { at: occurredAt, signed: true, requestIds: requestId === undefined ? [] : [requestId] };
}

/** Like `eventMoment`, for an argument with no other properties. */
export function readEventTime(attempt: string, options: EventTime): EventMoment {
  checkNames(attempt, options, ["occurredAt", "requestId"]);
  return eventMoment(attempt, options);
}
