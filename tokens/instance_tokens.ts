/**
 * Access tokens of stored extension instances.
 *
 * @module
 */

import { DeadlineExceededError, InstanceTokenError } from "../errors.ts";
import { checkApiUrl, DEFAULT_API_URL } from "../internal/api_url.ts";
import {
  checkDuration,
  checkFunction,
  checkMethods,
  checkNames,
  checkWholeNumber,
} from "../internal/check_options.ts";
import { Deadline } from "../internal/deadline.ts";
import { LruMap } from "../internal/lru.ts";
import {
  Exchange,
  type Exchanged,
  type ExchangeSettings,
  type Refusal,
  type StoredSecret,
  storedSecret,
} from "./internal/exchange.ts";

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_TOKENS = 1_000;
const MAX_TOKENS = 1_000_000;
const MAX_MARGIN_MS = 60_000;

/** Where the secrets come from: `PgExtensionStorage`, or anything else with such a method. */
export interface InstanceSecretStorage {
  /**
   * Reads an extension instance.
   *
   * @param extensionInstanceId Id of the instance.
   * @returns It, with its secret in plaintext, or nothing where it is not stored.
   */
  getExtension(
    extensionInstanceId: string,
  ): Promise<{ readonly secret: string | null } | null | undefined>;
}

/** Options of {@linkcode InstanceTokens}; its example uses them. */
export interface InstanceTokensOptions {
  /** Where the secrets are stored. It is read at every call. */
  readonly storage: InstanceSecretStorage;
  /** Base URL of the API, `http:` or `https:`. Default: `https://api.mittwald.de`. */
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

interface Kept {
  readonly token: string;
  readonly digest: string;
  /** By our clock, in milliseconds. */
  readonly requestedAt: number;
  readonly usableUntil: number;
}

/**
 * Exchanges the stored secrets of extension instances for access tokens of mittwald's API:
 * `POST {apiUrl}/v2/extension-instances/{id}/tokens`. A token goes into the header `x-access-token` of further calls.
 *
 * - A token is kept until shortly before it expires: a tenth of its lifetime, at most a minute. Its lifetime is taken by
 *   the API's clock where its answer has a `Date`.
 * - Each call reads the storage. So a token is not used any more once another secret is stored than the one that it came
 *   from, whichever process stored it, or once the instance is removed. Of a secret only its SHA-256 digest is kept.
 * - Callers who want a token of the same instance at the same time share one request.
 * - A new secret is refused by the API for some seconds. A call waits that out: it asks again, after 250 ms at first and
 *   2 s at most, until `timeoutMs` have passed since the secret was refused first. Later calls ask once.
 * - Failures are not remembered: the next call asks again.
 * - Redirects are not followed, and answers must be small.
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
  readonly #tokens: LruMap<string, Kept>;
  readonly #underWay: Map<string, Exchange> = new Map();

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
    const { storage, apiUrl = DEFAULT_API_URL, fetch } = options;
    const { timeoutMs = DEFAULT_TIMEOUT_MS, maxTokens = DEFAULT_MAX_TOKENS } = options;
    checkMethods("storage", storage, ["getExtension"]);
    if (fetch !== undefined) checkFunction("fetch", fetch);
    checkWholeNumber("maxTokens", maxTokens, MAX_TOKENS);
    this.#storage = storage;
    this.#timeoutMs = checkDuration("timeoutMs", timeoutMs);
    this.#tokens = new LruMap(maxTokens);
    this.#exchangeSettings = {
      // Looked up at the call: tools that replace the global fetch do so at any time.
      fetch: fetch ?? ((input, init) => globalThis.fetch(input, init)),
      apiUrl: checkApiUrl(apiUrl),
      timeoutMs,
      readSecret: (instanceId) => this.#readSecret(instanceId),
      refusals: new LruMap<string, Refusal>(maxTokens),
    };
  }

  /**
   * An access token of an instance.
   *
   * @param extensionInstanceId Id of the instance.
   * @returns The token. It can become invalid at any time, for example because the instance is removed.
   * @throws {TypeError} Rejects, if the id is not a string that can be part of a URL's path.
   * @throws {UnknownExtensionInstanceError} Rejects, if the instance is not stored, or has no secret.
   * @throws {InstanceTokenError} Rejects with `ERR_SECRET_REFUSED`, if the API does not take the secret; with
   *   `ERR_TOKEN_UNAVAILABLE`, if it cannot be reached, is too busy (429), does not answer in time, or answers with
   *   something that is not a token. What the storage throws is passed on.
   *
   * @example Tell a customer why there is no token
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { InstanceTokenError, InstanceTokens } from "@wais/mitthooks-drizzle/tokens";
   *
   * const tokens = new InstanceTokens({
   *   storage: { getExtension: () => Promise.resolve({ secret: "s3cr3t" }) },
   *   fetch: () => Promise.resolve(new Response(null, { status: 503 })),
   * });
   * const error = await tokens.get("instance-1").catch((error) => error);
   * assertEquals(error instanceof InstanceTokenError && error.code, "ERR_TOKEN_UNAVAILABLE");
   * ```
   */
  async get(extensionInstanceId: string): Promise<string> {
    checkId(extensionInstanceId);
    // Every caller has a limit of its own; see `Exchange.serves`.
    const deadline = new Deadline(this.#timeoutMs);
    let exchange: Exchange | undefined;
    try {
      const stored = await deadline.run(
        "Reading the secret",
        () => this.#readSecret(extensionInstanceId),
      );
      const kept = this.#tokens.get(extensionInstanceId);
      if (kept?.digest === stored.digest && isUsable(kept)) return kept.token;
      this.#tokens.delete(extensionInstanceId);
      exchange = this.#exchange(extensionInstanceId, stored);
      const { result } = exchange;
      return (await deadline.run("Exchanging the secret", () => result)).token;
    } catch (error) {
      if (!(error instanceof DeadlineExceededError)) throw error;
      throw exchange?.refused ?? new InstanceTokenError(
        "ERR_TOKEN_UNAVAILABLE",
        extensionInstanceId,
        `there was none within ${this.#timeoutMs} ms`,
      );
    } finally {
      deadline.clear();
    }
  }

  async #readSecret(instanceId: string): Promise<StoredSecret> {
    const row = await this.#storage.getExtension(instanceId);
    if (!row?.secret) this.#tokens.delete(instanceId);
    return await storedSecret(instanceId, row);
  }

