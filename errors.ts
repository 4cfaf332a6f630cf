/**
 * All errors of this package. Each extends {@linkcode MitthooksDrizzleError} and has a stable
 * {@linkcode MitthooksDrizzleError.code | code} to `switch` on. Codes are stable; messages may
 * change between versions. Caller mistakes are plain `TypeError`s and `RangeError`s.
 *
 * No message contains a secret, a key, a plaintext or a ciphertext.
 *
 * @module
 */

/** The codes of all errors of this package. */
export type ErrorCode =
  | "ERR_ACCESS_TOKEN_REFUSED"
  | "ERR_API_TOKEN_REFUSED"
  | "ERR_BODY_INVALID"
  | "ERR_BODY_TOO_LARGE"
  | "ERR_BUSY"
  | "ERR_CLOSED"
  | "ERR_DEADLINE_EXCEEDED"
  | "ERR_DECRYPTION_FAILED"
  | "ERR_DELIVERY_IN_FUTURE"
  | "ERR_DELIVERY_TOO_OLD"
  | "ERR_DROPPED"
  | "ERR_GAVE_UP"
  | "ERR_HANDLER_FAILED"
  | "ERR_INSTANCE_INACTIVE"
  | "ERR_INVALID_CIPHERTEXT"
  | "ERR_METHOD"
  | "ERR_MSTUDIO_UNAVAILABLE"
  | "ERR_NO_DRY_RUN"
  | "ERR_NO_RESPONSE"
  | "ERR_PUBLIC_KEY_UNAVAILABLE"
  | "ERR_SECRET_REFUSED"
  | "ERR_SESSION_EXPIRED"
  | "ERR_SESSION_INVALID"
  | "ERR_SESSION_MISSING"
  | "ERR_SIGNATURE_INVALID"
  | "ERR_SIGNATURE_MALFORMED"
  | "ERR_STALE_EVENT"
  | "ERR_STORAGE_FAILED"
  | "ERR_TABLE_MISSING"
  | "ERR_TOKEN_UNAVAILABLE"
  | "ERR_UNKNOWN_INSTANCE"
  | "ERR_UNKNOWN_KIND"
  | "ERR_WRONG_EXTENSION";

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
   * Base class of every error of this package.
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
 * A stored value could not be decrypted: it was encrypted with another key, or it is damaged.
 *
 * The message is fixed and there is no `cause`, so the error reveals nothing about the key or the
 * value.
 *
 * @example Find the damaged value
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { DecryptionError } from "@wais/mitthooks-drizzle/pg";
 *
 * const error = new DecryptionError("[3].secret", { table: "account", column: "secret" });
 * assertEquals(error.code, "ERR_DECRYPTION_FAILED");
 * assertEquals([error.path, error.table, error.column], ["[3].secret", "account", "secret"]);
 * ```
 */
export class DecryptionError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code: "ERR_DECRYPTION_FAILED" | "ERR_INVALID_CIPHERTEXT" =
    "ERR_DECRYPTION_FAILED";

  /**
   * Also recognizes errors of another copy of this package, by their `code`: the key may come from
   * that copy.
   *
   * @param value The value to test.
   * @returns Whether the value is an instance of the class that this is called on.
   */
  static override [Symbol.hasInstance](value: unknown): boolean {
    const code = value instanceof Error ? (value as { code?: unknown }).code : undefined;
    if (this === InvalidCiphertextError) return code === "ERR_INVALID_CIPHERTEXT";
    if (this === DecryptionError) {
      return code === "ERR_DECRYPTION_FAILED" || code === "ERR_INVALID_CIPHERTEXT";
    }
    return Function.prototype[Symbol.hasInstance].call(this, value);
  }

  /**
   * Path of the value in the query's result, for example `[3].secret`; `undefined` outside a query.
   */
  readonly path: string | undefined;

  /** Name of the value's table, or its alias; `undefined` outside a query. */
  readonly table: string | undefined;

  /** Name of the value's column; `undefined` outside a query. */
  readonly column: string | undefined;

  /**
   * A stored value could not be decrypted: it was encrypted with another key, or it is damaged.
   *
   * @param path Path of the value in the query's result.
   * @param place The value's table and column.
   */
  constructor(path?: string, place?: { readonly table: string; readonly column: string }) {
    super(
      "Decrypting a stored value: it was encrypted with another key (another master password or salt), " +
        "or it is damaged",
    );
    this.path = path;
    this.table = place?.table;
    this.column = place?.column;
  }
}

/**
 * A stored value is not a ciphertext: it does not have the form
 * `base64(iv):base64(ciphertext):base64(tag)` with an IV of 12 bytes and a tag of 16 bytes.
 *
 * @example A {@linkcode DecryptionError} with its own code
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
   * A stored value is not a ciphertext: it does not have the form
   * `base64(iv):base64(ciphertext):base64(tag)` with an IV of 12 bytes and a tag of 16 bytes.
   *
   * @param path Path of the value in the query's result.
   * @param place The value's table and column.
   */
  constructor(path?: string, place?: { readonly table: string; readonly column: string }) {
    super(path, place);
    this.message = "Decrypting a stored value: it does not have the form of a ciphertext";
  }
}

/**
 * The extension instance is not stored, or mStudio no longer has it. Thrown for an update, a new
 * secret and a request for an access token.
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
   * The extension instance is not stored, or mStudio no longer has it.
   *
   * @param attempt What was attempted.
   * @param extensionInstanceId The id that was not found.
   * @param found What was found. Default: no such instance is stored.
   */
  constructor(
    attempt: string,
    extensionInstanceId: string,
    found: string = `no instance ${JSON.stringify(extensionInstanceId)} is stored`,
  ) {
    super(`${attempt}: ${found}`);
    this.extensionInstanceId = extensionInstanceId;
  }
}

/**
 * An event is older than one that was already applied to its instance, or the instance was removed.
 * The event was not applied. A repeated delivery succeeds if it is signed with a newer time.
 *
 * @example Read the id
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { StaleEventError } from "@wais/mitthooks-drizzle/pg";
 *
 * const error = new StaleEventError("Updating an extension instance", "8f2c");
 * assertEquals(error.code, "ERR_STALE_EVENT");
 * assertEquals(error.extensionInstanceId, "8f2c");
 * ```
 */
