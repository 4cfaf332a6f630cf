/**
 * The options of `createWebhookHandler`.
 *
 * @module
 */

import type { MitthooksDrizzleError } from "../errors.ts";
import {
  checkFunction,
  checkMethods,
  checkNames,
  checkWholeNumber,
} from "../internal/check_options.ts";
import type { WebhookEvent } from "./events.ts";
import type { Logger } from "./interfaces.ts";
import { MittwaldPublicKeys } from "./public_keys.ts";
import type { WebhookStorage } from "./storage.ts";
import type { VerificationSettings } from "./internal/verify_request.ts";
import { readVerificationOptions, VERIFICATION_OPTIONS } from "./internal/verification_options.ts";
import type { VerifyWebhookOptions } from "./verify_options.ts";

const NAMES = [
  ...VERIFICATION_OPTIONS,
  "storage",
  "logger",
  "onError",
  "maxConcurrent",
];
const DEFAULT_MAX_CONCURRENT = 100;
const MAX_CONCURRENT = 1_000_000;
const STORAGE_METHODS = ["upsertExtension", "updateExtension", "rotateSecret", "removeInstance"];

/** Further details for `onError`. */
export interface WebhookErrorDetails {
  /** The request, if mittwald signed it. Its body has been read. */
  readonly request?: Request;
  /** The event that was not handled, if known. */
  readonly event?: Pick<WebhookEvent, "kind" | "id" | "requestId">;
}

/**
 * Options of `createWebhookHandler`.
 *
 * @example Log, report errors, and refuse old deliveries
 * ```ts
 * import { createWebhookHandler, type WebhookHandlerOptions } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const options: Omit<WebhookHandlerOptions, "storage"> = {
 *   extensionId: "my-extension",
 *   logger: console,
 *   onError: (error, { event }) => console.error(error.code, event?.kind, event?.id, error.cause),
 *   maxAgeMs: 10 * 60 * 1000,
 * };
 *
 * const handler = createWebhookHandler({
 *   ...options,
 *   storage: { upsertExtension() {}, updateExtension() {}, rotateSecret() {}, removeInstance() {} },
 * });
 * ```
 */
export interface WebhookHandlerOptions extends VerifyWebhookOptions {
  /**
   * Where the instances are stored: any {@linkcode ExtensionStorage} of mitthooks, for example
   * `PgExtensionStorage`. It gets more fields than from mitthooks, see {@linkcode WebhookStorage}.
   */
  readonly storage: WebhookStorage;
  /**
   * Receives one line per delivery. `error`: responses of 500 and above. `warn`, or `info` if the
   * logger has no `warn`: dry runs and refused deliveries of mittwald. `info`: stored deliveries.
   * `debug`: deliveries not reported to `onError`, with a count of those not signed by mittwald. Of
   * the body, lines contain only kind and instance id. Default: none.
   */
  readonly logger?: Logger | undefined;
  /**
   * Called for deliveries that mittwald signed and that failed: lost work until somebody acts.
   * `error.code` is the code of the response or a more precise one
   * (`ERR_TABLE_MISSING`); `error.cause` is the error that led to it, if there was one. Not
   * awaited; its errors are ignored.
   *
   * Strangers cannot flood it, and never get a request through to it that mittwald did not sign.
   * Reported at most once in 10 minutes: the same delivery, byte for byte; each of these groups:
   * deliveries for another extension, of a wrong age, stale ones, dry runs of stored instances;
   * and, without a request: public keys cannot be fetched, requests cannot be read, or no delivery
   * could be verified for 5 minutes.
   */
  readonly onError?:
    | ((error: MitthooksDrizzleError, details: WebhookErrorDetails) => unknown)
    | undefined;
  /**
   * Limit of concurrent storage calls, 1 to 1,000,000; further deliveries are refused immediately
   * with 503 `ERR_BUSY`. A call counts until it ends, even after the time limit. Default: 100.
   */
  readonly maxConcurrent?: number | undefined;
}

/** The checked options with their defaults. */
export interface Settings extends VerificationSettings {
  readonly storage: WebhookStorage;
  readonly logger: WebhookHandlerOptions["logger"];
  readonly onError: WebhookHandlerOptions["onError"];
  readonly maxConcurrent: number;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws {TypeError} When an option is missing, invalid or unknown.
 * @throws {RangeError} When a number is out of range.
 */
export function readOptions(options: WebhookHandlerOptions): Settings {
  checkNames("Creating a webhook handler", options, NAMES);
  const { storage, logger, onError } = options;
  const { maxConcurrent = DEFAULT_MAX_CONCURRENT } = options;
  checkMethods("storage", storage, STORAGE_METHODS);
  if (logger !== undefined) checkMethods("logger", logger, ["info", "debug", "error"]);
  if (onError !== undefined) checkFunction("onError", onError);
  return {
    ...readVerificationOptions(options, () => new MittwaldPublicKeys()),
    storage,
    logger,
    onError,
    maxConcurrent: checkWholeNumber("maxConcurrent", maxConcurrent, MAX_CONCURRENT),
  };
}
