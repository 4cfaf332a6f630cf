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
   * Errors of another copy of this package count as well, by their code: its keys may decrypt for this one.
   *
   * @param value What is asked about.
   * @returns Whether `value instanceof DecryptionError`, or of the class that this is called on.
   */
  static override [Symbol.hasInstance](value: unknown): boolean {
    const code = value instanceof Error ? (value as { code?: unknown }).code : undefined;
    if (this === InvalidCiphertextError) return code === "ERR_INVALID_CIPHERTEXT";
    if (this === DecryptionError) {
      return code === "ERR_DECRYPTION_FAILED" || code === "ERR_INVALID_CIPHERTEXT";
    }
    return Function.prototype[Symbol.hasInstance].call(this, value);
  }

  /** Where in the query's result the value stood, for example `[3].secret`; `undefined` outside of a query. */
  readonly path: string | undefined;

  /** Name of the table that the value stands in, or of its alias; `undefined` outside of a query. */
  readonly table: string | undefined;

  /** Name of the column that the value stands in; `undefined` outside of a query. */
  readonly column: string | undefined;

  /**
   * Makes the error.
   *
   * @param path Where in the query's result the value stood.
   * @param place Table and column that it stands in.
   */
  constructor(path?: string, place?: { readonly table: string; readonly column: string }) {
    super(
      "Decrypting a stored value: it was written under another key (another master password or salt), " +
        "or it is damaged",
    );
    this.path = path;
    this.table = place?.table;
    this.column = place?.column;
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
   * @param place Table and column that it stands in.
   */
  constructor(path?: string, place?: { readonly table: string; readonly column: string }) {
    super(path, place);
    this.message = "Decrypting a stored value: it does not have the form of a ciphertext";
  }
}

/**
 * An update or a new secret came for an extension instance that is not stored; or an access token was asked for one
 * that is not stored, or that mStudio does not have any more.
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
   * @param found What was found. Default: that no such instance is stored.
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
 * An event came after a newer one of its instance was applied, or after the instance was removed. It was not
 * applied; a sender that delivers it again, signed with a newer time, gets it through.
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

  /** The id of the instance. */
  readonly extensionInstanceId: string;

  /**
   * Makes the error.
   *
   * @param attempt What was attempted.
   * @param extensionInstanceId The id of the instance.
   */
  constructor(attempt: string, extensionInstanceId: string) {
    super(
      `${attempt}: a newer event of instance ${
        JSON.stringify(extensionInstanceId)
      } was applied before, ` +
        "or the instance was removed",
    );
    this.extensionInstanceId = extensionInstanceId;
  }
}

/**
 * No access token could be had for an extension instance. `ERR_SECRET_REFUSED`: the API does not take the
 * stored secret. `ERR_INSTANCE_INACTIVE`: the instance is switched off, and mittwald takes no token of it.
 * `ERR_TOKEN_UNAVAILABLE`: the API cannot be reached, asks to be left alone, or answered with something else than a token.
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
  /** Why there is no token. */
  override readonly code: "ERR_TOKEN_UNAVAILABLE" | "ERR_SECRET_REFUSED" | "ERR_INSTANCE_INACTIVE";

  /** The id of the instance. */
  readonly extensionInstanceId: string;

  /**
   * Makes the error.
   *
   * @param code Why there is no token.
   * @param extensionInstanceId The id of the instance.
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

/** The operations that a {@linkcode StorageError} can name: methods of the storage, and functions. */
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

/**
 * A signature cannot even be checked: one of its three headers is missing, its algorithm is not Ed25519, or it
 * is not base64 of 64 bytes.
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
   * Makes the error.
   *
   * @param found What is wrong with the signature; never the signature itself.
   */
  constructor(found: string) {
    super(`Reading the signature of a webhook: ${found}`);
  }
}

/**
 * A signature does not belong to the body it came with: one of the two was changed, or it was made with
 * another key.
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
   * Makes the error.
   *
   * @param found What is wrong with the signature; by default that it does not fit the body.
   */
  constructor(found: string = "it does not fit the body") {
    super(`Checking the signature of a webhook: ${found}`);
  }
}

/**
 * A request is not a webhook that can be taken, for a reason other than its signature.
 *
 * @example Tell the reasons apart
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { WebhookRequestError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const error = new WebhookRequestError("ERR_METHOD", "Receiving a webhook: the method is not POST");
 * assertEquals(error.code, "ERR_METHOD");
 * ```
 */
