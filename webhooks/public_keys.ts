/**
 * Fetches mittwald's public keys on demand.
 *
 * @module
 */

import {
  BusyError,
  DeadlineExceededError,
  MitthooksDrizzleError,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
} from "../errors.ts";
import { MittwaldApi } from "../internal/api_request.ts";
import { checkDuration, checkNames } from "../internal/check_options.ts";
import { Deadline } from "../internal/deadline.ts";
import { LruMap } from "../internal/lru.ts";
import { SingleFlight } from "../internal/single_flight.ts";
import { Allowance } from "./internal/allowance.ts";
import { decodePublicKey } from "../internal/public_key.ts";
import { fetchPublicKey, isPossibleSerial, LATEST } from "./internal/public_key_request.ts";

const DEFAULT_TIMEOUT_MS = 3_000;
const MAX_KEYS = 64;
const UNKNOWN_FOR_MS = 60_000;
/** Exceeds the number of requests that the rate limit allows in that time. */
const MAX_UNKNOWN_SERIALS = 128;
/** Minimum interval between requests for the latest key. A retry after it finds the current key. */
const LATEST_EVERY_MS = 1_000;
/** Rate limit of requests for other serials: burst, and per second on average. */
const OTHERS_AT_ONCE = 8;
const OTHERS_PER_SECOND = 1;
/** How long after its time limit an unsettled request counts as dead. */
const DEAD_AFTER_MS = 1_000;
/** Minimum interval between repeated requests for a cached key whose signatures fail. */
const AGAIN_EVERY_MS = 5 * 60_000;

/** Options of {@linkcode MittwaldPublicKeys}; its example uses them. */
export interface MittwaldPublicKeysOptions {
  /** Base URL of the API, `http:` or `https:`. Default, also for `""`: `https://api.mittwald.de`. */
  readonly apiUrl?: string | URL | undefined;
  /** Makes the requests. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /**
   * Keys that need no request: base64 of 32 bytes, by serial. With mittwald's current key,
   * deliveries do not depend on the API or its load.
   */
  readonly known?: Readonly<Record<string, string>> | undefined;
  /**
   * What the keys sign: lifecycle webhooks
   * (`webhook`) or the session tokens of an extension's frontend (`session_token`). mittwald has
   * separate keys for each. Default: `webhook`.
   */
  readonly purpose?: "webhook" | "session_token" | undefined;
  /** Time limit of one request in milliseconds, 1 to 2,147,483,647. Default: 3,000. */
  readonly timeoutMs?: number | undefined;
}

/** Options of the methods of {@linkcode MittwaldPublicKeys}. */
export interface PublicKeyOptions {
  /**
   * How long to wait for the API, in milliseconds, 1 to 2,147,483,647. The webhook handler passes
   * its remaining time. Default: the time limit of one request.
   */
  readonly waitMs?: number | undefined;
}

interface KeptKey {
  readonly key: string;
  /** When it was last requested, by `performance.now()`. */
  askedAt: number;
}

/**
 * Fetches mittwald's public keys: `GET {apiUrl}/v2/public-keys/{serial}`. The default of
 * `createWebhookHandler`; create your own to share it between handlers or to change its options.
 *
 * A serial's key never changes, so keys are cached: the 64 most recently used. The serial is used
 * before the signature is checked, so anybody can send any serial. Therefore `latest`, mittwald's
 * current signing key, is requested first: strangers do not control that request, and nearly every
 * genuine delivery is signed with that key.
 *
 * - `latest` is requested for a serial without a cached key, at most once per second, by one
 *   request for all callers.
 * - Any other serial is requested by name: one per second on average, in bursts of up to eight,
 *   with one request for all callers of a serial. More are refused immediately; there is no queue.
 * - A serial that the API does not have is remembered for 60 s, separately from the keys, and not
 *   requested again.
 * - Serials that are empty, `.`, `..`, `latest`, or longer than 128 characters are never requested.
 * - When the API asks for a pause (429, `Retry-After`), no request is made for that time, at most
 *   ten minutes.
 * - Redirects are not followed. Answers must be small and contain a key of 32 bytes that is not of
 *   small order.
 *
 * Failures are not cached: the next delivery tries again within these limits.
 *
 * @example Get a key
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const requests: string[] = [];
 * const publicKeys = new MittwaldPublicKeys({
 *   timeoutMs: 2_000,
 *   // Stands in for mittwald's API, so that this example runs anywhere.
 *   fetch: (input) => {
 *     requests.push(new URL(String(input)).pathname);
 *     return Promise.resolve(Response.json({
 *       serial: "2026-01",
 *       algorithm: "Ed25519",
 *       key: "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
 *     }));
 *   },
 * });
 *
 * assertEquals(await publicKeys.getPublicKey("2026-01"), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
 * await publicKeys.getPublicKey("2026-01");
 * assertEquals(requests, ["/v2/public-keys/latest"]);
 * ```
 */
