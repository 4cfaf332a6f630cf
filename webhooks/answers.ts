/**
 * The answers to the sender, and the status of each.
 *
 * @module
 */

/** The codes of all answers; the README's table says when each is given. */
export type WebhookAnswerCode =
  | "STORED"
  | "DRY_RUN"
  | "ERR_SIGNATURE_MALFORMED"
  | "ERR_BODY_INVALID"
  | "ERR_UNKNOWN_KIND"
  | "ERR_SIGNATURE_INVALID"
  | "ERR_DELIVERY_TOO_OLD"
  | "ERR_WRONG_EXTENSION"
  | "ERR_UNKNOWN_INSTANCE"
  | "ERR_METHOD"
  | "ERR_BODY_TOO_LARGE"
  | "ERR_STORAGE_FAILED"
  | "ERR_HANDLER_FAILED"
  | "ERR_PUBLIC_KEY_UNAVAILABLE"
  | "ERR_DEADLINE_EXCEEDED"
  | "ERR_BUSY";

/**
 * The JSON body of every answer.
 *
 * @example Read an answer in a test
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { createWebhookHandler, type WebhookAnswer } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const handler = createWebhookHandler({
 *   extensionId: "my-extension",
 *   storage: { upsertExtension() {}, updateExtension() {}, rotateSecret() {}, removeInstance() {} },
 * });
 *
 * const response = await handler(new Request("https://extension.example/webhooks"));
 * const answer: WebhookAnswer = await response.json();
 * assertEquals([response.status, answer.code], [405, "ERR_METHOD"]);
 * ```
 */
export interface WebhookAnswer {
  /** Stable identifier of the outcome. */
  code: WebhookAnswerCode;
  /** The outcome in words, for the developer who reads it in mStudio; may change between versions. */
  message: string;
}

/** The HTTP status that goes with each code. */
export const STATUS: Readonly<Record<WebhookAnswerCode, number>> = {
  STORED: 200,
  DRY_RUN: 200,
  ERR_SIGNATURE_MALFORMED: 400,
  ERR_BODY_INVALID: 400,
  ERR_UNKNOWN_KIND: 400,
  ERR_SIGNATURE_INVALID: 401,
  ERR_DELIVERY_TOO_OLD: 401,
  ERR_WRONG_EXTENSION: 403,
  ERR_UNKNOWN_INSTANCE: 404,
  ERR_METHOD: 405,
  ERR_BODY_TOO_LARGE: 413,
  ERR_STORAGE_FAILED: 500,
  ERR_HANDLER_FAILED: 500,
  ERR_PUBLIC_KEY_UNAVAILABLE: 502,
  ERR_DEADLINE_EXCEEDED: 503,
  ERR_BUSY: 503,
};

/** Builds the response. */
export function toResponse({ code, message }: WebhookAnswer): Response {
  const headers = new Headers({ "content-type": "application/json", "cache-control": "no-store" });
  if (code === "ERR_METHOD") headers.set("allow", "POST");
  return new Response(JSON.stringify({ code, message }), { status: STATUS[code], headers });
}

/** Leaves the handling of a delivery with an answer that is the sender's own doing. Never leaves this package. */
export class Refusal extends Error {
  readonly answer: WebhookAnswer;

  constructor(code: WebhookAnswerCode, message: string) {
    super(message);
    this.answer = { code, message };
  }
}
