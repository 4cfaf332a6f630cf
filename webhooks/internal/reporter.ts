/** Tells the operator what became of deliveries. Nothing that happens here changes the response. */

import type { Logger } from "../interfaces.ts";
import type { Settings, WebhookErrorDetails, WebhookHandlerOptions } from "../handler_options.ts";
import { type Outcome, STATUS } from "./responses.ts";
import type { SignatureCheck } from "./signature.ts";
import type { Delivery, Trouble, VerificationSettings } from "./verify_request.ts";

/** A trouble that goes on is reported again after so long. */
const REMIND_AFTER_MS = 10 * 60_000;

/** What has been seen before. */
interface History {
  readonly troubles: Map<Trouble, { reportedAt: number; serial: string | undefined }>;
  unverified: number;
}

/** By the public keys and the extension: on Cloudflare Workers, each request makes a handler of its own. */
const histories: WeakMap<SignatureCheck, Map<string, History>> = new WeakMap();

function historyOf({ signatures, extensionId }: VerificationSettings): History {
  const ofKeys = histories.get(signatures) ?? new Map<string, History>();
  histories.set(signatures, ofKeys);
  const history = ofKeys.get(extensionId) ?? { troubles: new Map(), unverified: 0 };
  ofKeys.set(extensionId, history);
  return history;
}

type Level = "debug" | "info" | "warn" | "error";

/** One per handler. */
export class Reporter {
  readonly #logger: WebhookHandlerOptions["logger"];
  readonly #onError: WebhookHandlerOptions["onError"];
  readonly #history: History;

  constructor(settings: Settings) {
    this.#logger = settings.logger;
    this.#onError = settings.onError;
    this.#history = historyOf(settings);
  }

  /** Logs a delivery, and hands on the error if it means lost work for the operator. */
  report(delivery: Delivery, outcome: Outcome): void {
    const { body, error } = outcome;
    if (delivery.keyIsNew) this.#history.troubles.delete("public keys");
    if (delivery.signed) {
      this.#endTroubles(delivery);
      const status = STATUS[body.code];
      this.#log(
        status >= 500 ? "error" : body.code === "STORED" ? "info" : "warn",
        delivery,
        outcome,
      );
      if (error !== undefined) this.#handOn(delivery, error);
      return;
    }
    this.#history.unverified++;
    const isNew = this.#isNewTrouble(delivery);
    this.#log(isNew ? "error" : "debug", delivery, outcome);
    // Too many serials are what strangers send.
    if (isNew && error !== undefined && delivery.trouble !== "too many serials") {
      this.#handOn(delivery, error);
    }
  }

  #isNewTrouble({ trouble, serial }: Delivery): boolean {
    if (trouble === undefined) return false;
    const { troubles } = this.#history;
    const now = performance.now();
    const known = troubles.get(trouble);
    if (known !== undefined && now - known.reportedAt <= REMIND_AFTER_MS) return false;
    troubles.set(trouble, { reportedAt: now, serial });
    return true;
  }

  /** Other serials may have keys from before the trouble. */
  #endTroubles({ serial }: Delivery): void {
    const { troubles } = this.#history;
    troubles.delete("body read before");
    for (const [trouble, known] of troubles) {
      if (known.serial === serial) troubles.delete(trouble);
    }
  }

  #log(level: Level, { signed, event }: Delivery, { body, error }: Outcome): void {
    const logger = this.#logger;
    if (logger === undefined) return;
    const parts = [
      STATUS[body.code],
      body.code,
      ...(event === undefined ? [] : [`${event.kind} ${JSON.stringify(event.id)}`]),
      error?.message ?? body.message,
      ...(signed ? [] : [`unverified so far: ${this.#history.unverified}`]),
    ];
    quietly(() => write(logger, level, parts.join(" · ")));
  }

  #handOn({ request, event }: Delivery, error: NonNullable<Outcome["error"]>): void {
    const onError = this.#onError;
    if (onError === undefined) return;
    const details: WebhookErrorDetails = {
      request,
      ...(event && { event: { kind: event.kind, id: event.id, requestId: event.requestId } }),
    };
    quietly(() => onError(error, details));
  }
}

function write(
  logger: NonNullable<WebhookHandlerOptions["logger"]>,
  level: Level,
  line: string,
): ReturnType<Logger["info"]> {
  if (level !== "warn") return logger[level](line);
  return typeof logger.warn === "function" ? logger.warn(line) : logger.info(line);
}

function quietly(action: () => unknown): void {
  new Promise((resolve) => resolve(action())).catch(() => {});
}
