/**
 * Builds and signs the requests of attempts.
 *
 * @module
 */

import type { WireRequest } from "./attempt.ts";
import type { LifecycleEvent } from "../events.ts";
import type { AttemptOptions } from "../faults.ts";
import { dryRunUrl, tampered } from "./faults.ts";
import type { KeyRing } from "./key_ring.ts";
import { generateSigningKey, signatureHeaders, type SigningKey } from "../key_pair.ts";
import type { Settings } from "../options.ts";

/** Builds the requests of one simulated mStudio. */
export class RequestBuilder {
  readonly #settings: Settings;
  readonly #keys: KeyRing;
  #forgersKey: Promise<SigningKey> | undefined;

  constructor(settings: Settings, keys: KeyRing) {
    this.#settings = settings;
    this.#keys = keys;
  }

  /** Builds and signs a request with a new id. */
  async build(event: LifecycleEvent, options: AttemptOptions): Promise<WireRequest> {
    const { dryRun, createdAt, forge, tamper } = options;
    const { url } = this.#settings;
    const request = {
      id: crypto.randomUUID(),
      createdAt: (createdAt ?? new Date()).toISOString(),
      target: { method: "POST", url },
    };
    const body = new TextEncoder().encode(JSON.stringify({ ...event, request }));
    const { current } = this.#keys;
    const key = forge ? await (this.#forgersKey ??= generateSigningKey()) : current;
    return {
      requestId: request.id,
      createdAt: request.createdAt,
      url: dryRun ? dryRunUrl(url, dryRun) : url,
      headers: {
        "Content-Type": "application/json",
        ...signatureHeaders(current.serial, await key.sign(body)),
      },
      body: tamper ? tampered(body) : body,
    };
  }
}
