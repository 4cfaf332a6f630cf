/**
 * Runs one event of an instance at a time. Others wait here, where waiting costs no connection,
 * instead of at the database.
 */

import type { TimeLimit } from "./time_limit.ts";

/**
 * Polling interval of waiting events in milliseconds. No notification: on Cloudflare Workers, a
 * promise that another request resolves continues in that request, and a cancelled request resolves
 * nothing.
 */
const LOOK_EVERY_MS = 5;

/** A turn ends after this many limits in any case: the server has ended the transaction by then. */
const LIMITS_OF_A_TURN = 3;

/** The current turn and the waiting ones, in order; `until` is the latest end of a turn. */
type Line = { readonly until: number }[];

/** By the database's client, then by key. */
const lines = new WeakMap<object, Map<string, Line>>();

/**
 * Runs a function when all earlier ones with the same key have ended.
 *
 * @throws {DeadlineExceededError} When its turn does not come within the limit.
 */
export async function inTurn<T>(
  client: object,
  key: string,
  limit: TimeLimit,
  attempt: string,
  run: () => Promise<T>,
): Promise<T> {
  const ofClient = lines.get(client) ?? new Map<string, Line>();
  lines.set(client, ofClient);
  const line = ofClient.get(key) ?? [];
  ofClient.set(key, line);
  const turn = { until: performance.now() + LIMITS_OF_A_TURN * limit.limitMs };
  while (line.length > 0 && line[0]!.until <= performance.now()) line.shift();
  line.push(turn);
  try {
    while (line.find(({ until }) => until > performance.now()) !== turn) {
      if (limit.remainingMs() === 0) throw limit.exceeded(attempt);
      await pause(LOOK_EVERY_MS);
    }
    return await run();
  } finally {
    const index = line.indexOf(turn);
    if (index >= 0) line.splice(index, 1);
    if (line.length === 0 && ofClient.get(key) === line) ofClient.delete(key);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
