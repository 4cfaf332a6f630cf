/**
 * mittwald's public keys, fetched when they are needed.
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
/** More than can be asked for by name in that time. */
const MAX_UNKNOWN_SERIALS = 128;
/** How often the latest key is asked for at most. A sender that comes again after so long meets the key of today. */
const LATEST_EVERY_MS = 1_000;
/** How many other serials may be asked for at once, and how many a second in the long run. */
const OTHERS_AT_ONCE = 8;
const OTHERS_PER_SECOND = 1;
/** How long after its time limit a request that has not ended counts as dead. */
const DEAD_AFTER_MS = 1_000;
/** How often a kept key whose signatures fail is asked for again at most. */
const AGAIN_EVERY_MS = 5 * 60_000;

/** Options of {@linkcode MittwaldPublicKeys}; its example uses them. */
export interface MittwaldPublicKeysOptions {
  /** Base URL of the API, `http:` or `https:`. Default, also for `""`: `https://api.mittwald.de`. */
  readonly apiUrl?: string | URL | undefined;
  /** Makes the requests. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /**
   * Keys that are never asked for: base64 of 32 bytes, by serial. With the key that mittwald signs with at present,
   * deliveries do not depend on the API, nor on who else makes requests to it.
   */
  readonly known?: Readonly<Record<string, string>> | undefined;
  /**
   * What the keys sign: `webhook`, the lifecycle webhooks, or `session_token`, the session tokens of an extension's
   * frontend. mittwald has keys of its own for each. Default: `webhook`.
   */
  readonly purpose?: "webhook" | "session_token" | undefined;
  /** Time limit of one request in milliseconds, 1 to 2,147,483,647. Default: 3,000. */
  readonly timeoutMs?: number | undefined;
}

/** Options of the methods of {@linkcode MittwaldPublicKeys}. */
export interface PublicKeyOptions {
  /**
   * How long to wait for the API, in milliseconds, 1 to 2,147,483,647. Default: the time limit of one request. The
   * webhook handler gives what it has left.
   */
  readonly waitMs?: number | undefined;
}

interface KeptKey {
  readonly key: string;
  /** When it was last asked for, by `performance.now()`. */
  askedAt: number;
}

