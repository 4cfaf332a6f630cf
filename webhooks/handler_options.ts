/**
 * The options of `createWebhookHandler`.
 *
 * @module
 */

import type { MitthooksDrizzleError } from "../errors.ts";
import { checkFunction, checkMethods, checkNames } from "../internal/check_options.ts";
import type { WebhookEvent } from "./events.ts";
import type { Logger } from "./interfaces.ts";
import { MittwaldPublicKeys } from "./public_keys.ts";
import type { WebhookStorage } from "./storage.ts";
import type { VerificationSettings } from "./internal/verify_request.ts";
import { readVerificationOptions, VERIFICATION_OPTIONS } from "./internal/verification_options.ts";
import type { VerifyWebhookOptions } from "./verify_webhook.ts";

const NAMES = [...VERIFICATION_OPTIONS, "storage", "logger", "onError"];
const STORAGE_METHODS = ["upsertExtension", "updateExtension", "rotateSecret", "removeInstance"];

/** What `onError` is told besides the error. */
export interface WebhookErrorDetails {
  /** The request. Its body has been read. */
  readonly request: Request;
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
   * Gets one line for each delivery: `error` for responses of 500 and above; `warn`, or `info` where the logger has no
   * `warn`, for dry runs and for what mittwald signed and was refused; `info` for what was stored; `debug`, with a count,
   * for what mittwald did not sign. No line contains anything of the body but kind and instance id. Default: none.
   */
  readonly logger?: Logger | undefined;
  /**
   * Is told about every delivery that mittwald signed and that did not succeed: what is lost until somebody acts.
   * `error.code` is the code of the response, or one that is more precise (`ERR_TABLE_MISSING`); `error.cause` is what
   * led to it, where something did. What strangers send is never reported. Public keys that cannot be had, and bodies
   * that something in front has read, are reported once in 10 minutes until it worked again. It is not waited for, and
   * whether it throws or rejects makes no difference.
   */
  readonly onError?:
    | ((error: MitthooksDrizzleError, details: WebhookErrorDetails) => unknown)
    | undefined;
}

/** The options as the handler uses them. */
export interface Settings extends VerificationSettings {
  readonly storage: WebhookStorage;
  readonly logger: WebhookHandlerOptions["logger"];
  readonly onError: WebhookHandlerOptions["onError"];
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
  checkMethods("storage", storage, STORAGE_METHODS);
  if (logger !== undefined) checkMethods("logger", logger, ["info", "debug", "error"]);
  if (onError !== undefined) checkFunction("onError", onError);
  return {
    ...readVerificationOptions(options, () => new MittwaldPublicKeys()),
    storage,
    logger,
    onError,
  };
}
