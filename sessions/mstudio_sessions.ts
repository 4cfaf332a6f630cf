/**
 * Sessions of an extension's pages.
 *
 * @module
 */

import { SessionError } from "../errors.ts";
import { MittwaldApi } from "../internal/api_request.ts";
import { checkDuration, checkMethods, checkNames } from "../internal/check_options.ts";
import { ConfigurationError } from "../internal/configuration_error.ts";
import { Deadline } from "../internal/deadline.ts";
import { checkKeyProvider, VerificationKeys } from "../internal/verification_keys.ts";
import type { PublicKeyProvider } from "../webhooks/interfaces.ts";
import { MittwaldPublicKeys } from "../webhooks/public_keys.ts";
import { GETTING, requestUserToken } from "./internal/access_token.ts";
import { CHECKING, type Claims } from "./internal/claims.ts";
import { readToken } from "./internal/read_token.ts";
import { TokenCheck } from "./internal/token_check.ts";

const DEFAULT_HEADER = "x-session-token";
const DEFAULT_TIMEOUT_MS = 5_000;
/** RFC 9110, section 5.1. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~\w-]+$/;

/** The properties of a stored instance that a session needs. */
export interface SessionInstance {
  /** Id of its customer or project. */
  readonly contextId: string;
  /** Whether it is enabled. */
  readonly active: boolean;
}

/** Source of the instances: `PgExtensionStorage`, or any object with this method. */
export interface SessionStorage<TInstance extends SessionInstance> {
  /**
   * Reads an extension instance.
   *
   * @param extensionInstanceId The instance's id.
   * @returns The instance without its secret, or nothing if it is not stored.
   */
  getInstance(extensionInstanceId: string): Promise<TInstance | null | undefined>;
}

/** Options of {@linkcode MstudioSessions}; its example uses them. */
export interface MstudioSessionsOptions<TInstance extends SessionInstance = SessionInstance> {
  /** Id of the extension. A token for any other extension is refused. */
  readonly extensionId: string;
  /**
   * Where the instances are stored. With it, a session has its instance, and unknown or disabled
   * instances are refused. Read at every call. `undefined` is refused: leave the option out.
   */
  readonly storage?: SessionStorage<TInstance>;
  /**
   * The extension's secret (not an instance's), for `accessToken`. Not needed by extensions whose
   * tokens can be authenticated without a secret.
   */
  readonly extensionSecret?: string | undefined;
  /**
   * Source of the public keys. Webhooks are signed with other keys: create a `MittwaldPublicKeys`
   * with `purpose: "session_token"`. Default: mittwald's API.
   */
  readonly publicKeys?: PublicKeyProvider | undefined;
  /** Base URL of the API, `http:` or `https:`. Default, also for `""`: `https://api.mittwald.de`. */
  readonly apiUrl?: string | URL | undefined;
  /** Makes the requests. Its errors become a `cause` unchanged. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Time limit of one call in milliseconds, 1 to 2,147,483,647. Default: 5,000. */
  readonly timeoutMs?: number | undefined;
  /** The header with the token. Default: `x-session-token`. */
  readonly header?: string | undefined;
}

/** A user and a page of the extension, as mStudio signed them. */
export interface Session<TInstance = undefined> {
  /** Id of the user. */
  readonly userId: string;
  /** Id of the session; it stays the same while the page is open. */
  readonly sessionId: string;
  /** Id of the page's extension instance. */
  readonly extensionInstanceId: string;
  /** The customer or project in which the page is shown. */
  readonly context: {
    /** The id. */
    readonly id: string;
    /** Whether it is a customer or a project. */
    readonly kind: "customer" | "project";
  };
  /** The scopes of the session. */
  readonly scopes: readonly string[];
  /** The booked variant. */
  readonly variantKey: string | null;
  /** When the token expires. */
  readonly expiresAt: Date;
  /** The stored instance without its secret; `undefined` without a storage. */
  readonly instance: TInstance;
}

/** Source of a session token: a request or the header's value. */
export type SessionSource = Pick<Request, "headers"> | string | null | undefined;

