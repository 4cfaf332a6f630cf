/**
 * The errors of this package. Every one of them extends {@linkcode MitthooksDrizzleError} and carries a
 * stable {@linkcode MitthooksDrizzleError.code | code} to `switch` on; messages may change between
 * versions, codes do not. Mistakes of the caller are plain `TypeError`s and `RangeError`s instead.
 *
 * No message contains a secret, a key, a plaintext or a ciphertext.
 *
 * @module
 */

/** The codes of all errors of this package. */
export type ErrorCode =
  | "ERR_BUSY"
  | "ERR_DEADLINE_EXCEEDED"
  | "ERR_DECRYPTION_FAILED"
  | "ERR_HANDLER_FAILED"
  | "ERR_INVALID_CIPHERTEXT"
  | "ERR_PUBLIC_KEY_UNAVAILABLE"
  | "ERR_SIGNATURE_INVALID"
  | "ERR_SIGNATURE_MALFORMED"
  | "ERR_STORAGE_FAILED"
  | "ERR_TABLE_MISSING"
  | "ERR_UNKNOWN_INSTANCE";

/**
 * Base class of every error of this package.
 *
 * @example Tell this package's errors from all others
 * ```ts
 * import { assert } from "@std/assert";
 * import { DecryptionError, MitthooksDrizzleError } from "@wais/mitthooks-drizzle/pg";
 *
 * assert(new DecryptionError() instanceof MitthooksDrizzleError);
 * ```
 */
export abstract class MitthooksDrizzleError extends Error {
  /** Stable identifier of the kind of failure. */
  abstract readonly code: ErrorCode;

  /**
   * Makes the error.
   *
   * @param message What was attempted, colon, what was found.
   * @param options `cause`: the error that led to this one.
   */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/**
 * A stored value could not be decrypted: it was written under another key, or it was damaged.
 *
 * The message is always the same and there is no cause, so that nothing about the key or the value can
 * be learned from it.
 *
 * @example Find the value that is damaged
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { DecryptionError } from "@wais/mitthooks-drizzle/pg";
 *
 * const error = new DecryptionError("[3].secret");
 * assertEquals(error.code, "ERR_DECRYPTION_FAILED");
 * assertEquals(error.path, "[3].secret");
 * ```
 */
export class DecryptionError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code: "ERR_DECRYPTION_FAILED" | "ERR_INVALID_CIPHERTEXT" =
    "ERR_DECRYPTION_FAILED";

  /** Where in the query's result the value stood, for example `[3].secret`; `undefined` outside of a query. */
  readonly path: string | undefined;

  /**
   * Makes the error.
   *
   * @param path Where in the query's result the value stood.
   */
  constructor(path?: string) {
    super(
      "Decrypting a stored value: it was written under another key (another master password or salt), " +
        "or it is damaged",
    );
    this.path = path;
  }
}

/**
 * A stored value is no ciphertext at all: it does not have the stored form
 * `base64(iv):base64(ciphertext):base64(tag)` with an IV of 12 and a tag of 16 bytes.
 *
 * @example It is a {@linkcode DecryptionError} with a code of its own
 * ```ts
 * import { assert, assertEquals } from "@std/assert";
 * import { DecryptionError, InvalidCiphertextError } from "@wais/mitthooks-drizzle/pg";
 *
 * const error = new InvalidCiphertextError();
 * assert(error instanceof DecryptionError);
 * assertEquals(error.code, "ERR_INVALID_CIPHERTEXT");
 * ```
 */
export class InvalidCiphertextError extends DecryptionError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_INVALID_CIPHERTEXT";

  /**
   * Makes the error.
   *
   * @param path Where in the query's result the value stood.
   */
  constructor(path?: string) {
    super(path);
    this.message = "Decrypting a stored value: it does not have the form of a ciphertext";
  }
}

/**
 * An update or a new secret came for an extension instance that is not stored.
 *
 * @example Read the id
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { UnknownExtensionInstanceError } from "@wais/mitthooks-drizzle/pg";
 *
 * const error = new UnknownExtensionInstanceError("Updating an extension instance", "8f2c");
 * assertEquals(error.extensionInstanceId, "8f2c");
 * assertEquals(error.message, 'Updating an extension instance: no instance "8f2c" is stored');
 * ```
 */
export class UnknownExtensionInstanceError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_UNKNOWN_INSTANCE";

  /** The id that was not found. */
  readonly extensionInstanceId: string;

  /**
   * Makes the error.
   *
   * @param attempt What was attempted.
   * @param extensionInstanceId The id that was not found.
   */
  constructor(attempt: string, extensionInstanceId: string) {
    super(`${attempt}: no instance ${JSON.stringify(extensionInstanceId)} is stored`);
    this.extensionInstanceId = extensionInstanceId;
  }
}

/** The operations that a {@linkcode StorageError} can name: methods of the storage, and functions. */
export type StorageOperation =
  | "upsertExtension"
  | "updateExtension"
  | "rotateSecret"
  | "removeInstance"
  | "getExtension"
  | "verify"
  | "reencrypt"
  | "keyStatus";

/**
 * The database refused or could not be reached. `cause` is the driver's own error.
 *
 * @example Read what failed
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { StorageError } from "@wais/mitthooks-drizzle/pg";
 *
 * const error = new StorageError("rotateSecret", new Error("connection refused"));
 * assertEquals(error.operation, "rotateSecret");
 * assertEquals((error.cause as Error).message, "connection refused");
 * ```
 */
export class StorageError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code: "ERR_STORAGE_FAILED" | "ERR_TABLE_MISSING" = "ERR_STORAGE_FAILED";

  /** What failed: a method of the storage, or a function. */
  readonly operation: StorageOperation;

  /**
   * Makes the error.
   *
   * @param operation What failed.
   * @param cause The driver's error.
   * @param found What was found, for the message.
   */
  constructor(
    operation: StorageOperation,
    cause: unknown,
    found = "the database refused it or could not be reached",
  ) {
    super(`Running ${operation}: ${found}`, { cause });
    this.operation = operation;
  }
}

/**
 * The table does not exist: the migration has not been run against this database. `cause` is the
 * driver's own error (SQLSTATE 42P01).
 *
 * @example Its code
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { TableMissingError } from "@wais/mitthooks-drizzle/pg";
 *
 * assertEquals(new TableMissingError("getExtension", undefined).code, "ERR_TABLE_MISSING");
 * ```
 */
export class TableMissingError extends StorageError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_TABLE_MISSING";

  /**
   * Makes the error.
   *
   * @param operation What failed.
   * @param cause The driver's error.
   */
  constructor(operation: StorageOperation, cause: unknown) {
    super(operation, cause, "the table does not exist, run the migrations first");
  }
}

/**
 * An operation did not finish within its time limit.
 *
 * @example Its code
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { DeadlineExceededError } from "@wais/mitthooks-drizzle/pg";
 *
 * const error = new DeadlineExceededError("Storing a webhook", 5000);
 * assertEquals(error.code, "ERR_DEADLINE_EXCEEDED");
 * assertEquals(error.message, "Storing a webhook: not finished after 5000 ms");
 * ```
 */
export class DeadlineExceededError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_DEADLINE_EXCEEDED";

  /**
   * Makes the error.
   *
   * @param attempt What was attempted.
   * @param limitMs The time limit in milliseconds.
   */
  constructor(attempt: string, limitMs: number) {
    super(`${attempt}: not finished after ${limitMs} ms`);
  }
}