export class MittwaldPublicKeys {
  readonly #api: MittwaldApi;
  readonly #timeoutMs: number;
  readonly #known: ReadonlyMap<string, string>;
  readonly #keys: LruMap<string, KeptKey> = new LruMap(MAX_KEYS);
  /** When they expire, by `performance.now()`. */
  readonly #unknown: LruMap<string, number> = new LruMap(MAX_UNKNOWN_SERIALS);
  readonly #requests: SingleFlight<string, void>;
  readonly #others: Allowance = new Allowance(OTHERS_AT_ONCE, OTHERS_PER_SECOND);
  #latestAskedAt = -Infinity;
  /** The failure of the last request for the latest key, if it failed. */
  #latestTrouble: PublicKeyUnavailableError | UnknownPublicKeyError | undefined;

  /** What the keys sign. */
  readonly purpose: "webhook" | "session_token";

  /**
   * Fetches mittwald's public keys. Makes no request yet.
   *
   * @param options All have defaults.
   * @throws {TypeError} When an option is invalid or unknown.
   * @throws {RangeError} When `timeoutMs` is out of range.
   */
  constructor(options: MittwaldPublicKeysOptions = {}) {
    const names = ["apiUrl", "fetch", "known", "purpose", "timeoutMs"];
    checkNames("Creating MittwaldPublicKeys", options, names);
    const { known = {}, purpose = "webhook", timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    this.#api = new MittwaldApi(options);
    if (purpose !== "webhook" && purpose !== "session_token") {
      throw new TypeError(
        'Reading the option purpose: it is neither "webhook" nor "session_token"',
      );
    }
    this.purpose = purpose;
    this.#known = checkKnown(known);
    this.#timeoutMs = checkDuration("timeoutMs", timeoutMs);
    this.#requests = new SingleFlight(timeoutMs + DEAD_AFTER_MS);
  }

  /**
   * Gets the public key with a serial.
   *
   * @param serial The serial that the sender names, for example in the header
   *   `X-Marketplace-Signature-Serial`.
   * @param options The time limit.
   * @returns The key: base64 of 32 bytes.
   * @throws {UnknownPublicKeyError} When no key has this serial: the API answered 404, or 400 for a
   *   malformed one, or the serial is never requested.
   * @throws {BusyError} When too many other serials are being requested.
   * @throws {PublicKeyUnavailableError} When the API cannot be reached, does not answer in time,
   *   asks for a pause, redirects, or does not answer with a key; also when it has neither the
   *   serial nor a latest key, as with a wrong `apiUrl`.
   * @throws {RangeError} When `waitMs` is out of range.
   */
  async getPublicKey(serial: string, options: PublicKeyOptions = {}): Promise<string> {
    const key = this.#here(serial);
    if (key !== undefined) return key;
    if (!isPossibleSerial(serial)) throw new UnknownPublicKeyError();
    return await this.#within(options, (wait) => this.#find(serial, wait));
  }

  /**
   * Requests a cached key again after a signature failed under it: it may be wrong, for example
   * from a proxy or another API. At most every 5 minutes per key, because anybody can send invalid
   * signatures.
   *
   * @param serial The serial.
   * @param failed The key under which the signature failed.
   * @param options The time limit.
   * @returns The key cached now; the same one if no request was made or it failed.
   * @throws {RangeError} When `waitMs` is out of range.
   *
   * @example A wrong key is replaced
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
   *
   * const publicKeys = new MittwaldPublicKeys({
   *   fetch: () =>
   *     Promise.resolve(Response.json({
   *       serial: "2026-01",
   *       key: "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
   *     })),
   * });
   * const key = await publicKeys.getPublicKey("2026-01");
   * assertEquals(await publicKeys.askAgain("2026-01", key), key); // it was requested just now
   * ```
   */
  async askAgain(serial: string, failed: string, options: PublicKeyOptions = {}): Promise<string> {
    const kept = this.#keys.get(serial);
    if (this.#known.has(serial) || kept === undefined) return this.#here(serial) ?? failed;
    if (kept.key !== failed || performance.now() - kept.askedAt < AGAIN_EVERY_MS) return kept.key;
    // Set before the request, so that concurrent calls make none.
    kept.askedAt = performance.now();
    try {
      await this.#within(options, (wait) => wait(this.#ask(serial)));
    } catch (error) {
      if (!(error instanceof MitthooksDrizzleError)) throw error;
    }
    return this.#here(serial) ?? failed;
  }

  #here(serial: string): string | undefined {
    return this.#known.get(serial) ?? this.#keys.get(serial)?.key;
  }

  async #find(serial: string, wait: Wait): Promise<string> {
    await this.#askForLatest(wait);
    const trouble = this.#latestTrouble;
    const latest = this.#here(serial);
    if (latest !== undefined) return latest;
    if (performance.now() < (this.#unknown.get(serial) ?? 0)) throw new UnknownPublicKeyError();
    const isNew = this.#api.pausedMs === 0 && this.#requests.get(serial) === undefined;
    if (isNew && !this.#others.take()) {
      throw toOutage(trouble) ?? new BusyError("too many other serials are being requested");
    }
    try {
      await wait(this.#ask(serial));
    } catch (error) {
      if (!(error instanceof UnknownPublicKeyError)) throw error;
      // Without a latest key either, the answer is not mittwald's.
      if (trouble instanceof UnknownPublicKeyError) throw toOutage(trouble);
      this.#unknown.set(serial, performance.now() + UNKNOWN_FOR_MS);
      throw error;
    }
    // The serial is genuine, and its key is now cached.
    if (isNew) this.#others.giveBack();
    return this.#here(serial) as string;
  }

  async #askForLatest(wait: Wait): Promise<void> {
    const isDue = performance.now() - this.#latestAskedAt >= LATEST_EVERY_MS;
    if (!isDue && this.#requests.get(LATEST) === undefined) return;
    if (isDue) this.#latestAskedAt = performance.now();
    try {
      await wait(this.#ask(LATEST));
      this.#latestTrouble = undefined;
    } catch (error) {
      if (error instanceof DeadlineExceededError) throw error;
      this.#latestTrouble = error as PublicKeyUnavailableError | UnknownPublicKeyError;
    }
  }

  #ask(serial: string): Promise<void> {
    return this.#requests.run(serial, async () => {
      const fetched = await fetchPublicKey(this.#api, serial, this.purpose, this.#timeoutMs);
      const askedAt = performance.now();
      this.#keys.set(fetched.serial ?? serial, { key: fetched.key, askedAt });
    });
  }

  /**
   * Every caller has its own timer: on Cloudflare Workers, another request's timer may never fire.
   */
  async #within<T>(
    { waitMs = this.#timeoutMs }: PublicKeyOptions,
    action: (wait: Wait) => Promise<T>,
  ): Promise<T> {
    const deadline = new Deadline(checkDuration("waitMs", waitMs));
    try {
      return await action((step) => deadline.run("Waiting for a public key", () => step));
    } catch (error) {
      if (!(error instanceof DeadlineExceededError)) throw error;
      throw new PublicKeyUnavailableError(`no answer within ${waitMs} ms`, { cause: error });
    } finally {
      deadline.clear();
    }
  }
}

type Wait = <T>(step: Promise<T>) => Promise<T>;

function toOutage(
  trouble: PublicKeyUnavailableError | UnknownPublicKeyError | undefined,
): PublicKeyUnavailableError | undefined {
  return trouble instanceof UnknownPublicKeyError
    ? new PublicKeyUnavailableError("the API has no latest key (404), is apiUrl that of mittwald?")
    : trouble;
}

function checkKnown(known: unknown): ReadonlyMap<string, string> {
  if (typeof known !== "object" || known === null) {
    throw new TypeError("Reading the option known: it is not an object");
  }
  const keys = Object.entries(known);
  for (const [serial, key] of keys) {
    try {
      decodePublicKey(key);
    } catch (cause) {
      throw new TypeError(
        `Reading the option known: its value for ${JSON.stringify(serial)} is not an Ed25519 key`,
        { cause },
      );
    }
  }
  return new Map(keys);
}
