/**
 * Responses to the sender.
 *
 * @module
 */

/** The codes of all responses; `docs/webhooks.md` explains them. */
export type WebhookResponseCode =
  | "STORED"
  | "DRY_RUN"
  | "ERR_SIGNATURE_MALFORMED"
  | "ERR_BODY_INVALID"
  | "ERR_UNKNOWN_KIND"
  | "ERR_SIGNATURE_INVALID"
  | "ERR_DELIVERY_TOO_OLD"
  | "ERR_DELIVERY_IN_FUTURE"
  | "ERR_WRONG_EXTENSION"
  | "ERR_UNKNOWN_INSTANCE"
  | "ERR_METHOD"
  | "ERR_NO_DRY_RUN"
  | "ERR_STALE_EVENT"
  | "ERR_BODY_TOO_LARGE"
  | "ERR_STORAGE_FAILED"
  | "ERR_HANDLER_FAILED"
  | "ERR_PUBLIC_KEY_UNAVAILABLE"
  | "ERR_DEADLINE_EXCEEDED"
  | "ERR_BUSY";

/**
 * The JSON body of every response.
 *
 * @example Read a response in a test
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { createWebhookHandler, type WebhookResponseBody } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const handler = createWebhookHandler({
 *   extensionId: "my-extension",
 *   storage: { upsertExtension() {}, updateExtension() {}, rotateSecret() {}, removeInstance() {} },
 * });
 *
 * const response = await handler(new Request("https://extension.example/webhooks"));
 * const body: WebhookResponseBody = await response.json();
 * assertEquals([response.status, body.code], [405, "ERR_METHOD"]);
 * ```
 */
export interface WebhookResponseBody {
  /** Stable identifier of the outcome. */
  code: WebhookResponseCode;
  /** The outcome in words, for developers who read it in mStudio; may change between versions. */
  message: string;
}
