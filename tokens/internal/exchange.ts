/** Exchanges one instance's stored secret for an access token, for all concurrent callers. */

import { InstanceTokenError, UnknownExtensionInstanceError } from "../../errors.ts";
import type { MittwaldApi } from "../../internal/api_request.ts";
import { Deadline } from "../../internal/deadline.ts";
import { sha256 } from "../../internal/sha256.ts";
import { KeptToken, momentNow } from "./kept_token.ts";
import { requestToken } from "./token_request.ts";

const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 2_000;

/** Upper bound of the time reserved for the last request. */
const MAX_LAST_MS = 250;

/** An instance as the storage returns it; absent properties are unknown. */
export interface StoredInstance {
  readonly secret: string | null;
  readonly active?: boolean | undefined;
  readonly createdAt?: Date | undefined;
}

/** A secret that was read from the storage. */
export interface StoredSecret {
  readonly secret: string;
  /** SHA-256 of the secret in base64: compares secrets without keeping them. */
  readonly digest: string;
  /** When the instance was first stored, if known. */
  readonly createdAt: Date | undefined;
}

/** What an exchange needs. */
export interface ExchangeSettings {
  readonly api: MittwaldApi;
  readonly timeoutMs: number;
  readonly readSecret: (instanceId: string) => Promise<StoredSecret>;
  /** Returns the next number in the order of calls and requests. */
  readonly nextTurn: () => number;
  readonly refusals: Refusals;
}

/** The first refusals of secrets, by instance. */
export interface Refusals {
  get(instanceId: string): Refusal | undefined;
  set(instanceId: string, refusal: Refusal): void;
  delete(instanceId: string): void;
}

/** The first refusal of a secret; `since` by `performance.now()`. */
export interface Refusal {
  readonly digest: string;
  readonly since: number;
}

/** An exchange in flight. */
export class Exchange {
  readonly #settings: ExchangeSettings;
  readonly #instanceId: string;
  readonly #startedAt = performance.now();
  #digest: string;
  #latest: Error | undefined;

  /** The outcome. */
  readonly result: Promise<KeptToken>;

  constructor(settings: ExchangeSettings, instanceId: string, stored: StoredSecret) {
    this.#settings = settings;
    this.#instanceId = instanceId;
    this.#digest = stored.digest;
    this.result = this.#run(stored);
  }

  /** Whether it exchanges this secret and can still succeed. */
  serves(digest: string): boolean {
    // On Cloudflare Workers a request dies with the delivery that started it and never settles.
    return this.#digest === digest &&
      performance.now() - this.#startedAt < this.#settings.timeoutMs;
  }

  /** The API's latest refusal. */
  get latest(): Error | undefined {
    return this.#latest;
  }

  async #run(stored: StoredSecret): Promise<KeptToken> {
    const { api, timeoutMs, readSecret, nextTurn, refusals } = this.#settings;
    const id = this.#instanceId;
    const deadline = new Deadline(timeoutMs);
    try {
      let pauseMs = FIRST_PAUSE_MS;
      for (;;) {
        const { secret, digest } = stored;
        this.#digest = digest;
        const [requestedAt, turn] = [momentNow(), nextTurn()];
        let waitMs: number;
        try {
          const access = await requestToken(api, id, secret, deadline);
          refusals.delete(id);
          return new KeptToken(access, digest, turn, requestedAt);
        } catch (error) {
          const [leftMs, { pausedMs }] = [this.#leftMs(error, stored, deadline), api];
          if (leftMs <= 0 || pausedMs > leftMs) throw error;
          this.#latest = error as Error;
          // Jitter: after a pause, all waiting callers would send their requests at once.
          waitMs = pausedMs > 0
            ? pausedMs + Math.random() * Math.min(pauseMs, leftMs - pausedMs)
            : Math.min(pauseMs, leftMs);
        }
        await deadline.run("Waiting for an access token", () => pause(waitMs));
        stored = await deadline.run("Reading the secret", () => readSecret(id));
        if (stored.digest === digest) {
          pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
        } else {
          pauseMs = FIRST_PAUSE_MS;
          this.#latest = undefined;
        }
      }
    } finally {
      deadline.clear();
    }
  }

  /** How long retrying makes sense after an error, in milliseconds. */
  #leftMs(error: unknown, stored: StoredSecret, deadline: Deadline): number {
    const { api, timeoutMs } = this.#settings;
    const lastMs = Math.min(MAX_LAST_MS, timeoutMs / 10);
    if (api.pausedMs > 0) return deadline.remainingMs() - lastMs;
    if (!isTooNew(error, stored, timeoutMs)) return 0;
    // A secret that was refused for the whole grace period is wrong, not too new.
    const refusedMs = performance.now() - this.#refusedSince(stored.digest);
    return Math.min(timeoutMs - refusedMs, deadline.remainingMs()) - lastMs;
  }

  #refusedSince(digest: string): number {
    const { refusals } = this.#settings;
    const before = refusals.get(this.#instanceId);
    if (before?.digest === digest) return before.since;
    const since = performance.now();
    refusals.set(this.#instanceId, { digest, since });
    return since;
  }
}

/** Whether the secret or the instance may be too new for the API. */
function isTooNew(error: unknown, { createdAt }: StoredSecret, timeoutMs: number): boolean {
  if (error instanceof UnknownExtensionInstanceError) {
    // NaN if the storage does not return it.
    return Date.now() - Number(createdAt) < timeoutMs;
  }
  return error instanceof InstanceTokenError && error.code === "ERR_SECRET_REFUSED";
}

/** Reads the secret of a stored row, with its digest. */
export async function storedSecret(
  instanceId: string,
  row: StoredInstance | null | undefined,
): Promise<StoredSecret> {
  if (row?.active === false) {
    throw new InstanceTokenError(
      "ERR_INSTANCE_INACTIVE",
      instanceId,
      "the instance is disabled, and mittwald accepts none of its tokens",
    );
  }
  const secret = row?.secret;
  if (!secret) throw new UnknownExtensionInstanceError("Getting an access token", instanceId);
  return { secret, digest: await sha256(secret), createdAt: row.createdAt };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
