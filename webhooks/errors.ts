/**
 * The errors of the webhook side. Like all errors of this package they extend
 * {@linkcode MitthooksDrizzleError} and carry a stable `code`.
 *
 * @module
 */

import { MitthooksDrizzleError } from "../pg/errors.ts";

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
  /** Stable identifier of this kind of failure. */
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
  /** Stable identifier of this kind of failure. */
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
  /** Stable identifier of this kind of failure. */
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
 * A public key was not asked for, because too many others are being asked for, or turned out not to exist, at the
 * moment. The sender tries again later.
 *
 * @example Its code
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { BusyError } from "@wais/mitthooks-drizzle/webhooks";
 *
 * assertEquals(new BusyError("4 requests are under way").code, "ERR_BUSY");
 * ```
 */
export class BusyError extends MitthooksDrizzleError {
  /** Stable identifier of this kind of failure. */
  override readonly code = "ERR_BUSY";

  /**
   * Makes the error.
   *
   * @param found What keeps it busy.
   */
  constructor(found: string) {
    super(`Getting a public key: ${found}`);
  }
}

/**
 * A further handler failed after the data was stored. `cause` is what it threw.
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
  /** Stable identifier of this kind of failure. */
  override readonly code = "ERR_HANDLER_FAILED";

  /**
   * Makes the error.
   *
   * @param cause What the handler threw.
   */
  constructor(cause: unknown) {
    super("Handling a webhook: a handler failed", { cause });
  }
}