/**
 * Checks the session tokens of an extension's pages, and exchanges them for access tokens of their
 * users. A page sends its token with every request. Exported by `@wais/mitthooks-drizzle/sessions`.
 *
 * - A token is a JWT (RFC 7519) that mittwald has signed with Ed25519. It is refused if it is for
 *   another extension, has expired, is not valid yet (with 5 seconds of tolerance), or lacks a
 *   claim.
 * - mittwald's public keys are fetched within the limits of `MittwaldPublicKeys`.
 * - A valid token is remembered by its SHA-256 digest until it expires; the 1,000 most recently
 *   used are kept. The storage is read at every call.
 * - No error contains a token, a claim or a key.
 *
 * @typeParam TInstance A stored instance; `undefined` without a storage.
 *
 * @example A page's backend
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { MstudioSessions, SessionError } from "@wais/mitthooks-drizzle/sessions";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: () => new Response(),
 * });
 * const instance = await mstudio.addInstance({ context: { id: "p-1", kind: "project" } });
 *
 * const sessions = new MstudioSessions({
 *   extensionId: "my-extension",
 *   storage: { // a PgExtensionStorage
 *     getInstance: (id) => Promise.resolve({ id, contextId: "p-1", active: true, plan: "pro" }),
 *   },
 *   fetch: (input, init) => mstudio.api(new Request(input, init)), // in real life left out
 * });
 *
 * async function handle(request: Request): Promise<Response> {
 *   try {
 *     const { userId, instance } = await sessions.verify(request);
 *     return Response.json({ userId, plan: instance.plan });
 *   } catch (error) {
 *     if (error instanceof SessionError) return error.toResponse();
 *     throw error;
 *   }
 * }
 *
 * const headers = { "x-session-token": await instance.sessionToken({ userId: "ada" }) };
 * const response = await handle(new Request("https://extension.example/", { headers }));
 * assertEquals(await response.json(), { userId: "ada", plan: "pro" });
 * assertEquals((await handle(new Request("https://extension.example/"))).status, 401);
 * ```
 */
export class MstudioSessions<TInstance extends SessionInstance | undefined = undefined> {
  readonly #storage: SessionStorage<SessionInstance> | undefined;
  readonly #extensionSecret: string | undefined;
  readonly #timeoutMs: number;
  readonly #header: string;
  readonly #api: MittwaldApi;
  readonly #tokens: TokenCheck;

  /**
   * Checks the session tokens of an extension's pages, and exchanges them for access tokens of
   * their users. Makes no request yet.
   *
   * @param options All but `extensionId` have defaults or are optional.
   * @throws {TypeError} When an option is missing, invalid or unknown, or `publicKeys` are for
   *   webhooks.
   * @throws {RangeError} When `timeoutMs` is out of range.
   */
  constructor(options: MstudioSessionsOptions<NonNullable<TInstance>>) {
    checkNames("Creating MstudioSessions", options, NAMES);
    const { extensionId, storage, extensionSecret, apiUrl, fetch } = options;
    const { timeoutMs = DEFAULT_TIMEOUT_MS, header = DEFAULT_HEADER } = options;
    if (typeof extensionId !== "string" || extensionId === "") {
      throw new TypeError("Reading the option extensionId: it is missing, empty or not a string");
    }
    // A storage that is `undefined` by mistake would skip the check of instances.
    if ("storage" in options) checkMethods("storage", storage, ["getInstance"]);
    if (extensionSecret !== undefined && typeof extensionSecret !== "string") {
      throw new TypeError("Reading the option extensionSecret: it is not a string");
    }
    if (typeof header !== "string" || !HEADER_NAME.test(header)) {
      throw new TypeError("Reading the option header: it is not the name of a header");
    }
    this.#storage = storage;
    this.#extensionSecret = extensionSecret || undefined;
    this.#timeoutMs = checkDuration("timeoutMs", timeoutMs);
    this.#header = header;
    this.#api = new MittwaldApi({ apiUrl, fetch });
    const {
      publicKeys = new MittwaldPublicKeys({ apiUrl, fetch, purpose: "session_token" }),
    } = options;
    checkKeyProvider(publicKeys, "session_token");
    this.#tokens = new TokenCheck(extensionId, new VerificationKeys(publicKeys));
  }