export class WebhookRequestError extends MitthooksDrizzleError {
  /** What is wrong with the request. */
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
   * Makes the error.
   *
   * @param code What is wrong with the request.
   * @param message The same in words; nothing of the body but kind and field names.
   */
  constructor(code: WebhookRequestError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Nobody owns a public key of the given serial, so no signature that names it can be valid. A public key provider
 * of your own throws it to have such deliveries refused with 401; every other error it throws is answered with 502.
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
  /** Makes the error. The serial is the sender's choice and stays out of messages. */
  constructor() {
    super("no public key has its serial");
  }
}

/**
 * The public key of a signature could not be had: the endpoint is down, too slow, or answered with something that
 * is not a key. Where another error led to it, that is its `cause`.
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
   * Makes the error.
   *
   * @param found Why there is no key.
   * @param options `cause`: the error that led to this one.
   */
  constructor(found: string, options?: ErrorOptions) {
    super(`Getting a public key: ${found}`, options);
  }
}

/**
 * Rejected because the service is overloaded: as many calls of the storage are under way as may be, or too many public
 * keys are asked for. The sender tries again later.
 *
 * @example Its code
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { BusyError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * assertEquals(new BusyError("too many other serials are asked for").code, "ERR_BUSY");
 * ```
 */
export class BusyError extends MitthooksDrizzleError {
  /** See {@linkcode MitthooksDrizzleError.code}. */
  override readonly code = "ERR_BUSY";

  /**
   * Makes the error.
   *
   * @param found What was found.
   * @param attempt What was attempted. Default: to get a public key.
   */
  constructor(found: string, attempt: string = "Getting a public key") {
    super(`${attempt}: ${found}`);
  }
}

/**
 * A handler of the storage's option `on` failed, and the change that it belongs to was rolled back. `cause` is what it
 * threw.
 *
 * @example Read what the handler threw
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
   * Makes the error.
   *
   * @param cause What the handler threw.
   * @param message What was attempted, colon, what was found. Default: that a handler failed.
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
 * A request of an extension's page is not to be answered, or there is no access token for its user.
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
  /** Why. */
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

  /** The HTTP status that goes with the code: 401, 403 or 502. */
  readonly status: number;

  /**
   * Makes the error.
   *
   * @param code Why.
   * @param message The same in words; nothing of a token, a claim or a key.
   * @param options `cause`: the error that led to this one.
   */
  constructor(code: SessionError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.status = SESSION_STATUS[code];
  }

  /**
   * The response for the page.
   *
   * @returns A new response: JSON with `code` and `message`, not to be kept by any cache.
   */
  toResponse(): Response {
    const { code, message, status } = this;
    return Response.json({ code, message }, { status, headers: { "cache-control": "no-store" } });
  }
}

/**
 * The table could not be compared with mStudio, or not be mended any further. What was mended before stays.
 *
 * - `ERR_API_TOKEN_REFUSED`: the API token is not valid, or not one of the extension's contributor,
 * - `ERR_MSTUDIO_UNAVAILABLE`: the API cannot be reached, is overloaded, or does not answer as it is documented,
 * - `ERR_WRONG_EXTENSION`: mStudio does not know the extension, or an instance in the table is one of another extension.
 *
 * @example Tell a token of somebody else from an outage
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
   * Makes the error.
   *
   * @param code See above.
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
 * - `ERR_GAVE_UP`: `maxAttempts` attempts failed. The message lists their statuses and the `code`s of
 *   their JSON answers, never anything else of them.
 * - `ERR_DROPPED`: the instance was removed before.
 * - `ERR_NO_RESPONSE`: a single attempt got no response.
 * - `ERR_CLOSED`: the simulator was closed before.
 *
 * @example Tell why
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
  /** Why the delivery did not happen. */
  override readonly code: "ERR_GAVE_UP" | "ERR_DROPPED" | "ERR_NO_RESPONSE" | "ERR_CLOSED";

  /**
   * Made by the simulator.
   *
   * @param code Why the delivery did not happen.
   * @param message What was attempted, colon, what was found.
   * @param options `cause`: the error that led to this one.
   */
  constructor(code: DeliveryError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
