/** What becomes of a delivery: the answer to the sender, and what the operator is told. */

import { MitthooksDrizzleError } from "../../pg/errors.ts";
import { Refusal, STATUS, type WebhookAnswer, type WebhookAnswerCode } from "../answers.ts";
import { HandlerFailedError } from "../errors.ts";
import { codeOf } from "./code_of.ts";
import type { Settings } from "../handler_options.ts";

/** How the handling of a delivery ended. */
export interface Outcome {
  readonly answer: WebhookAnswer;
  /** What the delivery was, once that is known: kind and instance id. */
  readonly subject?: string | undefined;
  /** Why it failed, if the failure is on the receiver's side. */
  readonly error?: MitthooksDrizzleError | undefined;
}

// Fixed, because the sender gets to read them: nothing of the database or of the application belongs into an answer.
const FAILURES: ReadonlyMap<string, WebhookAnswer> = new Map(
  ([
    ["ERR_BUSY", "Getting a public key: too many others are being asked for, try again later"],
    ["ERR_DEADLINE_EXCEEDED", "Handling a webhook: it took too long"],
    ["ERR_HANDLER_FAILED", "Handling a webhook: a handler failed"],
    ["ERR_PUBLIC_KEY_UNAVAILABLE", "Getting a public key: there was no usable answer"],
    ["ERR_STORAGE_FAILED", "Storing a webhook: the storage failed"],
  ] satisfies [WebhookAnswerCode, string][]).map(([code, message]) => [code, { code, message }]),
);

/** The outcome of a delivery whose handling threw. */
export function outcomeOfError(error: unknown, subject: string | undefined): Outcome {
  if (error instanceof Refusal) return { answer: error.answer, subject };
  const code = codeOf(error);
  if (code === "ERR_SIGNATURE_INVALID" || code === "ERR_SIGNATURE_MALFORMED") {
    const message = error instanceof MitthooksDrizzleError
      ? error.message
      : "Checking the signature of a webhook: it is refused";
    return { answer: { code, message }, subject };
  }
  const answer = FAILURES.get(code === "ERR_TABLE_MISSING" ? "ERR_STORAGE_FAILED" : code ?? "");
  if (answer !== undefined) return { answer, subject, error: error as MitthooksDrizzleError };
  return outcomeOfError(new HandlerFailedError(error), subject);
}

/** Tells the operator. Nothing that happens here changes the answer. */
export function report(settings: Settings, request: Request, outcome: Outcome): void {
  const { answer, subject, error } = outcome;
  const status = STATUS[answer.code];
  // The message of another copy's error, or of somebody else's, may say anything.
  const message = error instanceof MitthooksDrizzleError ? error.message : answer.message;
  const line = [status, answer.code, subject, message].filter((part) => part).join(" · ");
  quietly(() => settings.logger?.[status >= 500 ? "error" : "info"](line));
  if (error !== undefined) quietly(() => settings.onError?.(error, request));
}

function quietly(action: () => unknown): void {
  new Promise((resolve) => resolve(action())).catch(() => {});
}
