/**
 * Access tokens of stored extension instances.
 *
 * @module
 */

import { DeadlineExceededError, InstanceTokenError } from "../errors.ts";
import { isPathSegment, MittwaldApi } from "../internal/api_request.ts";
import {
  checkDuration,
  checkMethods,
  checkNames,
  checkWholeNumber,
} from "../internal/check_options.ts";
import { Deadline } from "../internal/deadline.ts";
import { LruMap } from "../internal/lru.ts";
import { SingleFlight } from "../internal/single_flight.ts";
import {
  Exchange,
  type ExchangeSettings,
  type Refusal,
  type StoredSecret,
  storedSecret,
} from "./internal/exchange.ts";
import type { KeptToken } from "./internal/kept_token.ts";

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_TOKENS = 1_000;
const MAX_TOKENS = 1_000_000;

/** Source of the secrets: `PgExtensionStorage`, or any object with this method. */
export interface InstanceSecretStorage {
  /**
   * Reads an extension instance.
   *
   * @param extensionInstanceId The instance's id.
   * @returns The instance with its secret in plaintext, or nothing if it is not stored. `active`:
   *   whether the instance is enabled. `createdAt`: when it was first stored; the API may not have
   *   a new instance yet, so a 404 for it is retried.
   */
  getExtension(
    extensionInstanceId: string,
  ): Promise<
    | {
      readonly secret: string | null;
      readonly active?: boolean | undefined;
      readonly createdAt?: Date | undefined;
    }
    | null
    | undefined
  >;
}

/** Options of {@linkcode InstanceTokens}; its example uses them. */
export interface InstanceTokensOptions {
  /** Where the secrets are stored. Read at every call; concurrent calls share one read. */
  readonly storage: InstanceSecretStorage;
  /** Base URL of the API, `http:` or `https:`. Default, also for `""`: `https://api.mittwald.de`. */
  readonly apiUrl?: string | URL | undefined;
  /** Makes the requests. Its errors become a `cause` unchanged. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /**
   * Time limit of one call, and grace period in which a refused secret is retried, in milliseconds,
   * 1 to 2,147,483,647. Default: 10,000.
   */
  readonly timeoutMs?: number | undefined;
  /** How many tokens are cached, 1 to 1,000,000; the least recently used goes. Default: 1,000. */
  readonly maxTokens?: number | undefined;
}

/** Options of the methods of {@linkcode InstanceTokens}. */
export interface GetTokenOptions {
  /**
   * Drops the cached token and requests a new one: after a 401, or when the instance's scopes have
   * changed. Default: `false`.
   */
  readonly refresh?: boolean | undefined;
}

/** A token and its expiry. */
export interface ExpiringToken {
  /** For the header `x-access-token`. */
  readonly token: string;
  /**
   * When it expires, by the local clock. Removing the instance, for example, invalidates it
   * earlier.
   */
  readonly expiresAt: Date;
}

/**
 * Exchanges the stored secrets of extension instances for access tokens of mittwald's API:
 * `POST {apiUrl}/v2/extension-instances/{id}/tokens`. Send the token in the header `x-access-token`
 * of further calls.
 *
 * - A token is cached until shortly before it expires: for all but the last tenth of its lifetime,
 *   or all but the last minute if that is less; and for at least a second, even if the API returns
 *   one that is about to expire. Neither a wrong `Date` in the API's answer nor a wrong or reset
 *   local clock prolongs that.
 * - Each call reads the storage. So a cached token is dropped as soon as any process stores another
 *   secret, or the instance is removed or disabled. Of a secret only its SHA-256 digest is kept.
 * - Concurrent calls for the same instance share one read and one request.
 * - The API refuses a new secret for some seconds. A call waits that out: it retries, after 250 ms
 *   at first and at most 2 s later, until `timeoutMs` have passed since the first refusal. Later
 *   calls try once.
 * - When the API asks for a pause (429, `Retry-After`), a call waits, or fails at once if the pause
 *   exceeds its time limit.
 * - Failures are not cached: the next call tries again.
 * - Redirects are not followed, and answers must be small.
 *
 * An event's secret becomes valid only after the webhook was answered, and is stored only after the
 * commit. So a handler of the storage's option `on` cannot get a token with it: record the work
 * there, and do it afterwards.
 *
 * @example Call mittwald's API for an instance
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { InstanceTokens } from "@wais/mitthooks-drizzle/tokens";
 *
 * const tokens = new InstanceTokens({
 *   storage: { getExtension: () => Promise.resolve({ secret: "s3cr3t" }) }, // a PgExtensionStorage
 *   timeoutMs: 5_000,
 *   // Stands in for mittwald's API, so that this example runs anywhere.
 *   fetch: () =>
 *     Promise.resolve(Response.json({
 *       publicToken: "an-access-token",
 *       expiry: new Date(Date.now() + 600_000),
 *     }, { status: 201 })),
 * });
 *
 * const request = new Request("https://api.mittwald.de/v2/projects", {
 *   headers: { "x-access-token": await tokens.get("instance-1") },
 * });
 * assertEquals(request.headers.get("x-access-token"), "an-access-token");
 * ```
 */
