/**
 * What can be chosen of a session token.
 *
 * @module
 */

/** What a session token says. What isn't chosen is what mStudio would say of the instance and its page. */
export interface SessionTokenOptions {
  /** Id of the user. Default: a random one, the same for all tokens of a simulator. */
  readonly userId?: string | undefined;
  /** Id of the session. Default: a random one. */
  readonly sessionId?: string | undefined;
  /** The scopes of the session. Default: those that were agreed to. */
  readonly scopes?: readonly string[] | undefined;
  /** Until it expires, in milliseconds; negative: it expired so long ago. mStudio tells seconds. Default: 60 000. */
  readonly expiresInMs?: number | undefined;
  /**
   * What mStudio would not make. `true`: signed with a key that isn't mStudio's, under mStudio's serial. An object: other
   * claims, signed with mStudio's key; `undefined` leaves one out. `{ extensionId: "another" }` is what another
   * extension's page has got.
   */
  readonly forge?: boolean | Readonly<Record<string, unknown>> | undefined;
}

/** Who an access token of a user acts as, and from which page it comes. */
export interface SimulatedSession {
  /** Id of the user. */
  readonly userId: string;
  /** Id of the session. */
  readonly sessionId: string;
  /** Id of the instance whose page it is. */
  readonly extensionInstanceId: string;
  /** The scopes that it is limited to. */
  readonly scopes: readonly string[];
}