export class StaleEventError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_STALE_EVENT";

  /** The instance's id. */
  readonly extensionInstanceId: string;

  /**
   * An event is older than one that was already applied to its instance, or the instance was
   * removed.
   *
   * @param attempt What was attempted.
   * @param extensionInstanceId The instance's id.
   */
  constructor(attempt: string, extensionInstanceId: string) {
    super(
      `${attempt}: a newer event of instance ${
        JSON.stringify(extensionInstanceId)
      } was already applied, ` +
        "or the instance was removed",
    );
    this.extensionInstanceId = extensionInstanceId;
  }
}

/**
 * No access token could be obtained for an extension instance.
 *
 * - `ERR_SECRET_REFUSED`: the API refuses the stored secret.
 * - `ERR_INSTANCE_INACTIVE`: the instance is disabled; mittwald accepts none of its tokens.
 * - `ERR_TOKEN_UNAVAILABLE`: the API cannot be reached, asked for a pause, or answered with
 *   something other than a token.
 *
 * @example Tell them apart
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { InstanceTokenError } from "@wais/mitthooks-drizzle/tokens";
 *
 * const error = new InstanceTokenError("ERR_SECRET_REFUSED", "8f2c", "the API answered with status 403");
 * assertEquals(error.code, "ERR_SECRET_REFUSED");
 * assertEquals(
 *   error.message,
 *   'Getting an access token of instance "8f2c": the API answered with status 403',
 * );
 * ```
 */
export class InstanceTokenError extends MitthooksDrizzleError {
  /** The reason. */
  override readonly code: "ERR_TOKEN_UNAVAILABLE" | "ERR_SECRET_REFUSED" | "ERR_INSTANCE_INACTIVE";

  /** The instance's id. */
  readonly extensionInstanceId: string;

