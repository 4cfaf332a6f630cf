/**
 * mittwald's public keys, fetched when they are needed.
 *
 * @module
 */

import type { PublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import {
  BusyError,
  DeadlineExceededError,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
} from "../errors.ts";
import { Deadline } from "../internal/deadline.ts";
import { LruMap } from "../internal/lru.ts";
import { fetchPublicKey, isPossibleSerial } from "./internal/public_key_request.ts";
import { checkDuration, checkFunction } from "../internal/check_options.ts";

const DEFAULT_API_URL = "https://api.mittwald.de";
const DEFAULT_TIMEOUT_MS = 3_000;
const MAX_KEYS = 64;
const MAX_UNKNOWN_SERIALS = 1_024;
const UNKNOWN_FOR_MS = 60_000;
const MAX_REQUESTS_AT_ONCE = 4;

/** Options of {@linkcode MittwaldPublicKeys}; its example uses them. */
export interface MittwaldPublicKeysOptions {
  /** Base URL of the API, `http:` or `https:`. Default: `https://api.mittwald.de`. */
  apiUrl?: string | URL | undefined;
  /** Makes the requests. Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Time limit of one request in milliseconds, 1 to 2,147,483,647. Default: 3,000. */
  timeoutMs?: number | undefined;
}

interface RequestUnderWay {
  readonly startedAt: number;
  readonly key: Promise<string>;
}

/**
 * The public keys of mittwald: `GET {apiUrl}/v2/public-keys/{serial}`. It is what `createWebhookHandler` and
 * `SignatureVerificationHandler` use unless they are given something else; make one of your own to share it between
 * several of them or to change its options.
 *
 * A serial has one key for good, so keys are kept: the 64 that were used last. The serial is the one part of a
 * delivery that is used before the signature was checked, so anybody can send any; therefore
 *
 * - serials that are empty, `.`, `..`, or longer than 128 characters are never asked for;
 * - a serial that the API does not know is remembered for 60 s, apart from the keys, and not asked for again;
 * - no more than 1,024 such serials are remembered, and once they are, no others are asked for until the first of them
 *   is forgotten: made-up serials cause at most about 1,024 requests a minute;
 * - callers who want the same serial at the same time share one request;
 * - at most 4 requests are made at once;
 * - redirects are not followed, and answers must be small and hold a key of 32 bytes.
 *
 * Failures are not remembered: the next delivery asks again.
 *
 * @example Ask for a key
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
 *
 * let requests = 0;
 * const publicKeys = new MittwaldPublicKeys({
 *   timeoutMs: 2_000,
 *   // In place of mittwald's API, so that this example runs anywhere.
 *   fetch: () => {
 *     requests += 1;
 *     return Promise.resolve(Response.json({
 *       serial: "2026-01",
 *       key: "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
 *     }));
 *   },
 * });
 *
 * assertEquals(await publicKeys.getPublicKey("2026-01"), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
 * await publicKeys.getPublicKey("2026-01");
 * assertEquals(requests, 1);
 * ```
 */
export class MittwaldPublicKeys implements PublicKeyProvider {
  readonly #apiUrl: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #timeoutMs: number;
  readonly #keys: LruMap<string, string> = new LruMap(MAX_KEYS);
  // Serial to the time it is forgotten. All are kept equally long, so the first in is the first to go.
  readonly #unknown: Map<string, number> = new Map();
  readonly #underWay: Map<string, RequestUnderWay> = new Map();

  /**
   * Makes no request.
   *
   * @param options All of them have defaults.
   * @throws {TypeError} When `apiUrl` is not an HTTP URL without query and fragment, or `fetch` is not a function.
   * @throws {RangeError} When `timeoutMs` is out of its limits.
   */
  constructor(options: MittwaldPublicKeysOptions = {}) {
    const { apiUrl = DEFAULT_API_URL, fetch, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    this.#apiUrl = checkApiUrl(apiUrl);
    if (fetch !== undefined) checkFunction("fetch", fetch);
    // Looked up at the call: tools that replace the global fetch do so at any time.
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#timeoutMs = checkDuration("timeoutMs", timeoutMs);
  }

  /**
   * The public key of a serial.
   *
   * @param serial Taken from the delivery's `X-Marketplace-Signature-Serial` header.
   * @returns The key: base64 of 32 bytes.
   * @throws {UnknownPublicKeyError} When nobody has a key of this serial: the API answered 404, or 400 (not even the
   *   form of a serial), or it is not one that would be asked for.
   * @throws {BusyError} When a request would be needed, and too many others are under way or came to nothing lately.
   * @throws {PublicKeyUnavailableError} When the API cannot be reached, does not answer in time, redirects, or answers
   *   with something that is not a key.
   */
  async getPublicKey(serial: string): Promise<string> {
    const known = this.#keys.get(serial);
    if (known !== undefined) return known;
    if (!isPossibleSerial(serial) || this.#isUnknown(serial)) throw new UnknownPublicKeyError();

    const { key } = this.#underWay.get(serial) ?? this.#start(serial);
    // Every caller has a timer of its own. On Cloudflare Workers a request dies with the delivery that started it,
    // and its promise then never settles for the others.
    const deadline = new Deadline(this.#timeoutMs);
    try {
      return await deadline.run("Waiting for a public key", () => key);
    } catch (error) {
      if (!(error instanceof DeadlineExceededError)) throw error;
      throw new PublicKeyUnavailableError(`no answer within ${this.#timeoutMs} ms`);
    } finally {
      deadline.clear();
    }
  }

  #start(serial: string): RequestUnderWay {
    this.#dropAbandoned();
    if (this.#underWay.size >= MAX_REQUESTS_AT_ONCE) {
      throw new BusyError(`${MAX_REQUESTS_AT_ONCE} requests for other keys are under way`);
    }
    if (this.#unknown.size >= MAX_UNKNOWN_SERIALS) {
      throw new BusyError(`${MAX_UNKNOWN_SERIALS} serials turned out not to exist within a minute`);
    }
    const request = { startedAt: performance.now(), key: this.#request(serial) };
    this.#underWay.set(serial, request);
    const finish = () => {
      if (this.#underWay.get(serial) === request) this.#underWay.delete(serial);
    };
    request.key.then(finish, finish);
    return request;
  }

  async #request(serial: string): Promise<string> {
    try {
      const key = await fetchPublicKey(this.#fetch, this.#apiUrl, serial, this.#timeoutMs);
      this.#keys.set(serial, key);
      return key;
    } catch (error) {
      if (error instanceof UnknownPublicKeyError) {
        this.#unknown.set(serial, Date.now() + UNKNOWN_FOR_MS);
      }
      throw error;
    }
  }

  #isUnknown(serial: string): boolean {
    const now = Date.now();
    for (const [oldest, until] of this.#unknown) {
      // The second condition: the clock was set back, and would keep the entry for longer than meant.
      if (until > now && until <= now + UNKNOWN_FOR_MS) break;
      this.#unknown.delete(oldest);
    }
    return this.#unknown.has(serial);
  }

  /** A request that outlived its own time limit twice over died without a word; see `getPublicKey`. */
  #dropAbandoned(): void {
    const before = performance.now() - 2 * this.#timeoutMs;
    for (const [serial, { startedAt }] of this.#underWay) {
      if (startedAt < before) this.#underWay.delete(serial);
    }
  }
}

function checkApiUrl(apiUrl: string | URL): string {
  let url: URL;
  try {
    url = new URL(apiUrl);
  } catch {
    throw new TypeError("Reading the option apiUrl: it is not an absolute URL");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new TypeError(`Reading the option apiUrl: its protocol is ${url.protocol}`);
  }
  if (url.search !== "" || url.hash !== "" || url.username !== "" || url.password !== "") {
    throw new TypeError("Reading the option apiUrl: it has a query, a fragment or credentials");
  }
  return url.origin + url.pathname.replace(/\/+$/, "");
}
