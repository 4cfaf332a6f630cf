/**
 * Options of simulated session tokens.
 *
 * @module
 */

/** Content of a session token. By default, what mStudio would issue for the instance's page. */
export interface SessionTokenOptions {
  /** The user's id. Default: a random one, the same for all tokens of a simulator. */
  readonly userId?: string | undefined;
  /** The session's id. Default: a random one. */
  readonly sessionId?: string | undefined;
  /** The session's scopes. Default: the instance's consented scopes. */
  readonly scopes?: readonly string[] | undefined;
  /**
   * Lifetime in milliseconds, rounded to seconds; negative for an expired token. Default: 60,000.
   */
  readonly expiresInMs?: number | undefined;
  /**
   * Forge the token. `true`: sign with a key that is not mStudio's, under mStudio's serial. An
   * object: change claims and sign with mStudio's key; `undefined` omits a claim.
   * `{ extensionId: "another" }` is a token for another extension's page.
   */
  readonly forge?: boolean | Readonly<Record<string, unknown>> | undefined;
}

/** The user and page of a user's access token. */
export interface SimulatedSession {
  /** The user's id. */
  readonly userId: string;
  /** The session's id. */
  readonly sessionId: string;
  /** Id of the page's instance. */
  readonly extensionInstanceId: string;
  /** The token's scopes. */
  readonly scopes: readonly string[];
}