  /**
   * No access token could be obtained for an extension instance.
   *
   * @param code The reason.
   * @param extensionInstanceId The instance's id.
   * @param found What was found; never the secret or a token.
   * @param options `cause`: the error that led to this one.
   */
  constructor(
    code: "ERR_TOKEN_UNAVAILABLE" | "ERR_SECRET_REFUSED" | "ERR_INSTANCE_INACTIVE",
    extensionInstanceId: string,
    found: string,
    options?: ErrorOptions,
  ) {
    super(
      `Getting an access token of instance ${JSON.stringify(extensionInstanceId)}: ${found}`,
      options,
    );
    this.code = code;
    this.extensionInstanceId = extensionInstanceId;
  }
}

/** The operations that a {@linkcode StorageError} names: methods of the storage and functions. */
export type StorageOperation =
  | "upsertExtension"
  | "updateExtension"
  | "rotateSecret"
  | "removeInstance"
  | "getExtension"
  | "getInstance"
  | "forgetRemoved"
  | "verify"
  | "reencrypt"
  | "keyStatus"
  | "recovery";

/**
 * The database refused a statement or could not be reached. `cause` is the driver's error.
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

  /** The operation that failed: a method of the storage or a function. */
  readonly operation: StorageOperation;

  /**
   * The database refused a statement or could not be reached.
   *
   * @param operation The operation that failed.
   * @param cause The driver's error.
   * @param found What was found.
   */
  constructor(
    operation: StorageOperation,
    cause: unknown,
    found = "the database refused the statement or could not be reached",
  ) {
    super(`Running ${operation}: ${found}`, { cause });
    this.operation = operation;
  }
}

/**
 * The table does not exist: the migrations have not been run on this database. `cause` is the
 * driver's error (SQLSTATE 42P01).
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
   * The table does not exist: the migrations have not been run on this database.
   *
   * @param operation The operation that failed.
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
   * An operation did not finish within its time limit.
   *
   * @param attempt What was attempted.
   * @param limitMs The time limit in milliseconds.
   */
  constructor(attempt: string, limitMs: number) {
    super(`${attempt}: not finished after ${limitMs} ms`);
  }
}

/**
 * A signature is malformed: one of its three headers is missing, its algorithm is not Ed25519, or
 * it is not base64 of 64 bytes.
 *
 * @example Its code
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SignatureMalformedError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * assertEquals(new SignatureMalformedError("it is empty").code, "ERR_SIGNATURE_MALFORMED");
 * ```
 */
export class SignatureMalformedError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_SIGNATURE_MALFORMED";

  /**
   * A signature is malformed: one of its three headers is missing, its algorithm is not Ed25519, or
   * it is not base64 of 64 bytes.
   *
   * @param found What is wrong with the signature; never the signature itself.
   */
  constructor(found: string) {
    super(`Reading the signature of a webhook: ${found}`);
  }
}

/**
 * A signature does not match the body: one of the two was changed, or another key signed it.
 *
 * @example Its code
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SignatureInvalidError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * assertEquals(new SignatureInvalidError().code, "ERR_SIGNATURE_INVALID");
 * ```
 */
export class SignatureInvalidError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_SIGNATURE_INVALID";

  /**
   * A signature does not match the body: one of the two was changed, or another key signed it.
   *
   * @param found What is wrong with the signature. Default: it does not match the body.
   */
  constructor(found: string = "it does not match the body") {
    super(`Checking the signature of a webhook: ${found}`);
  }
}

/**
 * A request is not an acceptable webhook, for a reason other than its signature.
 *
 * @example Distinguish the reasons
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { WebhookRequestError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const error = new WebhookRequestError("ERR_METHOD", "Receiving a webhook: the method is not POST");
 * assertEquals(error.code, "ERR_METHOD");
 * ```
 */
export class WebhookRequestError extends MitthooksDrizzleError {
  /** The reason. */
  override readonly code:
    | "ERR_BODY_INVALID"
    | "ERR_BODY_TOO_LARGE"
    | "ERR_DELIVERY_IN_FUTURE"
    | "ERR_DELIVERY_TOO_OLD"
    | "ERR_METHOD"
    | "ERR_NO_DRY_RUN"
    | "ERR_UNKNOWN_KIND"
    | "ERR_WRONG_EXTENSION";

