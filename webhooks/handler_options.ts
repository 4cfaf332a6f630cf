/**
 * The options of `createWebhookHandler`.
 *
 * @module
 */

import type { WebhookHandler } from "@weissaufschwarz/mitthooks/handler/interface";
import type { Logger } from "@weissaufschwarz/mitthooks/logging/interface";
import type { ExtensionStorage } from "@weissaufschwarz/mitthooks/storage/extensionStorage";
import type { PublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import type { MitthooksDrizzleError } from "../errors.ts";
import {
  checkDuration,
  checkFunction,
  checkMethods,
  checkWholeNumber,
} from "../internal/check_options.ts";
import { MittwaldPublicKeys } from "./public_keys.ts";

const DEFAULT_MAX_BODY_BYTES = 256 * 1024;
const DEFAULT_TIMEOUT_MS = 5_000;
const STORAGE_METHODS = ["upsertExtension", "updateExtension", "rotateSecret", "removeInstance"];

/**
 * Options of `createWebhookHandler`.
 *
 * @example Log, report errors, and refuse old deliveries
 * ```ts
 * import { createWebhookHandler, type WebhookHandlerOptions } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const options: Omit<WebhookHandlerOptions, "storage"> = {
 *   extensionId: "my-extension",
 *   logger: { info: console.log, debug: console.debug, error: console.error },
 *   onError: (error, request) => console.error(request.url, error.code, error.cause),
 *   maxAgeMs: 10 * 60 * 1000,
 * };
 *
 * const handler = createWebhookHandler({
 *   ...options,
 *   storage: { upsertExtension() {}, updateExtension() {}, rotateSecret() {}, removeInstance() {} },
 * });
 * ```
 */
export interface WebhookHandlerOptions {
  /**
   * Where the instances are kept: any mitthooks `ExtensionStorage`, for example `PgExtensionStorage`. Beyond mitthooks'
   * fields, `upsertExtension` and `updateExtension` are given `context` (`"customer"` or `"project"`) and `enabled`.
   */
  storage: ExtensionStorage;
  /** The id of your extension. Deliveries for any other are refused. */
  extensionId: string;
  /** Where public keys come from. Default: a new {@linkcode MittwaldPublicKeys}. */
  publicKeys?: PublicKeyProvider | undefined;
  /**
   * Gets one line for each delivery: `error` for answers of 500 and above, `info` for all others. No line contains
   * anything of the body but kind and instance id. Default: none.
   */
  logger?: Logger | undefined;
  /**
   * Is told about every answer of 500 and above. `error.code` is the code of the answer, or one that is more precise
   * (`ERR_TABLE_MISSING`); `error.cause` is what led to it, where something did. It is not waited for, and whether it
   * throws or rejects makes no difference. The body of `request` has been read.
   */
  onError?: ((error: MitthooksDrizzleError, request: Request) => unknown) | undefined;
  /**
   * Handlers that run one after another when the data is stored, as a mitthooks chain: each calls `next` to go on.
   * They do not run for dry runs. They must be idempotent: a delivery can arrive more than once, and one that throws
   * has the delivery sent again.
   */
  handlers?: readonly WebhookHandler[] | undefined;
  /** The largest body in bytes, at least 1. Default: 262,144. */
  maxBodyBytes?: number | undefined;
  /**
   * Time limit for everything, reading the body included, in milliseconds, 1 to 2,147,483,647. Default: 5,000; the
   * sender gives up at 6,000.
   */
  timeoutMs?: number | undefined;
  /**
   * The greatest age of a delivery in milliseconds, at least 1, by the `request.createdAt` that is signed. Default: no
   * limit. It keeps recorded deliveries from being played back later. The clocks of both sides count.
   */
  maxAgeMs?: number | undefined;
}

/** The options as the handler uses them. */
export interface Settings {
  readonly storage: ExtensionStorage;
  readonly extensionId: string;
  readonly publicKeys: PublicKeyProvider;
  readonly logger: Logger | undefined;
  readonly onError: WebhookHandlerOptions["onError"];
  readonly handlers: readonly WebhookHandler[];
  readonly maxBodyBytes: number;
  readonly timeoutMs: number;
  readonly maxAgeMs: number | undefined;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws {TypeError} When one is missing or of the wrong type.
 * @throws {RangeError} When a number is out of its limits.
 */
export function readOptions(options: WebhookHandlerOptions): Settings {
  if (typeof options !== "object" || options === null) {
    throw new TypeError("Creating a webhook handler: no options were given");
  }
  const { storage, extensionId, publicKeys, logger, onError, handlers = [], maxAgeMs } = options;
  const { maxBodyBytes = DEFAULT_MAX_BODY_BYTES, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  checkMethods("storage", storage, STORAGE_METHODS);
  if (typeof extensionId !== "string" || extensionId === "") {
    throw new TypeError("Reading the option extensionId: it is not a string, or empty");
  }
  if (publicKeys !== undefined) checkMethods("publicKeys", publicKeys, ["getPublicKey"]);
  if (logger !== undefined) checkMethods("logger", logger, ["info", "debug", "error"]);
  if (onError !== undefined) checkFunction("onError", onError);
  if (!Array.isArray(handlers)) {
    throw new TypeError("Reading the option handlers: it is not an array");
  }
  handlers.forEach((handler, index) =>
    checkMethods(`handlers[${index}]`, handler, ["handleWebhook"])
  );
  return {
    storage,
    extensionId,
    publicKeys: publicKeys ?? new MittwaldPublicKeys(),
    logger,
    onError,
    handlers: [...handlers],
    maxBodyBytes: checkWholeNumber("maxBodyBytes", maxBodyBytes, Number.MAX_SAFE_INTEGER),
    timeoutMs: checkDuration("timeoutMs", timeoutMs),
    maxAgeMs: maxAgeMs === undefined
      ? undefined
      : checkWholeNumber("maxAgeMs", maxAgeMs, Number.MAX_SAFE_INTEGER),
  };
}