  #exchange(instanceId: string, stored: StoredSecret): Exchange {
    const underWay = this.#underWay.get(instanceId);
    if (underWay?.serves(stored.digest)) return underWay;
    const exchange = new Exchange(this.#exchangeSettings, instanceId, stored);
    this.#underWay.set(instanceId, exchange);
    // One that was replaced in the meantime has nothing to say any more.
    const finish = (exchanged?: Exchanged) => {
      if (this.#underWay.get(instanceId) !== exchange) return;
      this.#underWay.delete(instanceId);
      if (exchanged !== undefined) this.#tokens.set(instanceId, toKept(exchanged));
    };
    exchange.result.then(finish, () => finish());
    return exchange;
  }
}

function toKept({ token, digest, requestedAt, lifetimeMs }: Exchanged): Kept {
  const marginMs = Math.min(MAX_MARGIN_MS, lifetimeMs / 10);
  return { token, digest, requestedAt, usableUntil: requestedAt + lifetimeMs - marginMs };
}

/** The first condition: the clock was set back, and would keep the token for longer than it is valid. */
function isUsable({ requestedAt, usableUntil }: Kept): boolean {
  const now = Date.now();
  return now >= requestedAt && now < usableUntil;
}

function checkId(id: unknown): void {
  // "." and ".." survive percent-encoding and would change the path. Lone surrogates cannot be encoded.
  if (
    typeof id !== "string" || id === "" || id === "." || id === ".." || /\p{Surrogate}/u.test(id)
  ) {
    throw new TypeError("Getting an access token: the id cannot be one of an extension instance");
  }
}
