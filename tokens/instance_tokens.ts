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

/** Where the secrets come from: `PgExtensionStorage`, or anything else with such a method. */
export interface InstanceSecretStorage {
  /**
   * Reads an extension instance.
   *
   * @param extensionInstanceId Id of the instance.
   * @returns It, with its secret in plaintext, or nothing where it is not stored. `active`: whether it is switched on;
   *   `createdAt`: when it was stored first, so that one that the API does not have yet is waited for.
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
  /** Where the secrets are stored. It is read at every call; calls at the same time share one read. */
  readonly storage: InstanceSecretStorage;
  /** Base URL of the API, `http:` or `https:`. Default, also for `""`: `https://api.mittwald.de`. */
  readonly apiUrl?: string | URL | undefined;
  /** Makes the requests. What it throws becomes the `cause` of an error as it is. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /**
   * Time limit of one call in milliseconds, 1 to 2,147,483,647, and how long a secret that is refused is taken for one
   * that is too new. Default: 10,000.
   */
  readonly timeoutMs?: number | undefined;
  /** How many tokens are kept: those that were used last, 1 to 1,000,000. Default: 1,000. */
  readonly maxTokens?: number | undefined;
}

/** Options of the methods of {@linkcode InstanceTokens}. */
export interface GetTokenOptions {
  /**
   * Drops the token that is kept, and asks for a new one: after the API has answered 401, or when the scopes of the
   * instance have changed. Default: `false`.
   */
  readonly refresh?: boolean | undefined;
}

/** A token, and until when it is valid. */
export interface ExpiringToken {
  /** For the header `x-access-token`. */
  readonly token: string;
  /** When it expires, by the local clock. It can become invalid before, for example because the instance is removed. */
  readonly expiresAt: Date;
}

/**
 * Exchanges the stored secrets of extension instances for access tokens of mittwald's API:
 * `POST {apiUrl}/v2/extension-instances/{id}/tokens`. A token goes into the header `x-access-token` of further calls.
 *
 * - A token is kept until shortly before it expires: a tenth of its lifetime, at most a minute; and for about a second at
 *   least, also where the API hands out one that is about to expire. Neither a wrong `Date` in the API's answer nor a
 *   local clock that is wrong or set back prolongs that.
 * - Each call reads the storage. So a token is not used any more once another secret is stored than the one that it came
 *   from, whichever process stored it, or once the instance is removed or switched off. Of a secret only its SHA-256
 *   digest is kept.
 * - Callers who want a token of the same instance at the same time share one read and one request.
 * - A new secret is refused by the API for some seconds. A call waits that out: it asks again, after 250 ms at first and
 *   2 s at most, until `timeoutMs` have passed since the secret was refused first. Later calls ask once.
 * - While the API asks to be left alone (429, `Retry-After`), it is: a call waits, or fails at once where that takes
 *   longer than it may.
 * - Failures are not remembered: the next call asks again.
 * - Redirects are not followed, and answers must be small.
 *
 * The secret that an event brings is valid only after the webhook was answered, and stored only after the commit: in a
 * handler of the storage's option `on` there is no token of it. Write down there what is to be done, and do it afterwards.
 *
 * @example Call mittwald's API for an instance
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { InstanceTokens } from "@wais/mitthooks-drizzle/tokens";
 *
 * const tokens = new InstanceTokens({
 *   storage: { getExtension: () => Promise.resolve({ secret: "s3cr3t" }) }, // a PgExtensionStorage
 *   timeoutMs: 5_000,
 *   // In place of mittwald's API, so that this example runs anywhere.
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
  /** Numbers calls and requests, so that it can be told which came first. */
  #turn = 0;

  /**
   * Makes no request.
   *
   * @param options All but the storage have defaults.
   * @throws {TypeError} When there is no storage, `apiUrl` is not an HTTP URL without query and fragment, `fetch` is not
   *   a function, or there is no option of a name.
   * @throws {RangeError} When a number is out of its limits.
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
   * An access token of an instance.
   *
   * @param extensionInstanceId Id of the instance.
   * @param options Whether to ask for a new one.
   * @returns The token. It can become invalid at any time, for example because the instance is removed.
   * @throws {TypeError} Rejects, if the id is not a string that can be part of a URL's path, or an option is wrong.
   * @throws {UnknownExtensionInstanceError} Rejects, if the instance is not stored, or has no secret; or if mStudio does
   *   not have it any more (404).
   * @throws {InstanceTokenError} Rejects with `ERR_SECRET_REFUSED`, if the API does not take the secret; with
   *   `ERR_INSTANCE_INACTIVE`, if the instance is stored as switched off; with `ERR_TOKEN_UNAVAILABLE`, if the API cannot
   *   be reached, is too busy (429), does not answer in time, or answers with something that is not a token. What the
   *   storage throws is passed on.
   *
   * @example Ask once more after a 401
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
   * The same as {@linkcode InstanceTokens.get | get}, and until when the token is valid: for clients that are given both.
   *
   * @param extensionInstanceId Id of the instance.
   * @param options Whether to ask for a new one.
   * @returns The token and its expiry.
   * @throws {TypeError | UnknownExtensionInstanceError | InstanceTokenError} Rejects as `get` does.
   *
   * @example Tell a client when to come again
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
    // Every caller has a limit of its own; see `Exchange.serves`.
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
        // Who wants a new one has no use for the answer to an earlier request.
        if (isNewEnough(token)) return token;
      }
    } catch (error) {
      if (!(error instanceof DeadlineExceededError)) throw error;
      throw exchange?.latest ?? new InstanceTokenError(
        "ERR_TOKEN_UNAVAILABLE",
        instanceId,
        `there was none within ${this.#timeoutMs} ms`,
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
        // Removed, or switched off: mittwald has made its tokens invalid.
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
    // One that was replaced in the meantime has nothing to say any more.
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
    throw new TypeError("Getting an access token: the id cannot be one of an extension instance");
  }
}
