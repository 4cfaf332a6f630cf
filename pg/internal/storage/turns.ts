/**
 * One event of an instance at a time: another one waits here, where it costs no connection, and not at the database.
 */

import type { TimeLimit } from "./time_limit.ts";

/**
 * How often who waits looks whether it is its turn, in milliseconds. Nobody is told: on Cloudflare Workers a promise that
 * another request resolves goes on in that request, and one that was cut off resolves nothing.
 */
const LOOK_EVERY_MS = 5;

/** After so many limits a turn is over whatever became of it: the server has ended the transaction by then. */
const LIMITS_OF_A_TURN = 3;

/** Whose turn it is, and who waits, in order; the times are those at which a turn is over at the latest. */
type Line = { readonly until: number }[];

/** By the client of the database, then by what waits for each other. */
const lines = new WeakMap<object, Map<string, Line>>();

/**
 * Runs a function when all that came before it under the same key have ended.
 *
 * @throws {DeadlineExceededError} Its turn did not come within the limit.
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

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
