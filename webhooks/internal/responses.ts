/** Builds the response for an outcome. */

import {
  type ErrorCode,
  HandlerFailedError,
  MitthooksDrizzleError,
  SignatureInvalidError,
  SignatureMalformedError,
  WebhookRequestError,
} from "../../errors.ts";
import type { WebhookResponseBody, WebhookResponseCode } from "../responses.ts";

/** The HTTP status of each code. */
export const STATUS: Readonly<Record<WebhookResponseCode, number>> = {
  STORED: 200,
  DRY_RUN: 200,
  ERR_SIGNATURE_MALFORMED: 400,
  ERR_BODY_INVALID: 400,
  ERR_UNKNOWN_KIND: 400,
  ERR_SIGNATURE_INVALID: 401,
  ERR_DELIVERY_TOO_OLD: 401,
  ERR_DELIVERY_IN_FUTURE: 401,
  ERR_WRONG_EXTENSION: 403,
  ERR_UNKNOWN_INSTANCE: 404,
  ERR_METHOD: 405,
  ERR_NO_DRY_RUN: 409,
  ERR_STALE_EVENT: 409,
  ERR_BODY_TOO_LARGE: 413,
  ERR_STORAGE_FAILED: 500,
  ERR_HANDLER_FAILED: 500,
  ERR_PUBLIC_KEY_UNAVAILABLE: 502,
  ERR_DEADLINE_EXCEEDED: 503,
  ERR_BUSY: 503,
};

// Fixed texts, because the sender reads them: a response must contain nothing of the database or
// the application.
const MESSAGES = {
  ERR_BUSY: "Handling a webhook: too many others are in progress, try again later",
  ERR_DEADLINE_EXCEEDED: "Handling a webhook: it took too long",
  ERR_HANDLER_FAILED: "Handling a webhook: a handler failed",
  ERR_PUBLIC_KEY_UNAVAILABLE: "Getting a public key: there was no usable answer",
  ERR_STALE_EVENT:
    "Handling a webhook: a newer event of this instance was already applied, or the instance was removed",
  ERR_STORAGE_FAILED: "Storing a webhook: the storage failed",
  ERR_UNKNOWN_INSTANCE: "Handling a webhook: no instance with this id is stored",
} satisfies Partial<Record<ErrorCode, string>>;

/** The outcome of a delivery. */
export interface Outcome {
  readonly body: WebhookResponseBody;
  /** The reason of a failure. */
  readonly error?: MitthooksDrizzleError;
}

/** The outcome for an error. */
export function outcomeOf(thrown: unknown): Outcome {
  const error = thrown instanceof MitthooksDrizzleError ? thrown : new HandlerFailedError(thrown);
  if (
    error instanceof WebhookRequestError || error instanceof SignatureInvalidError ||
    error instanceof SignatureMalformedError
  ) {
    return { body: { code: error.code, message: error.message }, error };
  }
  const code = hasMessage(error.code) ? error.code : "ERR_STORAGE_FAILED";
  return { body: { code, message: MESSAGES[code] }, error };
}

function hasMessage(code: ErrorCode): code is keyof typeof MESSAGES {
  return Object.hasOwn(MESSAGES, code);
}

/** Builds the response. */
export function toResponse({ code, message }: WebhookResponseBody): Response {
  const headers: Record<string, string> = {
    "content-type": "application/json",
    "cache-control": "no-store",
  };
  if (code === "ERR_METHOD") headers["allow"] = "POST";
  return new Response(JSON.stringify({ code, message }), { status: STATUS[code], headers });
}