  /**
   * A request is not an acceptable webhook, for a reason other than its signature.
   *
   * @param code The reason.
   * @param message What was attempted, colon, what was found; of the body only kind and field
   *   names.
   */
  constructor(code: WebhookRequestError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * No public key has the given serial, so no signature that names it is valid. Throw it in your own
 * public key provider to have such deliveries refused with 401; any other error is answered with
 * 502.
 *
 * @example A provider with one key
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import { SignatureInvalidError, UnknownPublicKeyError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const publicKeys = {
 *   getPublicKey(serial: string): string {
 *     if (serial !== "2026-01") throw new UnknownPublicKeyError();
 *     return "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
 *   },
 * };
 *
 * assertThrows(() => publicKeys.getPublicKey("made-up"), SignatureInvalidError);
 * ```
 */
export class UnknownPublicKeyError extends SignatureInvalidError {
  /** No public key has the given serial. The sender chooses it, so it stays out of messages. */
  constructor() {
    super("no public key has its serial");
  }
}

/**
 * The public key of a signature could not be fetched: the endpoint is down, too slow, or did not
 * answer with a key. `cause` is the error that led to it, if there was one.
 *
 * @example Its message
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PublicKeyUnavailableError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const error = new PublicKeyUnavailableError("the endpoint answered with status 500");
 * assertEquals(error.code, "ERR_PUBLIC_KEY_UNAVAILABLE");
 * assertEquals(error.message, "Getting a public key: the endpoint answered with status 500");
 * ```
 */
export class PublicKeyUnavailableError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_PUBLIC_KEY_UNAVAILABLE";

  /**
   * The public key of a signature could not be fetched: the endpoint is down, too slow, or did not
   * answer with a key.
   *
   * @param found What was found.
   * @param options `cause`: the error that led to this one.
   */
  constructor(found: string, options?: ErrorOptions) {
    super(`Getting a public key: ${found}`, options);
  }
}

/**
 * Rejected because the service is overloaded: too many storage calls or requests for public keys
 * are in flight. The sender retries later.
 *
 * @example Its code
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { BusyError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * assertEquals(new BusyError("too many other serials are being requested").code, "ERR_BUSY");
 * ```
 */
export class BusyError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_BUSY";

  /**
   * Rejected because the service is overloaded: too many storage calls or requests for public keys
   * are in flight.
   *
   * @param found What was found.
   * @param attempt What was attempted. Default: getting a public key.
   */
  constructor(found: string, attempt: string = "Getting a public key") {
    super(`${attempt}: ${found}`);
  }
}

/**
 * A handler of the storage's option `on` failed, and its change was rolled back. `cause` is the
 * error that the handler threw.
 *
 * @example Read the handler's error
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HandlerFailedError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const error = new HandlerFailedError(new Error("the mail server is down"));
 * assertEquals(error.code, "ERR_HANDLER_FAILED");
 * assertEquals((error.cause as Error).message, "the mail server is down");
 * ```
 */
export class HandlerFailedError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_HANDLER_FAILED";

  /**
   * A handler of the storage's option `on` failed, and its change was rolled back.
   *
   * @param cause The handler's error.
   * @param message What was attempted, colon, what was found. Default: a handler failed.
   */
  constructor(cause: unknown, message: string = "Handling a webhook: a handler failed") {
    super(message, { cause });
  }
}

const SESSION_STATUS: Readonly<Record<SessionError["code"], number>> = {
  ERR_SESSION_MISSING: 401,
  ERR_SESSION_INVALID: 401,
  ERR_SESSION_EXPIRED: 401,
  ERR_WRONG_EXTENSION: 403,
  ERR_UNKNOWN_INSTANCE: 403,
  ERR_INSTANCE_INACTIVE: 403,
  ERR_ACCESS_TOKEN_REFUSED: 403,
  ERR_PUBLIC_KEY_UNAVAILABLE: 502,
  ERR_TOKEN_UNAVAILABLE: 502,
};

/**
 * A request of an extension's page was refused, or its user gets no access token.
 *
 * @example Answer the page
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SessionError } from "@wais/mitthooks-drizzle/sessions";
 *
 * const error = new SessionError("ERR_SESSION_EXPIRED", "Checking a session token: it has expired");
 * assertEquals(error.status, 401);
 * assertEquals(await error.toResponse().json(), {
 *   code: "ERR_SESSION_EXPIRED",
 *   message: "Checking a session token: it has expired",
 * });
 * ```
 */
