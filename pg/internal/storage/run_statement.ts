/** Runs a statement of Drizzle and turns what the database refuses into this package's errors. */

import { DrizzleQueryError } from "drizzle-orm";
import { StorageError, type StorageOperation, TableMissingError } from "../../../errors.ts";

// SQLSTATEs (PostgreSQL manual, appendix A).
const UNDEFINED_TABLE = "42P01";
const UNDEFINED_COLUMN = "42703";

/** Columns that the table of last events of version 0.3 does not have; PostgreSQL's message names the first. */
const NEW_COLUMNS = /\b(?:request_ids|called_at)\b/;

/**
 * Runs a statement.
 *
 * @throws {StorageError} The database refused it or could not be reached. What else is thrown, by a key for
 * instance, stays what it is.
 */
export async function runStatement<T>(
  operation: StorageOperation,
  statement: () => PromiseLike<T>,
): Promise<T> {
  try {
    return await statement();
  } catch (error) {
    // Drizzle's error prints the parameters. What else is thrown does not come from the database.
    if (!(error instanceof DrizzleQueryError)) throw error;
    throw toStorageError(operation, error.cause);
  }
}

/** The error for what a driver threw. */
export function toStorageError(operation: StorageOperation, cause: unknown): StorageError {
  switch (sqlState(cause)) {
    case UNDEFINED_TABLE:
      return new TableMissingError(operation, cause);
    case UNDEFINED_COLUMN:
      return new StorageError(
        operation,
        cause,
        NEW_COLUMNS.test((cause as Error).message)
          ? "the table of last events is that of version 0.3, generate and run a migration with drizzle-kit, which " +
            `adds "request_ids" text[] DEFAULT '{}' NOT NULL and "called_at" timestamp with time zone`
          : "a column of the table does not exist, run the migrations first; where drizzle() is given a casing, " +
            "drizzle.config.ts needs the same",
      );
    default:
      return new StorageError(operation, cause);
  }
}

/** The SQLSTATE of a driver's error: `errno` of Bun's SQL, whose `code` names the kind of error, `code` of all others. */
export function sqlState(error: unknown): unknown {
  const { code, errno } = (error ?? {}) as { code?: unknown; errno?: unknown };
  // The errno of an error of the network is a number.
  return typeof errno === "string" ? errno : code;
}
