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

/** What `onError` is told besides the error. */
export interface WebhookErrorDetails {
  /** The request, where mittwald signed what it brought. Its body has been read. */
  readonly request?: Request;
  /** The event that was not handled, once that is known. */
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
   * Where the instances are kept: any {@linkcode ExtensionStorage} of mitthooks, for example `PgExtensionStorage`. It is given more
   * than mitthooks gives; see {@linkcode WebhookStorage}.
   */
  readonly storage: WebhookStorage;
  /**
   * Gets one line for each delivery. `error`: responses of 500 and above. `warn`, or `info` where the logger has no
   * `warn`: dry runs, and what mittwald signed and was refused. `info`: what was stored. `debug`: what `onError` would
   * not be told, with a count of what mittwald did not sign. No line contains anything of the body but kind and instance
   * id. Default: none.
   */
  readonly logger?: Logger | undefined;
  /**
   * Is told about deliveries that mittwald signed and that did not succeed: what is lost until somebody acts.
   * `error.code` is the code of the response, or one that is more precise (`ERR_TABLE_MISSING`); `error.cause` is what
   * led to it, where something did. Not awaited; its errors are ignored.
   *
   * Strangers cannot fill it. Nothing of a request is handed on that mittwald did not sign. Once in 10 minutes are told:
   * a delivery that is sent again byte for byte; deliveries for another extension, of a wrong age, stale ones, and stored
   * instances in dry runs, each of these all together; and, without a request, that public keys cannot be fetched, that
   * requests cannot be read, or that for 5 minutes deliveries came and none could be verified.
   */
  readonly onError?:
    | ((error: MitthooksDrizzleError, details: WebhookErrorDetails) => unknown)
    | undefined;
  /**
   * How many calls of the storage are under way at once, 1 to 1,000,000; a delivery beyond that is refused at once with
   * 503 `ERR_BUSY`. A call counts until it ends, also after the time limit. Default: 100.
   */
  readonly maxConcurrent?: number | undefined;
}

/** The options as the handler uses them. */
export interface Settings extends VerificationSettings {
  readonly storage: WebhookStorage;
  readonly logger: WebhookHandlerOptions["logger"];
  readonly onError: WebhookHandlerOptions["onError"];
  readonly maxConcurrent: number;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws {TypeError} When one is missing, of the wrong type, or none of them.
 * @throws {RangeError} When a number is out of its limits.
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