  /**
   * Checks a session token.
   *
   * @param source The request, or the value of the token's header.
   * @returns The session.
   * @throws {SessionError} `ERR_SESSION_MISSING`, `ERR_SESSION_INVALID` or `ERR_SESSION_EXPIRED`
   *   when there is no valid token of mStudio; `ERR_WRONG_EXTENSION` when it is for another
   *   extension; `ERR_UNKNOWN_INSTANCE` when the storage does not have the instance in this
   *   context; `ERR_INSTANCE_INACTIVE` when it is stored as disabled; `ERR_PUBLIC_KEY_UNAVAILABLE`
   *   when the token's public key cannot be fetched.
   * @throws {DeadlineExceededError} When the storage does not answer in time. Errors of the storage
   *   are passed on.
   * @throws {TypeError} When `source` is neither a request nor a header's value.
   *
   * @example With another framework's request
   * ```ts
   * import { assertRejects } from "@std/assert";
   * import { MstudioSessions, SessionError } from "@wais/mitthooks-drizzle/sessions";
   *
   * const sessions = new MstudioSessions({ extensionId: "my-extension" });
   * const headers: Record<string, string | undefined> = {}; // as in Express
   * await assertRejects(() => sessions.verify(headers["x-session-token"]), SessionError);
   * ```
   */
  async verify(source: SessionSource): Promise<Session<TInstance>> {
    return (await this.#within((deadline) => this.#verify(source, deadline))).session;
  }

  /**
   * Checks a session token like {@linkcode MstudioSessions.verify | verify}, and exchanges it for
   * an access token that acts as its user: `POST {apiUrl}/v2/authenticate-session-token`. Send that
   * token in the header `x-access-token` of requests to mittwald's API. It lives for about a minute
   * and is not cached: each call makes a request.
   *
   * @param source The request, or the value of the token's header.
   * @returns The access token and its expiry by the local clock.
   * @throws {SessionError} As `verify` does; `ERR_ACCESS_TOKEN_REFUSED` when the API refuses the
   *   token or the extension's secret; `ERR_TOKEN_UNAVAILABLE` when the API cannot be reached, is
   *   overloaded (429), does not answer in time, or does not answer with a token.
   * @throws {TypeError} When the token needs `extensionSecret` and that option is missing.
   *
   * @example Call mittwald's API as the user
   * ```ts
   * import type { MstudioSessions } from "@wais/mitthooks-drizzle/sessions";
   *
   * export async function projectsOf(sessions: MstudioSessions, request: Request): Promise<Response> {
   *   const { token } = await sessions.accessToken(request);
   *   return await fetch("https://api.mittwald.de/v2/projects", {
   *     headers: { "x-access-token": token },
   *   });
   * }
   * ```
   */
  async accessToken(source: SessionSource): Promise<{ token: string; expiresAt: Date }> {
    return await this.#within(async (deadline) => {
      const { token, claims } = await this.#verify(source, deadline);
      const secret = this.#extensionSecret;
      if (secret === undefined && !claims.authenticatableWithoutSecret) {
        throw new ConfigurationError(`${GETTING}: the option extensionSecret is missing or empty`);
      }
      return await requestUserToken(this.#api, token, secret, deadline);
    });
  }

  async #within<T>(action: (deadline: Deadline) => Promise<T>): Promise<T> {
    const deadline = new Deadline(this.#timeoutMs);
    try {
      return await action(deadline);
    } finally {
      deadline.clear();
    }
  }

  async #verify(source: SessionSource, deadline: Deadline) {
    const token = readToken(source, this.#header);
    const claims = await this.#tokens.check(token, deadline);
    const instance = await this.#instance(claims, deadline);
    return { token, claims, session: toSession(claims, instance as TInstance) };
  }

  async #instance(claims: Claims, deadline: Deadline): Promise<SessionInstance | undefined> {
    const storage = this.#storage;
    if (storage === undefined) return undefined;
    const instance = await deadline.run(
      "Reading the instance of a session",
      () => storage.getInstance(claims.extensionInstanceId),
    );
    // Compares ids only: version 0.1 stored every context as a project.
    if (!instance || instance.contextId !== claims.context.id) {
      throw new SessionError(
        "ERR_UNKNOWN_INSTANCE",
        `${CHECKING}: no instance with its id is stored ${instance ? "in its context" : ""}`.trim(),
      );
    }
    if (instance.active !== true) {
      throw new SessionError("ERR_INSTANCE_INACTIVE", `${CHECKING}: its instance is not active`);
    }
    return instance;
  }
}

const NAMES: readonly string[] = [
  "extensionId",
  "storage",
  "extensionSecret",
  "publicKeys",
  "apiUrl",
  "fetch",
  "timeoutMs",
  "header",
];

/** Makes a new object for every caller, who may change it. */
function toSession<TInstance>(claims: Claims, instance: TInstance): Session<TInstance> {
  const { userId, sessionId, extensionInstanceId, context, scopes, variantKey } = claims;
  const expiresAt = new Date(claims.expiresAt);
  return {
    userId,
    sessionId,
    extensionInstanceId,
    context,
    scopes,
    variantKey,
    expiresAt,
    instance,
  };
}
