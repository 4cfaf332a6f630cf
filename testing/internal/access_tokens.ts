/**
 * Access tokens of one kind, with equal lifetimes.
 *
 * @module
 */

import { encodeBase64 } from "../../internal/base64.ts";

/** An access token in the API's answer. */
export interface IssuedToken {
  readonly publicToken: string;
  readonly expiry: Date;
}

/** The issued tokens and their holders. */
export class AccessTokens<T> {
  readonly #lifetimeMs: number;
  readonly #issued = new Map<string, { readonly holder: T; readonly expiry: Date }>();

  constructor(lifetimeMs: number) {
    this.#lifetimeMs = lifetimeMs;
  }

  /** Issues a token. */
  issue(holder: T): IssuedToken {
    for (const [token, { expiry }] of this.#issued) {
      if (expiry.getTime() > Date.now()) break; // the rest is younger
      this.#issued.delete(token);
    }
    const publicToken = encodeBase64(crypto.getRandomValues(new Uint8Array(32)));
    const expiry = new Date(Date.now() + this.#lifetimeMs);
    this.#issued.set(publicToken, { holder, expiry });
    return { publicToken, expiry };
  }

  /** The holder of a valid token. */
  holder(publicToken: string): T | undefined {
    const token = this.#issued.get(publicToken);
    return token === undefined || token.expiry.getTime() <= Date.now() ? undefined : token.holder;
  }
}
