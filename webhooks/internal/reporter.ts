/** Tells the operator what became of deliveries. Nothing that happens here changes the response. */

import { type MitthooksDrizzleError, SignatureInvalidError } from "../../errors.ts";
import { LruMap } from "../../internal/lru.ts";
import type { Logger } from "../interfaces.ts";
import type { Settings, WebhookErrorDetails, WebhookHandlerOptions } from "../handler_options.ts";
import type { WebhookResponseCode } from "../responses.ts";
import { type Outcome, STATUS } from "./responses.ts";
import type { SignatureCheck } from "./signature.ts";
import type { Delivery, Trouble, VerificationSettings } from "./verify_request.ts";

/** What can be caused again and again is said again after so long. */
const AGAIN_AFTER_MS = 10 * 60_000;

/**
 * What strangers can cause with what mittwald signed, for another extension or long ago: one report for all of them. Of
 * everything else each delivery is reported, and the same bytes only once.
 */
const OF_STRANGERS: ReadonlySet<WebhookResponseCode> = new Set<WebhookResponseCode>([
  "ERR_DELIVERY_IN_FUTURE",
  "ERR_DELIVERY_TOO_OLD",
  "ERR_NO_DRY_RUN",
  "ERR_STALE_EVENT",
  "ERR_WRONG_EXTENSION",
]);

/** How many of the deliveries that were reported are remembered, by their signatures. */
const MAX_REPORTED = 1_000;

/** After so long, and so many deliveries, of which none could be verified, something is wrong. */
const NONE_VERIFIED_MS = 5 * 60_000;
const NONE_VERIFIED = 3;

interface Said {
  readonly at: number;
  readonly serial: string | undefined;
}

/** What has been seen and said before. Times are those of `performance.now()`. */
class History {
  /** By trouble, by code, or by whatever else is said. */
  readonly said: Map<string, Said> = new Map();
  readonly reported: LruMap<string, number> = new LruMap(MAX_REPORTED);
  /** Deliveries that could not be verified: all of them, and those since the last one that could. */
  unverified = 0;
  unverifiedSince: { readonly at: number; count: number; said: boolean } | undefined;
}

/** By the public keys and the extension: on Cloudflare Workers, each request makes a handler of its own. */
const histories: WeakMap<SignatureCheck, Map<string, History>> = new WeakMap();

function historyOf({ signatures, extensionId }: VerificationSettings): History {
  const ofKeys = histories.get(signatures) ?? new Map<string, History>();
  histories.set(signatures, ofKeys);
  const history = ofKeys.get(extensionId) ?? new History();
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
    if (settings.storage.ordersEvents === false) this.#sayUnordered();
  }

  /** Logs a delivery, and hands on the error if it means lost work for the operator. */
  report(delivery: Delivery, outcome: Outcome): void {
    if (delivery.keyIsNew) this.#history.said.delete(PUBLIC_KEYS);
    if (delivery.signature === undefined) this.#reportUnverified(delivery, outcome);
    else this.#reportVerified(delivery, delivery.signature, outcome);
  }

  /** Logs and hands on that the handler was called with something that is no request. */
  reportMisuse(error: MitthooksDrizzleError): void {
    const isNew = this.#isNew("misuse");
    this.#write(isNew ? "error" : "debug", error.message);
    if (isNew) this.#handOn(error, {});
  }

  #reportVerified(delivery: Delivery, signature: string, outcome: Outcome): void {
    this.#history.unverifiedSince = undefined;
    this.#endTroubles(delivery);
    const { code } = outcome.body;
    if (code === "STORED") return this.#log("info", delivery, outcome);
    const isNew = OF_STRANGERS.has(code) ? this.#isNew(code) : this.#isFirst(signature);
    const level = STATUS[code] >= 500 ? "error" : "warn";
    this.#log(isNew ? level : "debug", delivery, outcome);
    if (!isNew || outcome.error === undefined) return;
    const { request, event } = delivery;
    this.#handOn(outcome.error, {
      request,
      ...(event && { event: { kind: event.kind, id: event.id, requestId: event.requestId } }),
    });
  }

  /** Nothing that strangers sent is handed on: not their request either. */
  #reportUnverified(delivery: Delivery, outcome: Outcome): void {
    this.#history.unverified++;
    const { trouble, serial } = delivery;
    const ofItsKey = trouble === PUBLIC_KEYS || trouble === "too many serials";
    const isNew = trouble !== undefined && this.#isNew(trouble, ofItsKey ? serial : undefined);
    this.#log(isNew ? "error" : "debug", delivery, outcome);
    if (trouble === undefined || trouble === "too many serials") {
      if (delivery.looksSigned) this.#countUnverified();
    } else if (isNew && outcome.error !== undefined) {
      this.#handOn(outcome.error, {});
    }
  }

  /** A delivery that nothing is wrong with but that it was not verified. */
  #countUnverified(): void {
    const now = performance.now();
    const since = this.#history.unverifiedSince ??= { at: now, count: 0, said: false };
    since.count++;
    if (since.said || since.count < NONE_VERIFIED || now - since.at < NONE_VERIFIED_MS) return;
    if (!this.#isNew("none verified")) return;
    since.said = true;
    const error = new SignatureInvalidError(
      `for ${Math.floor((now - since.at) / 60_000)} minutes deliveries came, and none of ` +
        `${since.count} could be verified: they are strangers' alone, or the public keys are not ` +
        "mittwald's, see apiUrl and known",
    );
    this.#write("error", `${error.code} · ${error.message}`);
    this.#handOn(error, {});
  }

  #sayUnordered(): void {
    const { said } = this.#history;
    const topic = "storage without order";
    if (said.has(topic)) return;
    said.set(topic, { at: performance.now(), serial: undefined });
    this.#write(
      "warn",
      "Creating a webhook handler: its storage does not keep the order of events, so that what comes late, " +
        "or is played back, is applied; give it the option lastEvents",
    );
  }

  /** Whether this was not said within the last minutes. */
  #isNew(topic: string, serial?: string): boolean {
    const { said } = this.#history;
    const now = performance.now();
    const before = said.get(topic);
    if (before !== undefined && now - before.at <= AGAIN_AFTER_MS) return false;
    said.set(topic, { at: now, serial });
    return true;
  }

  /** Whether these bytes were not reported within the last minutes. */
  #isFirst(signature: string): boolean {
    const { reported } = this.#history;
    const now = performance.now();
    const before = reported.get(signature);
    if (before !== undefined && now - before <= AGAIN_AFTER_MS) return false;
    reported.set(signature, now);
    return true;
  }

  /** Other serials may have keys from before the trouble. */
  #endTroubles({ serial }: Delivery): void {
    const { said } = this.#history;
    for (const [topic, before] of said) {
      if (before.serial !== undefined && before.serial === serial) said.delete(topic);
    }
  }

  #log(level: Level, { signature, event }: Delivery, { body, error }: Outcome): void {
    const parts = [
      STATUS[body.code],
      body.code,
      ...(event === undefined ? [] : [`${event.kind} ${JSON.stringify(event.id)}`]),
      error?.message ?? body.message,
      ...(signature === undefined ? [`unverified so far: ${this.#history.unverified}`] : []),
    ];
    this.#write(level, parts.join(" · "));
  }

  #write(level: Level, line: string): void {
    const logger = this.#logger;
    if (logger !== undefined) quietly(() => write(logger, level, line));
  }

  #handOn(error: MitthooksDrizzleError, details: WebhookErrorDetails): void {
    const onError = this.#onError;
    if (onError !== undefined) quietly(() => onError(error, details));
  }
}

const PUBLIC_KEYS: Trouble = "public keys";

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
