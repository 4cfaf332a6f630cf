/** The exchange of one instance's stored secret for an access token, for all who wait for it. */

import { InstanceTokenError, UnknownExtensionInstanceError } from "../../errors.ts";
import { encodeBase64 } from "../../internal/base64.ts";
import { Deadline } from "../../internal/deadline.ts";
import { type AccessToken, requestToken } from "./token_request.ts";

const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 2_000;

/** What is left for the last request at most. */
const MAX_LAST_MS = 250;

/** A secret on its way from the storage to the API. */
export interface StoredSecret {
  readonly secret: string;
  /** Tells secrets apart after they are gone: base64 of their SHA-256 digest. */
  readonly digest: string;
}

/** What an exchange needs. */
export interface ExchangeSettings {
  readonly fetch: typeof globalThis.fetch;
  readonly apiUrl: string;
  readonly timeoutMs: number;
  readonly readSecret: (instanceId: string) => Promise<StoredSecret>;
  readonly refusals: Refusals;
}

/** Since when secrets have been refused. */
export interface Refusals {
  get(instanceId: string): Refusal | undefined;
  set(instanceId: string, refusal: Refusal): void;
  delete(instanceId: string): void;
}

/** Since when a secret has been refused: milliseconds of `performance.now()`. */
export interface Refusal {
  readonly digest: string;
  readonly since: number;
}

/** A token and the secret that it came from. */
export interface Exchanged extends AccessToken {
  readonly digest: string;
  /** When it was asked for, by our clock. */
  readonly requestedAt: number;
}

/** An exchange under way. */
export class Exchange {
  readonly #settings: ExchangeSettings;
  readonly #instanceId: string;
  readonly #startedAt = performance.now();
  #digest: string;
  #refused: InstanceTokenError | undefined;

  /** What comes of it. */
  readonly result: Promise<Exchanged>;

  constructor(settings: ExchangeSettings, instanceId: string, stored: StoredSecret) {
    this.#settings = settings;
    this.#instanceId = instanceId;
    this.#digest = stored.digest;
    this.result = this.#run(stored);
  }

  /** Whether it is about this secret, and can still come to something. */
  serves(digest: string): boolean {
    // On Cloudflare Workers a request dies with the delivery that started it, and then never settles.
    return this.#digest === digest &&
      performance.now() - this.#startedAt < this.#settings.timeoutMs;
  }

  /** The latest answer, where it was that the secret is refused. */
  get refused(): InstanceTokenError | undefined {
    return this.#refused;
  }

  async #run(stored: StoredSecret): Promise<Exchanged> {
    const { fetch, apiUrl, timeoutMs, readSecret, refusals } = this.#settings;
    const id = this.#instanceId;
    const deadline = new Deadline(timeoutMs);
    try {
      let pauseMs = FIRST_PAUSE_MS;
      for (;;) {
        const { secret, digest } = stored;
        this.#digest = digest;
        const requestedAt = Date.now();
        try {
          const token = await requestToken(fetch, apiUrl, id, secret, deadline);
          refusals.delete(id);
          return { ...token, digest, requestedAt };
        } catch (error) {
          if (!isRefusal(error)) throw error;
          this.#refused = error;
          const leftMs = this.#leftMs(digest, deadline);
          if (leftMs <= 0) throw error;
          pauseMs = Math.min(pauseMs, leftMs);
        }
        await deadline.run("Waiting for a new secret to become valid", () => pause(pauseMs));
        stored = await deadline.run("Reading the secret", () => readSecret(id));
        if (stored.digest === digest) {
          pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
        } else {
          pauseMs = FIRST_PAUSE_MS;
          this.#refused = undefined;
        }
      }
    } finally {
      deadline.clear();
    }
  }

  /** A secret that is refused may be too new. One that has been refused for the whole time limit is not. */
  #leftMs(digest: string, deadline: Deadline): number {
    const { refusals, timeoutMs } = this.#settings;
    const now = performance.now();
    let refusal = refusals.get(this.#instanceId);
    if (refusal?.digest !== digest) {
      refusal = { digest, since: now };
      refusals.set(this.#instanceId, refusal);
    }
    const leftMs = Math.min(refusal.since + timeoutMs - now, deadline.remainingMs());
    return leftMs - Math.min(MAX_LAST_MS, timeoutMs / 10);
  }
}

/** The stored secret; the digest is all that is kept of it. */
export async function storedSecret(
  instanceId: string,
  row: { readonly secret: string | null } | null | undefined,
): Promise<StoredSecret> {
  const secret = row?.secret;
  if (!secret) throw new UnknownExtensionInstanceError("Getting an access token", instanceId);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret));
  return { secret, digest: encodeBase64(new Uint8Array(digest)) };
}

function isRefusal(error: unknown): error is InstanceTokenError {
  return error instanceof InstanceTokenError && error.code === "ERR_SECRET_REFUSED";
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