export class InstanceTokens {
  readonly #storage: InstanceSecretStorage;
  readonly #timeoutMs: number;
  readonly #exchangeSettings: ExchangeSettings;
  readonly #tokens: LruMap<string, KeptToken>;
  readonly #reads: SingleFlight<string, StoredSecret>;
  readonly #underWay: Map<string, Exchange> = new Map();
  /** Counts calls and requests, to order them. */
  #turn = 0;

  /**
   * Exchanges the stored secrets of extension instances for access tokens of mittwald's API. Makes
   * no request yet.
   *
   * @param options All but `storage` have defaults.
   * @throws {TypeError} When an option is missing, invalid or unknown.
   * @throws {RangeError} When a number is out of range.
   */
  constructor(options: InstanceTokensOptions) {
    const names = ["storage", "apiUrl", "fetch", "timeoutMs", "maxTokens"];
    checkNames("Creating InstanceTokens", options, names);
    const { storage, timeoutMs = DEFAULT_TIMEOUT_MS, maxTokens = DEFAULT_MAX_TOKENS } = options;
    const api = new MittwaldApi(options);
    checkMethods("storage", storage, ["getExtension"]);
    checkWholeNumber("maxTokens", maxTokens, MAX_TOKENS);
    this.#storage = storage;
    this.#timeoutMs = checkDuration("timeoutMs", timeoutMs);
    this.#tokens = new LruMap(maxTokens);
    this.#reads = new SingleFlight(timeoutMs);
    this.#exchangeSettings = {
      api,
      timeoutMs,
      readSecret: (instanceId) => this.#readSecret(instanceId),
      nextTurn: () => ++this.#turn,
      refusals: new LruMap<string, Refusal>(maxTokens),
    };
  }

  /**
   * Gets an access token of an instance.
   *
   * @param extensionInstanceId The instance's id.
   * @param options Whether to request a new token.
   * @returns The token. It can become invalid at any time, for example when the instance is
   *   removed.
   * @throws {TypeError} When the id cannot be a segment of a URL's path, or an option is invalid or
   *   unknown.
   * @throws {UnknownExtensionInstanceError} When the instance is not stored, has no secret, or no
   *   longer exists in mStudio (404).
   * @throws {InstanceTokenError} `ERR_SECRET_REFUSED` when the API refuses the secret;
   *   `ERR_INSTANCE_INACTIVE` when the instance is stored as disabled; `ERR_TOKEN_UNAVAILABLE` when
   *   the API cannot be reached, is overloaded (429), does not answer in time, or does not answer
   *   with a token. Errors of the storage are passed on.
   *
   * @example Retry once after a 401
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { InstanceTokens } from "@wais/mitthooks-drizzle/tokens";
   *
   * let issued = 0;
   * const tokens = new InstanceTokens({
   *   storage: { getExtension: () => Promise.resolve({ secret: "s3cr3t" }) },
   *   fetch: () =>
   *     Promise.resolve(Response.json({
   *       publicToken: `token-${++issued}`,
   *       expiry: new Date(Date.now() + 600_000),
   *     }, { status: 201 })),
   * });
   * const call = async (token: string) => // in real life a request to mittwald's API
   *   await Promise.resolve(new Response(null, { status: token === "token-1" ? 401 : 200 }));
   *
   * let response = await call(await tokens.get("instance-1"));
   * if (response.status === 401) response = await call(await tokens.get("instance-1", { refresh: true }));
   * assertEquals(response.status, 200);
   * ```
   */
  async get(extensionInstanceId: string, options: GetTokenOptions = {}): Promise<string> {
    return (await this.#get(extensionInstanceId, options)).token;
  }

  /**
   * Like {@linkcode InstanceTokens.get | get}, with the token's expiry, for clients that take both.
   *
   * @param extensionInstanceId The instance's id.
   * @param options Whether to request a new token.
   * @returns The token and its expiry.
   * @throws {TypeError | UnknownExtensionInstanceError | InstanceTokenError} As `get` does.
   *
   * @example Tell a client when to renew its token
   * ```ts
   * import { assert } from "@std/assert";
   * import { InstanceTokens } from "@wais/mitthooks-drizzle/tokens";
   *
   * const tokens = new InstanceTokens({
   *   storage: { getExtension: () => Promise.resolve({ secret: "s3cr3t" }) },
   *   fetch: () =>
   *     Promise.resolve(Response.json({
   *       publicToken: "an-access-token",
   *       expiry: new Date(Date.now() + 600_000),
   *     }, { status: 201 })),
   * });
   * const { expiresAt } = await tokens.getWithExpiry("instance-1");
   * assert(expiresAt.getTime() > Date.now());
   * ```
   */
  async getWithExpiry(
    extensionInstanceId: string,
    options: GetTokenOptions = {},
  ): Promise<ExpiringToken> {
    const { token, expiresAt } = await this.#get(extensionInstanceId, options);
    return { token, expiresAt };
  }

  async #get(instanceId: string, options: GetTokenOptions): Promise<KeptToken> {
    checkId(instanceId);
    checkNames("Getting an access token", options, ["refresh"]);
    const { refresh = false } = options;
    if (typeof refresh !== "boolean") {
      throw new TypeError("Reading the option refresh: it is not a boolean");
    }
    const turn = ++this.#turn;
    if (refresh) this.#tokens.delete(instanceId);
    // Every caller has its own limit; see `Exchange.serves`.
    const deadline = new Deadline(this.#timeoutMs);
    let exchange: Exchange | undefined;
    try {
      const stored = await deadline.run("Reading the secret", () => this.#readSecret(instanceId));
      const kept = this.#tokens.get(instanceId);
      const isNewEnough = (token: KeptToken) => !refresh || token.turn > turn;
      if (kept?.digest === stored.digest && kept.isUsable && isNewEnough(kept)) return kept;
      for (;;) {
        exchange = this.#exchange(instanceId, stored);
        const { result } = exchange;
        const token = await deadline.run("Exchanging the secret", () => result);
        // With `refresh`, the answer to an earlier request is not enough.
        if (isNewEnough(token)) return token;
      }
    } catch (error) {
      if (!(error instanceof DeadlineExceededError)) throw error;
      throw exchange?.latest ?? new InstanceTokenError(
        "ERR_TOKEN_UNAVAILABLE",
        instanceId,
        `no answer within ${this.#timeoutMs} ms`,
      );
    } finally {
      deadline.clear();
    }
  }

  #readSecret(instanceId: string): Promise<StoredSecret> {
    return this.#reads.run(instanceId, async () => {
      const row = await this.#storage.getExtension(instanceId);
      try {
        return await storedSecret(instanceId, row);
      } catch (error) {
        // The instance was removed or disabled, so mittwald has invalidated its tokens.
        this.#tokens.delete(instanceId);
        throw error;
      }
    });
  }

  #exchange(instanceId: string, stored: StoredSecret): Exchange {
    const underWay = this.#underWay.get(instanceId);
    if (underWay?.serves(stored.digest)) return underWay;
    this.#tokens.delete(instanceId);
    const exchange = new Exchange(this.#exchangeSettings, instanceId, stored);
    this.#underWay.set(instanceId, exchange);
    // An exchange that was replaced in the meantime no longer counts.
    const finish = (token?: KeptToken) => {
      if (this.#underWay.get(instanceId) !== exchange) return;
      this.#underWay.delete(instanceId);
      if (token !== undefined) this.#tokens.set(instanceId, token);
    };
    exchange.result.then(finish, () => finish());
    return exchange;
  }
}

function checkId(id: unknown): void {
  if (typeof id !== "string" || !isPathSegment(id)) {
    throw new TypeError("Getting an access token: the instance id is malformed");
  }
}
