/** Tries again what PostgreSQL gave up in favour of another transaction. */

import type { EncryptableDatabase } from "../../interfaces.ts";
import { sqlState } from "./run_statement.ts";
import type { TimeLimit } from "./time_limit.ts";
import { isTransaction } from "./transaction.ts";
import { pause } from "./turns.ts";

// SQLSTATEs (PostgreSQL manual, appendix A): the transaction may be tried again as it was.
const CONFLICTS: ReadonlySet<unknown> = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
]);

/** How many causes of an error are looked at. */
const MAX_CAUSES = 8;

/** Whether an error says that PostgreSQL gave up a transaction in favour of another one. */
function isConflict(error: unknown): boolean {
  let found = error;
  for (let depth = 0; depth < MAX_CAUSES && found instanceof Error; depth++) {
    if (CONFLICTS.has(sqlState(found))) return true;
    found = found.cause;
  }
  return false;
}

/** The longest pause after the first try, in milliseconds. Each further one may be twice as long. */
const FIRST_PAUSE_MS = 20;

/** The longest pause of all. */
const MAX_PAUSE_MS = 500;

/**
 * Tries again what ends in a deadlock or a serialization failure, until the time is up, after pauses that differ each
 * time: what gave way to each other would meet again.
 *
 * @param db What `run` uses. Where it is a transaction of the caller's, nothing is tried again: that one has failed.
 */
export async function retryConflicts<T>(
  db: EncryptableDatabase,
  limit: TimeLimit,
  run: () => Promise<T>,
): Promise<T> {
  for (let longestMs = FIRST_PAUSE_MS;; longestMs = Math.min(2 * longestMs, MAX_PAUSE_MS)) {
    try {
      return await run();
    } catch (error) {
      const pauseMs = Math.random() * longestMs;
      if (isTransaction(db) || !isConflict(error) || pauseMs >= limit.remainingMs()) throw error;
      await pause(pauseMs);
    }
  }
}
