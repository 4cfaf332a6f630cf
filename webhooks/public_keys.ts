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
import { checkDuration, checkFunction, checkNames } from "../internal/check_options.ts";
import { checkApiUrl, DEFAULT_API_URL } from "../internal/api_url.ts";
import { Deadline } from "../internal/deadline.ts";
import { LruMap } from "../internal/lru.ts";
import { decodePublicKey } from "./internal/public_key.ts";
import { fetchPublicKey, isPossibleSerial } from "./internal/public_key_request.ts";
import { RequestQueue, type Turn } from "./internal/request_queue.ts";

const DEFAULT_TIMEOUT_MS = 3_000;
const MAX_KEYS = 64;
const MAX_UNKNOWN_SERIALS = 1_024;
const UNKNOWN_FOR_MS = 60_000;

/** Options of {@linkcode MittwaldPublicKeys}; its example uses them. */
export interface MittwaldPublicKeysOptions {
  /** Base URL of the API, `http:` or `https:`. Default: `https://api.mittwald.de`. */
  readonly apiUrl?: string | URL | undefined;
  /** Makes the requests. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /**
   * Keys that are never asked for: base64 of 32 bytes, by serial. With the key that mittwald signs with at present,
   * deliveries do not depend on the API, nor on who else makes requests to it.
   */
  readonly known?: Readonly<Record<string, string>> | undefined;
  /** Time limit of one request in milliseconds, 1 to 2,147,483,647. Default: 3,000. */
  readonly timeoutMs?: number | undefined;
}

/** Options of {@linkcode MittwaldPublicKeys.getPublicKey}. */
export interface PublicKeyOptions {
  /**
   * How long to wait for the serial's turn and for the API's answer, in milliseconds, 1 to 2,147,483,647. Default: the
   * time limit of one request. The webhook handler gives what it has left.
   */
  readonly waitMs?: number | undefined;
}

interface Lookup {
  readonly turn: Turn;
  /** Whether it had to wait for its turn. */
  readonly queued: boolean;
  /** The request, once it was made. */
  key: Promise<string> | undefined;
  /** How many wait for it. */
  callers: number;
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
 * - a serial that the API does not know is remembered for 60 s, apart from the keys, and not asked for again; at most
 *   1,024 of them, the oldest gives way;
 * - callers who want the same serial at the same time share one request;
 * - at most 4 requests are made at once, and at most 16 a second (32 in a burst) that do not lead to a key;
 * - beyond that a serial waits for its turn. One that has waited before goes ahead of new ones, so made-up serials
 *   cannot keep away the key of deliveries that come again; at most 1,024 wait;
 * - redirects are not followed, and answers must be small and hold a key of 32 bytes that is not of small order.
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
  readonly #known: ReadonlyMap<string, string>;
  readonly #lookups: Map<string, Lookup> = new Map();
  readonly #queue: RequestQueue;

  /**
   * Makes no request.
   *
   * @param options All of them have defaults.
   * @throws {TypeError} When `apiUrl` is not an HTTP URL without query and fragment, `fetch` is not a function, `known`
   *   has something that is not a key, or there is another option.
   * @throws {RangeError} When `timeoutMs` is out of its limits.
   */
  constructor(options: MittwaldPublicKeysOptions = {}) {
    checkNames("Creating MittwaldPublicKeys", options, ["apiUrl", "fetch", "known", "timeoutMs"]);
    const { apiUrl = DEFAULT_API_URL, fetch, known = {}, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    this.#apiUrl = checkApiUrl(apiUrl);
    if (fetch !== undefined) checkFunction("fetch", fetch);
    // Looked up at the call: tools that replace the global fetch do so at any time.
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#known = checkKnown(known);
    this.#timeoutMs = checkDuration("timeoutMs", timeoutMs);
    // A request that outlived its own time limit twice over is dead.
    this.#queue = new RequestQueue(2 * timeoutMs, (turn) => this.#forget(turn));
  }

  /**
   * The public key of a serial.
   *
   * @param serial Taken from the delivery's `X-Marketplace-Signature-Serial` header.
   * @param options How long to wait.
   * @returns The key: base64 of 32 bytes.
   * @throws {UnknownPublicKeyError} When nobody has a key of this serial: the API answered 404, or 400 (not even the
   *   form of a serial), or it is not one that would be asked for.
   * @throws {BusyError} When a request is needed, and its turn does not come in time.
   * @throws {PublicKeyUnavailableError} When the API cannot be reached, does not answer in time, redirects, or answers
   *   with something that is not a key.
   * @throws {RangeError} When `waitMs` is out of its limits.
   */
  async getPublicKey(serial: string, options: PublicKeyOptions = {}): Promise<string> {
    const key = this.#known.get(serial) ?? this.#keys.get(serial);
    if (key !== undefined) return key;
    if (!isPossibleSerial(serial) || this.#isUnknown(serial)) throw new UnknownPublicKeyError();
    return await this.#lookUp(serial, checkDuration("waitMs", options.waitMs ?? this.#timeoutMs));
  }

  async #lookUp(serial: string, waitMs: number): Promise<string> {
    const lookup = this.#join(serial);
    lookup.callers++;
    // Every caller has a timer of its own. On Cloudflare Workers a request dies with the delivery that started it,
    // and its promise then never settles for the others.
    const deadline = new Deadline(waitMs);
    const attempt = "Waiting for a public key";
    try {
      await deadline.run(attempt, () => lookup.turn.granted);
      return await deadline.run(attempt, () => lookup.key ??= this.#request(lookup.turn));
    } catch (error) {
      if (!(error instanceof DeadlineExceededError)) throw error;
      // After a wait, too little time may be left for an API that is well.
      throw lookup.queued
        ? new BusyError(`its turn did not come in time, ${waitMs} ms`)
        : new PublicKeyUnavailableError(`no answer within ${waitMs} ms`);
    } finally {
      deadline.clear();
      lookup.callers--;
      if (lookup.callers === 0 && lookup.key === undefined) {
        this.#forget(lookup.turn);
        this.#queue.leave(lookup.turn);
      }
    }
  }

  #join(serial: string): Lookup {
    this.#queue.endAbandoned();
    const underWay = this.#lookups.get(serial);
    if (underWay !== undefined && !underWay.turn.over) return underWay;
    const turn = this.#queue.enter(serial);
    const queued = turn.grantedAt === undefined;
    const lookup = { turn, queued, key: undefined, callers: 0 };
    this.#lookups.set(serial, lookup);
    return lookup;
  }

  async #request(turn: Turn): Promise<string> {
    const { serial } = turn;
    let gotKey = false;
    try {
      const key = await fetchPublicKey(this.#fetch, this.#apiUrl, serial, this.#timeoutMs);
      gotKey = true;
      this.#keys.set(serial, key);
      return key;
    } catch (error) {
      if (error instanceof UnknownPublicKeyError) this.#rememberUnknown(serial);
      throw error;
    } finally {
      this.#forget(turn);
      this.#queue.finish(turn, { gotKey });
    }
  }

  #forget(turn: Turn): void {
    if (this.#lookups.get(turn.serial)?.turn === turn) this.#lookups.delete(turn.serial);
  }

  #rememberUnknown(serial: string): void {
    this.#unknown.set(serial, Date.now() + UNKNOWN_FOR_MS);
    if (this.#unknown.size > MAX_UNKNOWN_SERIALS) {
      for (const oldest of this.#unknown.keys()) {
        this.#unknown.delete(oldest);
        break;
      }
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
