/** Retries work that PostgreSQL aborted in favour of another transaction. */

import type { EncryptableDatabase } from "../../interfaces.ts";
import { sqlState } from "./run_statement.ts";
import type { TimeLimit } from "./time_limit.ts";
import { isTransaction } from "./transaction.ts";
import { pause } from "./turns.ts";

// SQLSTATEs (PostgreSQL manual, appendix A) after which the same transaction may be retried.
const CONFLICTS: ReadonlySet<unknown> = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
]);

/** How many nested causes of an error to check. */
const MAX_CAUSES = 8;

/** Whether PostgreSQL aborted a transaction in favour of another one. */
function isConflict(error: unknown): boolean {
  let found = error;
  for (let depth = 0; depth < MAX_CAUSES && found instanceof Error; depth++) {
    if (CONFLICTS.has(sqlState(found))) return true;
    found = found.cause;
  }
  return false;
}

/** Upper bound of the first pause in milliseconds, doubled for each further one. */
const FIRST_PAUSE_MS = 20;

/** Upper bound of all pauses in milliseconds. */
const MAX_PAUSE_MS = 500;

/**
 * Retries after a deadlock or a serialization failure until the time limit. The pauses are random,
 * so that the same transactions do not collide again.
 *
 * @param db The database that `run` uses. If it is the caller's transaction, nothing is retried:
 *   that transaction has failed.
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
