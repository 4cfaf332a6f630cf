/** A token that is kept, and how long it may be used. */

import { type AccessToken, lifetimeOf } from "../../internal/access_token.ts";

const MAX_MARGIN_MS = 60_000;

/** A moment, by both clocks of ours. */
export interface Moment {
  /** `Date.now()`: it can be wrong, and be set. */
  readonly wall: number;
  /** `performance.now()`: it cannot be set, and stands still while some machines sleep. */
  readonly monotonic: number;
}

/** Now. */
export function momentNow(): Moment {
  return { wall: Date.now(), monotonic: performance.now() };
}

/** A token, and what tells how long it lives. */
export class KeptToken {
  readonly token: string;
  /** Digest of the secret that it came from. */
  readonly digest: string;
  /** Which of all requests it came from. */
  readonly turn: number;
  readonly #requestedAt: Moment;
  readonly #lifetimeMs: number;

  constructor(access: AccessToken, digest: string, turn: number, requestedAt: Moment) {
    this.token = access.token;
    this.digest = digest;
    this.turn = turn;
    this.#requestedAt = requestedAt;
    this.#lifetimeMs = lifetimeOf(access, requestedAt.wall);
  }

  /** Whether it is not about to expire: a tenth of its lifetime is left, at most a minute. */
  get isUsable(): boolean {
    const lifetimeMs = this.#lifetimeMs;
    return this.#leftMs > Math.min(MAX_MARGIN_MS, lifetimeMs / 10);
  }

  /** When it expires, by our clock as it is now. */
  get expiresAt(): Date {
    return new Date(Date.now() + this.#leftMs);
  }

  /** By the clock that has gone on further. One that was set back tells nothing. */
  get #leftMs(): number {
    const now = momentNow();
    const elapsed = now.wall - this.#requestedAt.wall;
    if (elapsed < 0) return 0;
    return this.#lifetimeMs - Math.max(elapsed, now.monotonic - this.#requestedAt.monotonic);
  }
}