/**
 * The public keys of mittwald: `GET {apiUrl}/v2/public-keys/{serial}`. It is what `createWebhookHandler` uses unless it
 * is given something else; make one of your own to share it between several handlers or to change its options.
 *
 * A serial has one key for good, so keys are kept: the 64 that were used last. The serial is the one part of a delivery
 * that is used before its signature was checked, so anybody can send any. Therefore the API is first asked for
 * `latest`, the key that mittwald signs with at present: a question that no stranger has worded, and whose answer is
 * the key of nearly every genuine delivery.
 *
 * - `latest` is asked for when a serial comes that has no key here, at most once a second, by one request for all.
 * - Any other serial is asked for by its name: one a second in the long run, eight at once, and one request for all who
 *   want the same. What is beyond that is refused at once; nothing waits in a queue.
 * - A serial that the API does not know is remembered for 60 s, apart from the keys, and not asked for by its name.
 * - Serials that are empty, `.`, `..`, `latest`, or longer than 128 characters are never asked for.
 * - While the API asks to be left alone (429, `Retry-After`), it is, for ten minutes at most.
 * - Redirects are not followed, and answers must be small and hold a key of 32 bytes that is not of small order.
 *
 * Failures are not remembered: the next delivery asks again, within these limits.
 *
 * @example Ask for a key
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const requests: string[] = [];
 * const publicKeys = new MittwaldPublicKeys({
 *   timeoutMs: 2_000,
 *   // In place of mittwald's API, so that this example runs anywhere.
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
  /** Until when they count as unknown, by `performance.now()`. */
  readonly #unknown: LruMap<string, number> = new LruMap(MAX_UNKNOWN_SERIALS);
  readonly #requests: SingleFlight<string, void>;
  readonly #others: Allowance = new Allowance(OTHERS_AT_ONCE, OTHERS_PER_SECOND);
  #latestAskedAt = -Infinity;
  /** Why the latest key could not be had, where it could not. */
  #latestTrouble: PublicKeyUnavailableError | UnknownPublicKeyError | undefined;

  /** What the keys sign. */
  readonly purpose: "webhook" | "session_token";

  /**
   * Makes no request.
   *
   * @param options All of them have defaults.
   * @throws {TypeError} When `apiUrl` is not an HTTP URL without query and fragment, `fetch` is not a function, `known`
   *   has something that is not a key, `purpose` is none of the two, or there is another option.
   * @throws {RangeError} When `timeoutMs` is out of its limits.
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
   * The public key of a serial.
   *
   * @param serial As the sender names it, for example in the header `X-Marketplace-Signature-Serial`.
   * @param options How long to wait.
   * @returns The key: base64 of 32 bytes.
   * @throws {UnknownPublicKeyError} When nobody has a key of this serial: the API answered 404, or 400 (not even the
   *   form of a serial), or it is not one that would be asked for.
   * @throws {BusyError} When too many other serials are asked for.
   * @throws {PublicKeyUnavailableError} When the API cannot be reached, does not answer in time, asks to be left alone,
   *   redirects, or answers with something that is not a key; also when it knows neither the serial nor a latest key,
   *   as behind a wrong `apiUrl`.
   * @throws {RangeError} When `waitMs` is out of its limits.
   */
  async getPublicKey(serial: string, options: PublicKeyOptions = {}): Promise<string> {
    const key = this.#here(serial);
    if (key !== undefined) return key;
    if (!isPossibleSerial(serial)) throw new UnknownPublicKeyError();
    return await this.#within(options, (wait) => this.#find(serial, wait));
  }

  /**
   * Asks for a kept key again whose signatures fail: it may be wrong, answered by a proxy or another API for example. At
   * most every 5 minutes for each key, since anybody can send signatures that fail.
   *
   * @param serial The serial.
   * @param failed The key that the signature was checked with.
   * @param options How long to wait.
   * @returns The key as it is kept now; the same where it was not asked for, or not to be had.
   * @throws {RangeError} When `waitMs` is out of its limits.
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
   * assertEquals(await publicKeys.askAgain("2026-01", key), key); // it was asked for just now
   * ```
   */
  async askAgain(serial: string, failed: string, options: PublicKeyOptions = {}): Promise<string> {
    const kept = this.#keys.get(serial);
    if (this.#known.has(serial) || kept === undefined) return this.#here(serial) ?? failed;
    if (kept.key !== failed || performance.now() - kept.askedAt < AGAIN_EVERY_MS) return kept.key;
    // At once: whoever comes in the meantime does not ask as well.
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
      throw toOutage(trouble) ?? new BusyError("too many other serials are asked for");
    }
    try {
      await wait(this.#ask(serial));
    } catch (error) {
      if (!(error instanceof UnknownPublicKeyError)) throw error;
      // Where there is no latest key either, it is not mittwald that answers.
      if (trouble instanceof UnknownPublicKeyError) throw toOutage(trouble);
      this.#unknown.set(serial, performance.now() + UNKNOWN_FOR_MS);
      throw error;
    }
    // A serial that has a key is not made up, and not asked for again.
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

  /** Every caller has a timer of its own: on Cloudflare Workers that of another may never fire. */
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
    throw new TypeError("Reading the option known: it is no object");
  }
  const keys = Object.entries(known);
  for (const [serial, key] of keys) {
    try {
      decodePublicKey(key);
    } catch (cause) {
      throw new TypeError(
        `Reading the option known: what it has for ${JSON.stringify(serial)} is not an Ed25519 key`,
        { cause },
      );
    }
  }
  return new Map(keys);
}
