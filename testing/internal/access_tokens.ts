/**
 * Access tokens of one kind, which all live equally long.
 *
 * @module
 */

import { encodeBase64 } from "../../internal/base64.ts";

/** An access token as the API hands it out. */
export interface IssuedToken {
  readonly publicToken: string;
  readonly expiry: Date;
}

/** The tokens that were handed out, and who they are valid for. */
export class AccessTokens<T> {
  readonly #lifetimeMs: number;
  readonly #issued = new Map<string, { readonly holder: T; readonly expiry: Date }>();

  constructor(lifetimeMs: number) {
    this.#lifetimeMs = lifetimeMs;
  }

  /** Hands one out. */
  issue(holder: T): IssuedToken {
    for (const [token, { expiry }] of this.#issued) {
      if (expiry.getTime() > Date.now()) break; // all live equally long: the rest is younger
      this.#issued.delete(token);
    }
    const publicToken = encodeBase64(crypto.getRandomValues(new Uint8Array(32)));
    const expiry = new Date(Date.now() + this.#lifetimeMs);
    this.#issued.set(publicToken, { holder, expiry });
    return { publicToken, expiry };
  }

  /** Who a token is valid for. */
  holder(publicToken: string): T | undefined {
    const token = this.#issued.get(publicToken);
    return token === undefined || token.expiry.getTime() <= Date.now() ? undefined : token.holder;
  }
}
