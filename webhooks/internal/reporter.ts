/** Tells the operator what became of deliveries. Nothing that happens here changes the response. */

import type { Logger } from "@weissaufschwarz/mitthooks/logging/interface";
import type { WebhookErrorDetails, WebhookHandlerOptions } from "../handler_options.ts";
import { type Outcome, STATUS } from "./responses.ts";
import type { Delivery, Trouble } from "./verify_request.ts";

/** A trouble is over when it did not show for so long: the sender's longest pause is 5 minutes. */
const QUIET_MS = 10 * 60_000;

type Level = "debug" | "info" | "warn" | "error";

/** One per handler. */
export class Reporter {
  readonly #logger: WebhookHandlerOptions["logger"];
  readonly #onError: WebhookHandlerOptions["onError"];
  readonly #troubles: Map<Trouble, { shownAt: number; serial: string | undefined }> = new Map();
  #unverified = 0;

  constructor({ logger, onError }: Pick<WebhookHandlerOptions, "logger" | "onError">) {
    this.#logger = logger;
    this.#onError = onError;
  }

  /** Logs a delivery, and hands on the error if it means lost work for the operator. */
  report(delivery: Delivery, outcome: Outcome): void {
    const { body, error } = outcome;
    if (delivery.signed) {
      if (this.#troubles.size > 0) this.#endTroubles(delivery);
      const status = STATUS[body.code];
      this.#log(
        status >= 500 ? "error" : body.code === "STORED" ? "info" : "warn",
        delivery,
        outcome,
      );
      if (error !== undefined) this.#handOn(delivery, error);
      return;
    }
    this.#unverified++;
    const isNew = this.#isNewTrouble(delivery);
    this.#log(isNew ? "error" : "debug", delivery, outcome);
    // Too many serials are what strangers send.
    if (isNew && error !== undefined && delivery.trouble !== "too many serials") {
      this.#handOn(delivery, error);
    }
  }

  #isNewTrouble({ trouble, serial }: Delivery): boolean {
    if (trouble === undefined) return false;
    const now = performance.now();
    const known = this.#troubles.get(trouble);
    if (known !== undefined && now - known.shownAt <= QUIET_MS) {
      known.shownAt = now;
      return false;
    }
    this.#troubles.set(trouble, { shownAt: now, serial });
    return true;
  }

  /** Other serials may have keys from before the trouble. */
  #endTroubles({ serial }: Delivery): void {
    this.#troubles.delete("body read before");
    for (const [trouble, known] of this.#troubles) {
      if (known.serial === serial) this.#troubles.delete(trouble);
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
      ...(signed ? [] : [`unverified so far: ${this.#unverified}`]),
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
