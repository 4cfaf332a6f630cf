/**
 * The sessions of an extension's pages.
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

/** What a session needs to know of a stored instance. */
export interface SessionInstance {
  /** Id of the customer or project that it belongs to. */
  readonly contextId: string;
  /** Whether it is switched on. */
  readonly active: boolean;
}

/** Where the instances are stored: `PgExtensionStorage`, or anything else with such a method. */
export interface SessionStorage<TInstance extends SessionInstance> {
  /**
   * Reads an instance.
   *
   * @param extensionInstanceId Id of the instance.
   * @returns It, without its secret, or nothing where it is not stored.
   */
  getInstance(extensionInstanceId: string): Promise<TInstance | null | undefined>;
}

/** Options of {@linkcode MstudioSessions}; its example uses them. */
export interface MstudioSessionsOptions<TInstance extends SessionInstance = SessionInstance> {
  /** Id of the extension. A token for any other extension is refused. */
  readonly extensionId: string;
  /**
   * Where the instances are stored. With it a session has its instance, and instances that are unknown or not active are
   * refused. It is read at every call. `undefined` is refused: leave the option out.
   */
  readonly storage?: SessionStorage<TInstance>;
  /**
   * The secret of the extension, for `accessToken`; not that of an instance. Extensions whose tokens can be
   * authenticated without a secret need none.
   */
  readonly extensionSecret?: string | undefined;
  /**
   * Who has the public keys. Default: mittwald's API. Those of webhooks are others: a `MittwaldPublicKeys` has to be made
   * with `purpose: "session_token"`.
   */
  readonly publicKeys?: PublicKeyProvider | undefined;
  /** Base URL of the API, `http:` or `https:`. Default, also for `""`: `https://api.mittwald.de`. */
  readonly apiUrl?: string | URL | undefined;
  /** Makes the requests. What it throws becomes the `cause` of an error as it is. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Time limit of one call in milliseconds, 1 to 2,147,483,647. Default: 5,000. */
  readonly timeoutMs?: number | undefined;
  /** The header that has the token. Default: `x-session-token`. */
  readonly header?: string | undefined;
}

/** Who asks, from which page. All of it is what mStudio has signed. */
export interface Session<TInstance = undefined> {
  /** Id of the user. */
  readonly userId: string;
  /** Id of the session; the same while the page stays open. */
  readonly sessionId: string;
  /** Id of the extension instance whose page it is. */
  readonly extensionInstanceId: string;
  /** The customer or project that the page is shown in. */
  readonly context: {
    /** Its id. */
    readonly id: string;
    /** Which of the two it is. */
    readonly kind: "customer" | "project";
  };
  /** The scopes of the session. */
  readonly scopes: readonly string[];
  /** The variant that was booked. */
  readonly variantKey: string | null;
  /** When the token expires. */
  readonly expiresAt: Date;
  /** The stored instance without its secret; `undefined` without a storage. */
  readonly instance: TInstance;
}

/** What {@linkcode MstudioSessions} takes a token from: a request, or the value of its header. */
export type SessionSource = Pick<Request, "headers"> | string | null | undefined;

/**
 * The sessions of an extension's pages, from `@wais/mitthooks-drizzle/sessions`: checks the session token that a page
 * sends with every request, and exchanges it for an access token of its user.
 *
 * - A token is a JWT (RFC 7519) that mittwald has signed with Ed25519. It is refused if it is for another extension, has
 *   expired or is not valid yet (with 5 seconds of tolerance), or says no more than mStudio's do.
 * - mittwald's public keys are fetched with all limits of `MittwaldPublicKeys`.
 * - A token that has passed is remembered until it expires, by its SHA-256 digest: the 1,000 used last. The storage is
 *   read at every call.
 * - No token, claim or key is in any error.
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
   * Makes no request.
   *
   * @param options All but the extension's id have defaults.
   * @throws {TypeError} When `extensionId` is missing or empty, an option is of the wrong type, `publicKeys` are those of
   *   webhooks, or there is no option of a name.
   * @throws {RangeError} When `timeoutMs` is out of its limits.
   */
  constructor(options: MstudioSessionsOptions<NonNullable<TInstance>>) {
    checkNames("Creating MstudioSessions", options, NAMES);
    const { extensionId, storage, extensionSecret, apiUrl, fetch } = options;
    const { timeoutMs = DEFAULT_TIMEOUT_MS, header = DEFAULT_HEADER } = options;
    if (typeof extensionId !== "string" || extensionId === "") {
      throw new TypeError("Reading the option extensionId: it is not a string, or empty");
    }
    // What was meant to be there and is not would let everybody in.
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
   * @param source The request that carries it, or the value of its header.
   * @returns The session.
   * @throws {SessionError} Rejects with `ERR_SESSION_MISSING`, `ERR_SESSION_INVALID` or `ERR_SESSION_EXPIRED`, if there is
   *   no token that mStudio has signed and that is valid now; with `ERR_WRONG_EXTENSION`, if it is another extension's;
   *   with `ERR_UNKNOWN_INSTANCE` or `ERR_INSTANCE_INACTIVE`, if the storage does not have its instance in this context,
   *   or not active; with `ERR_PUBLIC_KEY_UNAVAILABLE`, if the key that it names cannot be fetched.
   * @throws {DeadlineExceededError} Rejects, if the storage does not answer in time. What it throws is passed on.
   * @throws {TypeError} Rejects, if `source` is none.
   *
   * @example Of another framework's request
   * ```ts
   * import { assertRejects } from "@std/assert";
   * import { MstudioSessions, SessionError } from "@wais/mitthooks-drizzle/sessions";
   *
   * const sessions = new MstudioSessions({ extensionId: "my-extension" });
   * const headers: Record<string, string | undefined> = {}; // as Express has them
   * await assertRejects(() => sessions.verify(headers["x-session-token"]), SessionError);
   * ```
   */
  async verify(source: SessionSource): Promise<Session<TInstance>> {
    return (await this.#within((deadline) => this.#verify(source, deadline))).session;
  }

  /**
   * Checks a session token as {@linkcode MstudioSessions.verify | verify} does, and exchanges it for an access token that
   * acts as its user: `POST {apiUrl}/v2/authenticate-session-token`. The token goes into the header `x-access-token` of
   * requests to mittwald's API. It lives for about a minute and is not kept: each call makes a request.
   *
   * @param source The request that carries it, or the value of its header.
   * @returns The access token, and when it expires by the local clock.
   * @throws {SessionError} Rejects as `verify` does; with `ERR_ACCESS_TOKEN_REFUSED`, if the API takes the token or the
   *   extension's secret not; with `ERR_TOKEN_UNAVAILABLE`, if it cannot be reached, is too busy, does not answer in time,
   *   or answers with something that is not a token.
   * @throws {TypeError} Rejects, if there is no `extensionSecret`, and the token cannot do without.
   *
   * @example Ask mittwald in the name of the user
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
        throw new ConfigurationError(`${GETTING}: the option extensionSecret is missing, or empty`);
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
    // Ids alone: version 0.1 stored every context as a project's.
    if (!instance || instance.contextId !== claims.context.id) {
      throw new SessionError(
        "ERR_UNKNOWN_INSTANCE",
        `${CHECKING}: no instance of its id is stored ${instance ? "in its context" : ""}`.trim(),
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

/** One of its own for every caller. */
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
