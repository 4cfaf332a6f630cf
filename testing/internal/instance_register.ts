/**
 * What a simulated mStudio knows of its instances: which were removed, which secret is valid, which tokens are.
 *
 * @module
 */

import { encodeBase64 } from "../../internal/base64.ts";
import type { LifecycleEvent } from "../events.ts";

interface Entry {
  removed: boolean;
  secret: { readonly value: string; readonly validFrom: number } | undefined;
}

/** An access token as the API hands it out. */
export interface IssuedToken {
  readonly publicToken: string;
  readonly expiry: Date;
}

/** The register of one simulated mStudio. */
export class InstanceRegister {
  readonly #tokenLifetimeMs: number;
  readonly #newSecretRefusedMs: number;
  readonly #instances = new Map<string, Entry>();
  readonly #tokens = new Map<string, { readonly instanceId: string; readonly expiry: Date }>();

  constructor(tokenLifetimeMs: number, newSecretRefusedMs: number) {
    this.#tokenLifetimeMs = tokenLifetimeMs;
    this.#newSecretRefusedMs = newSecretRefusedMs;
  }

  /**
   * Takes note of an event that is about to be delivered.
   *
   * @throws {TypeError} The instance was removed, and the event is not its removal.
   */
  announce({ kind, id }: LifecycleEvent): void {
    const entry = this.#instances.get(id) ?? { removed: false, secret: undefined };
    if (kind === "InstanceRemovedFromContext") {
      entry.removed = true;
      entry.secret = undefined;
    } else if (entry.removed) {
      throw new TypeError(`Delivering ${kind} of instance ${JSON.stringify(id)}: it was removed`);
    }
    this.#instances.set(id, entry);
  }

  /** Takes note of an event that the receiver has answered with success: only then its secret becomes valid. */
  confirm(event: LifecycleEvent): void {
    const entry = this.#instances.get(event.id);
    if (!("secret" in event) || entry === undefined || entry.removed) return;
    if (entry.secret?.value === event.secret) return; // a duplicate
    const validFrom = performance.now() + this.#newSecretRefusedMs;
    entry.secret = { value: event.secret, validFrom };
  }

  /** Exchanges a secret for a token. */
  issueToken(instanceId: string, secret: string): IssuedToken | "unknown" | "refused" {
    const entry = this.#instances.get(instanceId);
    if (entry === undefined || entry.removed) return "unknown";
    if (entry.secret?.value !== secret || performance.now() < entry.secret.validFrom) {
      return "refused";
    }
    this.#dropExpired();
    const publicToken = encodeBase64(crypto.getRandomValues(new Uint8Array(32)));
    const expiry = new Date(Date.now() + this.#tokenLifetimeMs);
    this.#tokens.set(publicToken, { instanceId, expiry });
    return { publicToken, expiry };
  }

  /** The instance that a token is valid for. */
  instanceOfToken(publicToken: string): string | undefined {
    const token = this.#tokens.get(publicToken);
    if (token === undefined || token.expiry.getTime() <= Date.now()) return undefined;
    return this.#instances.get(token.instanceId)?.removed ? undefined : token.instanceId;
  }

  #dropExpired(): void {
    for (const [token, { expiry }] of this.#tokens) {
      if (expiry.getTime() > Date.now()) break; // all live equally long: the rest is younger
      this.#tokens.delete(token);
    }
  }
}
