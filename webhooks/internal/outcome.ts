/** What becomes of a delivery: the answer to the sender, and what the operator is told. */

import {
  type ErrorCode,
  HandlerFailedError,
  MitthooksDrizzleError,
  SignatureInvalidError,
  SignatureMalformedError,
} from "../../errors.ts";
import { Refusal, STATUS, type WebhookAnswer } from "../answers.ts";
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
const FAILURES: Readonly<
  Partial<Record<ErrorCode, WebhookAnswer>> & Record<"ERR_STORAGE_FAILED", WebhookAnswer>
> = {
  ERR_BUSY: {
    code: "ERR_BUSY",
    message: "Getting a public key: too many others are being asked for, try again later",
  },
  ERR_DEADLINE_EXCEEDED: {
    code: "ERR_DEADLINE_EXCEEDED",
    message: "Handling a webhook: it took too long",
  },
  ERR_HANDLER_FAILED: {
    code: "ERR_HANDLER_FAILED",
    message: "Handling a webhook: a handler failed",
  },
  ERR_PUBLIC_KEY_UNAVAILABLE: {
    code: "ERR_PUBLIC_KEY_UNAVAILABLE",
    message: "Getting a public key: there was no usable answer",
  },
  ERR_STORAGE_FAILED: {
    code: "ERR_STORAGE_FAILED",
    message: "Storing a webhook: the storage failed",
  },
};

/** The outcome of a delivery whose handling threw. */
export function outcomeOfError(error: unknown, subject: string | undefined): Outcome {
  if (error instanceof Refusal) return { answer: error.answer, subject };
  if (error instanceof SignatureInvalidError || error instanceof SignatureMalformedError) {
    return { answer: { code: error.code, message: error.message }, subject };
  }
  const failure = error instanceof MitthooksDrizzleError ? error : new HandlerFailedError(error);
  const answer = FAILURES[failure.code] ?? FAILURES.ERR_STORAGE_FAILED;
  return { answer, subject, error: failure };
}

/** Tells the operator. Nothing that happens here changes the answer. */
export function report(settings: Settings, request: Request, outcome: Outcome): void {
  const { answer, subject, error } = outcome;
  const status = STATUS[answer.code];
  const line = [status, answer.code, subject, error?.message ?? answer.message].filter((part) =>
    part
  ).join(" · ");
  quietly(() => settings.logger?.[status >= 500 ? "error" : "info"](line));
  if (error !== undefined) quietly(() => settings.onError?.(error, request));
}

function quietly(action: () => unknown): void {
  new Promise((resolve) => resolve(action())).catch(() => {});
}
