/** A cached token and how long it may be used. */

import { type AccessToken, lifetimeOf } from "../../internal/access_token.ts";

const MAX_MARGIN_MS = 60_000;

/** A moment, by both local clocks. */
export interface Moment {
  /** `Date.now()`: can be wrong, and can be set. */
  readonly wall: number;
  /** `performance.now()`: cannot be set, but stops while some machines sleep. */
  readonly monotonic: number;
}

/** Reads both clocks. */
export function momentNow(): Moment {
  return { wall: Date.now(), monotonic: performance.now() };
}

/** A token and its lifetime. */
export class KeptToken {
  readonly token: string;
  /** Digest of the secret that was exchanged for it. */
  readonly digest: string;
  /** Number of the request that got it. */
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

  /** Whether more than a tenth of its lifetime, or more than a minute, is left. */
  get isUsable(): boolean {
    const lifetimeMs = this.#lifetimeMs;
    return this.#leftMs > Math.min(MAX_MARGIN_MS, lifetimeMs / 10);
  }

  /** When it expires, by the local clock's present setting. */
  get expiresAt(): Date {
    return new Date(Date.now() + this.#leftMs);
  }

  /** By the clock that has advanced further. 0 if the wall clock was set back. */
  get #leftMs(): number {
    const now = momentNow();
    const elapsed = now.wall - this.#requestedAt.wall;
    if (elapsed < 0) return 0;
    return this.#lifetimeMs - Math.max(elapsed, now.monotonic - this.#requestedAt.monotonic);
  }
}
