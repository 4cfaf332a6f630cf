/** When an event occurred, as far as its order goes. */

import { checkNames } from "../../../internal/check_options.ts";
import { kindOf } from "../../../internal/kind_of.ts";
import type { EventTime } from "../../../webhooks/storage.ts";

/** How far the clocks of the sender and of this computer may differ, in milliseconds. */
const MAX_AHEAD_MS = 5 * 60 * 1000;

/** The time of an event, and whose. */
export interface EventMoment {
  /** When the sender signed it, or else when the storage was called. */
  readonly at: Date;
  /** Whether the sender signed it. */
  readonly signed: Signed;
  /** The id of the signed request, if there is one. */
  readonly requestIds: readonly string[];
  /** Where the sender was asked: what had been applied before that. */
  readonly basis?: string | undefined;
}

/** Whether the sender signed the time of an event. `"asked"`: it is no event, the sender was asked for the state. */
export type Signed = boolean | "asked";

/**
 * Reads the time of an event; without one it is now.
 *
 * @throws {TypeError} A value is of the wrong type, or the id of a request comes without a time.
 * @throws {RangeError} The time is too far in the future: every genuine event until then would be refused. Or it is
 * before 1970.
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

/** The same, of an argument that is nothing else. */
export function readEventTime(attempt: string, options: EventTime): EventMoment {
  checkNames(attempt, options, ["occurredAt", "requestId"]);
  return eventMoment(attempt, options);
}
