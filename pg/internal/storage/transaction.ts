/** Transactions of the storage's own, and what is tried again. */

import { DrizzleQueryError, entityKind } from "drizzle-orm";
import type { StorageOperation } from "../../../errors.ts";
import type { EncryptableDatabase } from "../../session.ts";
import { sqlState, toStorageError } from "./run_statement.ts";

// SQLSTATEs (PostgreSQL manual, appendix A): the transaction may be tried again as it was.
const CONFLICTS: ReadonlySet<unknown> = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
]);

/** How often something is tried that PostgreSQL gives up in favour of another transaction. */
const MAX_TRIES = 5;

/** How many causes of an error are looked at. */
const MAX_CAUSES = 8;

/** Sessions of Drizzle's drivers that send each statement by itself. */
const WITHOUT_TRANSACTIONS: ReadonlySet<unknown> = new Set([
  "NeonHttpSession",
  "XataHttpSession",
  "PgRemoteSession",
]);

/** How such drivers refuse a transaction. */
const NO_TRANSACTIONS = /no (?:interactive )?transactions support|transactions are not supported/i;

/** Whether a database is known to have no transactions. */
export function lacksTransactions(db: EncryptableDatabase): boolean {
  const { session } = db as unknown as { session: { constructor: { [entityKind]?: string } } };
  return WITHOUT_TRANSACTIONS.has(session.constructor[entityKind]);
}

/** The error for it. */
export function noTransactions(options?: ErrorOptions): TypeError {
  return new TypeError(
    "Creating a storage with handlers: the database's driver has no transactions",
    options,
  );
}

/** Whether a database is a transaction: all of Drizzle's have a method to roll back. */
function isTransaction(db: EncryptableDatabase): boolean {
  return typeof (db as { rollback?: unknown }).rollback === "function";
}

/**
 * Tries again what ends in a deadlock or a serialization failure. Within a transaction of the caller's it is not: that
 * transaction has failed.
 */
export async function retryConflicts<T>(
  db: EncryptableDatabase,
  run: () => Promise<T>,
): Promise<T> {
  const tries = isTransaction(db) ? 1 : MAX_TRIES;
  for (let tried = 1;; tried++) {
    try {
      return await run();
    } catch (error) {
      if (tried === tries || !isConflict(error)) throw error;
    }
  }
}

function isConflict(error: unknown): boolean {
  let found = error;
  for (let depth = 0; depth < MAX_CAUSES && found instanceof Error; depth++) {
    if (CONFLICTS.has(sqlState(found))) return true;
    found = found.cause;
  }
  return false;
}

/** The part of a database that this needs. */
interface Transactional {
  transaction<T>(run: (tx: EncryptableDatabase) => Promise<T>): Promise<T>;
}

/**
 * Runs a function in a transaction, or in a savepoint of the caller's. What it throws is thrown as it is.
 *
 * @param db The database that the transaction is begun on.
 * @throws {StorageError} The transaction could not be begun or committed.
 * @throws {TypeError} The driver has no transactions.
 */
export async function runTransaction<T>(
  operation: StorageOperation,
  db: EncryptableDatabase,
  run: (tx: EncryptableDatabase) => Promise<T>,
): Promise<T> {
  let failed: { readonly error: unknown } | undefined;
  let begun = false;
  try {
    return await (db as unknown as Transactional).transaction(async (tx) => {
      begun = true;
      try {
        return await run(tx);
      } catch (error) {
        failed = { error };
        throw error;
      }
    });
  } catch (error) {
    if (failed) throw failed.error;
    if (!begun && error instanceof Error && NO_TRANSACTIONS.test(error.message)) {
      throw noTransactions({ cause: error });
    }
    throw toStorageError(operation, error instanceof DrizzleQueryError ? error.cause : error);
  }
}
