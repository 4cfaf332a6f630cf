/**
 * Lifecycle webhooks of mittwald extensions, wherever `fetch` runs: a handler that stores only
 * events signed by mittwald, and the signature check alone.
 *
 * @example Serve an extension's webhooks
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { createWebhookHandler } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const handler = createWebhookHandler({
 *   extensionId: "my-extension",
 *   storage: { // in real life: a PgExtensionStorage
 *     upsertExtension() {},
 *     updateExtension() {},
 *     rotateSecret() {},
 *     removeInstance() {},
 *   },
 * });
 *
 * const unsigned = new Request("https://extension.example/", { method: "POST", body: "{}" });
 * const response = await handler(unsigned); // in real life: your server calls it
 * assertEquals(response.status, 400);
 * assertEquals((await response.json()).code, "ERR_SIGNATURE_MALFORMED");
 * ```
 *
 * @module
 */

export { createWebhookHandler } from "./handler.ts";
export { MittwaldPublicKeys } from "./public_keys.ts";
export { SignatureVerificationHandler } from "./moved.ts";
export { verifyWebhook } from "./verify_webhook.ts";
export {
  BusyError,
  DeadlineExceededError,
  HandlerFailedError,
  MitthooksDrizzleError,
  PublicKeyUnavailableError,
  SignatureInvalidError,
  SignatureMalformedError,
  StaleEventError,
  StorageError,
  UnknownExtensionInstanceError,
  UnknownPublicKeyError,
  WebhookRequestError,
} from "../errors.ts";

export type {
  ExtensionAddedToContextEvent,
  InstanceRemovedFromContextEvent,
  InstanceState,
  InstanceUpdatedEvent,
  SecretRotatedEvent,
  WebhookEvent,
  WebhookEventBase,
} from "./events.ts";
export type { WebhookErrorDetails, WebhookHandlerOptions } from "./handler_options.ts";
export type { Logger, PublicKeyProvider } from "./interfaces.ts";
export type { MittwaldPublicKeysOptions, PublicKeyOptions } from "./public_keys.ts";
export type { WebhookResponseBody, WebhookResponseCode } from "./responses.ts";
export type {
  EventTime,
  ExtensionStorage,
  ExtensionToBeAdded,
  ExtensionToBeUpdated,
  InstanceDetails,
  WebhookStorage,
} from "./storage.ts";
export type { VerifyWebhookOptions } from "./verify_options.ts";
export type { VerifiedWebhook } from "./verify_webhook.ts";
export type { ErrorCode, StorageOperation } from "../errors.ts";