export class SessionError extends MitthooksDrizzleError {
  /** The reason. */
  override readonly code:
    | "ERR_ACCESS_TOKEN_REFUSED"
    | "ERR_INSTANCE_INACTIVE"
    | "ERR_PUBLIC_KEY_UNAVAILABLE"
    | "ERR_SESSION_EXPIRED"
    | "ERR_SESSION_INVALID"
    | "ERR_SESSION_MISSING"
    | "ERR_TOKEN_UNAVAILABLE"
    | "ERR_UNKNOWN_INSTANCE"
    | "ERR_WRONG_EXTENSION";

  /** The HTTP status for the code: 401, 403 or 502. */
  readonly status: number;

  /**
   * A request of an extension's page was refused, or its user gets no access token.
   *
   * @param code The reason.
   * @param message What was attempted, colon, what was found; never part of a token, a claim or a
   *   key.
   * @param options `cause`: the error that led to this one.
   */
  constructor(code: SessionError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.status = SESSION_STATUS[code];
  }

  /**
   * Makes the response for the page.
   *
   * @returns A new response: JSON with `code` and `message`, with `cache-control: no-store`.
   */
  toResponse(): Response {
    const { code, message, status } = this;
    return Response.json({ code, message }, { status, headers: { "cache-control": "no-store" } });
  }
}

/**
 * Comparing the table with mStudio or repairing it failed. Repairs made before the failure remain.
 *
 * - `ERR_API_TOKEN_REFUSED`: the API token is invalid, or does not belong to the extension's
 *   contributor.
 * - `ERR_MSTUDIO_UNAVAILABLE`: the API cannot be reached, is overloaded, or gave an undocumented
 *   answer.
 * - `ERR_WRONG_EXTENSION`: mStudio has no such extension, or an instance in the table belongs to
 *   another one.
 *
 * @example Tell a refused token from an outage
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { CompareError } from "@wais/mitthooks-drizzle/recovery";
 *
 * const error = new CompareError("ERR_API_TOKEN_REFUSED", "Comparing with mStudio: the API answered with status 403");
 * assertEquals(error.code, "ERR_API_TOKEN_REFUSED");
 * ```
 */
export class CompareError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code:
    | "ERR_API_TOKEN_REFUSED"
    | "ERR_MSTUDIO_UNAVAILABLE"
    | "ERR_WRONG_EXTENSION";

  /**
   * Comparing the table with mStudio or repairing it failed.
   *
   * @param code The reason.
   * @param message What was attempted, colon, what was found.
   * @param options `cause`: the error that led to this one.
   */
  constructor(code: CompareError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * A simulated mStudio could not deliver an event:
 *
 * - `ERR_GAVE_UP`: `maxAttempts` attempts failed. The message lists their statuses and the `code`s
 *   of their JSON answers, nothing else.
 * - `ERR_DROPPED`: the instance was removed first.
 * - `ERR_NO_RESPONSE`: a single attempt got no response.
 * - `ERR_CLOSED`: the simulator was closed first.
 *
 * @example Read the reason
 * ```ts
 * import { assertEquals, assertRejects } from "@std/assert";
 * import { DeliveryError, SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: () => Response.json({ code: "ERR_STORAGE_FAILED" }, { status: 500 }),
 *   maxAttempts: 1,
 * });
 * const error = await assertRejects(() => mstudio.addInstance({ id: "i-1" }), DeliveryError);
 * assertEquals(error.code, "ERR_GAVE_UP");
 * assertEquals(
 *   error.message,
 *   'Delivering ExtensionAddedToContext of instance "i-1": 1 of 1 attempts failed: 500 ERR_STORAGE_FAILED',
 * );
 * ```
 */
export class DeliveryError extends MitthooksDrizzleError {
  /** The reason. */
  override readonly code: "ERR_GAVE_UP" | "ERR_DROPPED" | "ERR_NO_RESPONSE" | "ERR_CLOSED";

  /**
   * A simulated mStudio could not deliver an event.
   *
   * @param code The reason.
   * @param message What was attempted, colon, what was found.
   * @param options `cause`: the error that led to this one.
   */
  constructor(code: DeliveryError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
