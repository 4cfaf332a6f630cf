/** Reports deliveries to the operator. Never affects the response. */

import { type MitthooksDrizzleError, SignatureInvalidError } from "../../errors.ts";
import { LruMap } from "../../internal/lru.ts";
import type { Logger } from "../interfaces.ts";
import type { Settings, WebhookErrorDetails, WebhookHandlerOptions } from "../handler_options.ts";
import type { WebhookResponseCode } from "../responses.ts";
import { type Outcome, STATUS } from "./responses.ts";
import type { SignatureCheck } from "./signature.ts";
import type { Delivery, Trouble, VerificationSettings } from "./verify_request.ts";

/** Interval between reports of the same topic. */
const AGAIN_AFTER_MS = 10 * 60_000;

/**
 * Codes that strangers can cause with deliveries that mittwald signed for another extension or long
 * ago: reported once per code. For other codes each delivery is reported, but identical bytes only
 * once.
 */
const OF_STRANGERS: ReadonlySet<WebhookResponseCode> = new Set<WebhookResponseCode>([
  "ERR_DELIVERY_IN_FUTURE",
  "ERR_DELIVERY_TOO_OLD",
  "ERR_NO_DRY_RUN",
  "ERR_STALE_EVENT",
  "ERR_WRONG_EXTENSION",
]);

/** How many reported deliveries are remembered, by their signatures. */
const MAX_REPORTED = 1_000;

/** Report when no delivery was verified for this long and this often. */
const NONE_VERIFIED_MS = 5 * 60_000;
const NONE_VERIFIED = 3;

interface Said {
  readonly at: number;
  readonly serial: string | undefined;
}

/** Earlier deliveries and reports. Times are by `performance.now()`. */
class History {
  /** By trouble, code or other topic. */
  readonly said: Map<string, Said> = new Map();
  readonly reported: LruMap<string, number> = new LruMap(MAX_REPORTED);
  /** Unverified deliveries: in total, and since the last verified one. */
  unverified = 0;
  unverifiedSince: { readonly at: number; count: number; said: boolean } | undefined;
}

/** By public keys and extension: on Cloudflare Workers, each request may create its own handler. */
const histories: WeakMap<SignatureCheck, Map<string, History>> = new WeakMap();

function historyOf({ signatures, extensionId }: VerificationSettings): History {
  const ofKeys = histories.get(signatures) ?? new Map<string, History>();
  histories.set(signatures, ofKeys);
  const history = ofKeys.get(extensionId) ?? new History();
  ofKeys.set(extensionId, history);
  return history;
}

type Level = "debug" | "info" | "warn" | "error";

/** Reports the deliveries of one handler. */
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

  /** Logs a delivery, and passes its error to `onError` if work is lost. */
  report(delivery: Delivery, outcome: Outcome): void {
    if (delivery.keyIsNew) this.#history.said.delete(PUBLIC_KEYS);
    if (delivery.signature === undefined) this.#reportUnverified(delivery, outcome);
    else this.#reportVerified(delivery, delivery.signature, outcome);
  }

  /** Reports a call of the handler without a `Request`. */
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

  /** Passes on nothing that strangers sent, not even their request. */
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

  /** Counts a delivery that could not be verified. */
  #countUnverified(): void {
    const now = performance.now();
    const since = this.#history.unverifiedSince ??= { at: now, count: 0, said: false };
    since.count++;
    if (since.said || since.count < NONE_VERIFIED || now - since.at < NONE_VERIFIED_MS) return;
    if (!this.#isNew("none verified")) return;
    since.said = true;
    const error = new SignatureInvalidError(
      `for ${Math.floor((now - since.at) / 60_000)} minutes, none of ${since.count} deliveries ` +
        "could be verified: either all came from strangers, or the public keys are not mittwald's, " +
        "see apiUrl and known",
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
      "Creating a webhook handler: its storage does not track the order of events, so late and " +
        "replayed events are applied; set the option lastEvents",
    );
  }

  /** Whether a topic was not reported recently. */
  #isNew(topic: string, serial?: string): boolean {
    const { said } = this.#history;
    const now = performance.now();
    const before = said.get(topic);
    if (before !== undefined && now - before.at <= AGAIN_AFTER_MS) return false;
    said.set(topic, { at: now, serial });
    return true;
  }

  /** Whether a delivery with this signature was not reported recently. */
  #isFirst(signature: string): boolean {
    const { reported } = this.#history;
    const now = performance.now();
    const before = reported.get(signature);
    if (before !== undefined && now - before <= AGAIN_AFTER_MS) return false;
    reported.set(signature, now);
    return true;
  }

  /** Ends troubles of the same serial; other serials may just have a cached key. */
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
