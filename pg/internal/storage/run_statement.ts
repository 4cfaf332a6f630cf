/** Runs a Drizzle statement and maps database errors to this package's errors. */

import { DrizzleQueryError } from "drizzle-orm";
import { StorageError, type StorageOperation, TableMissingError } from "../../../errors.ts";

// SQLSTATEs (PostgreSQL manual, appendix A).
const UNDEFINED_TABLE = "42P01";
const UNDEFINED_COLUMN = "42703";

/**
 * Columns that version 0.3's table of last events lacks; PostgreSQL's message names the first one.
 */
const NEW_COLUMNS = /\b(?:request_ids|called_at)\b/;

/**
 * Runs a statement.
 *
 * @throws {StorageError} When the database refuses the statement or cannot be reached. Other
 *   errors, a key's for example, are passed on.
 */
export async function runStatement<T>(
  operation: StorageOperation,
  statement: () => PromiseLike<T>,
): Promise<T> {
  try {
    return await statement();
  } catch (error) {
    // Only Drizzle's error comes from the database; its message contains the parameters.
    if (!(error instanceof DrizzleQueryError)) throw error;
    throw toStorageError(operation, error.cause);
  }
}

/** Maps a driver's error. */
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
          : "a column of the table does not exist, run the migrations first; where drizzle() gets a casing, " +
            "drizzle.config.ts needs the same",
      );
    default:
      return new StorageError(operation, cause);
  }
}

/** The SQLSTATE of a driver's error: `errno` in Bun's SQL, `code` in all others. */
export function sqlState(error: unknown): unknown {
  const { code, errno } = (error ?? {}) as { code?: unknown; errno?: unknown };
  // The errno of a network error is a number.
  return typeof errno === "string" ? errno : code;
}
