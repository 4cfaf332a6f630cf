/**
 * What a simulated mStudio knows of its instances: their state, which secret is valid, which tokens are.
 *
 * @module
 */

import { buildEvent, type EventOfKind, type LifecycleEvent } from "../events.ts";
import type { SimulatedSession } from "../session_token.ts";
import { AccessTokens, type IssuedToken } from "./access_tokens.ts";

const USER_TOKEN_LIFETIME_MS = 60_000;

/** An instance. */
export interface Entry {
  /** Its state, as the latest event tells it. */
  state: EventOfKind<"InstanceUpdated">;
  readonly createdAt: Date;
  /** Whether the receiver has not heard of it yet. */
  installing: boolean;
  /** Whether its removal is being delivered, or was. */
  removed: "no" | "pending" | "yes";
  /** Whether an event of it was given up, and none was delivered since. */
  halted: boolean;
  secret: { readonly value: string; readonly validFrom: number } | undefined;
}

/** The register of one simulated mStudio. */
export class InstanceRegister {
  readonly #newSecretRefusedMs: number;
  readonly #instances = new Map<string, Entry>();
  readonly #instanceTokens: AccessTokens<string>;
  readonly #userTokens = new AccessTokens<SimulatedSession>(USER_TOKEN_LIFETIME_MS);

  constructor(tokenLifetimeMs: number, newSecretRefusedMs: number) {
    this.#instanceTokens = new AccessTokens(tokenLifetimeMs);
    this.#newSecretRefusedMs = newSecretRefusedMs;
  }

  /**
   * Takes note of an event that is about to be delivered.
   *
   * @throws {TypeError} The instance was removed, and the event is not its removal.
   */
  announce(event: LifecycleEvent): void {
    const { kind, id } = event;
    let entry = this.#instances.get(id);
    if (entry === undefined) {
      entry = {
        state: stateOf(event),
        createdAt: new Date(),
        installing: kind === "ExtensionAddedToContext",
        removed: "no",
        halted: false,
        secret: undefined,
      };
      this.#instances.set(id, entry);
    }
    if (kind === "InstanceRemovedFromContext") {
      if (entry.removed === "no") entry.removed = "pending";
      entry.secret = undefined;
    } else if (entry.removed !== "no") {
      throw new TypeError(`Delivering ${kind} of instance ${JSON.stringify(id)}: it was removed`);
    } else if (kind !== "SecretRotated") {
      entry.state = stateOf(event);
    }
  }

  /** Takes note of an event that the receiver has answered with success: only then its secret becomes valid. */
  confirm(event: LifecycleEvent): void {
    const entry = this.#instances.get(event.id);
    if (entry === undefined) return;
    entry.halted = false;
    if (event.kind === "ExtensionAddedToContext") entry.installing = false;
    if (event.kind === "InstanceRemovedFromContext") entry.removed = "yes";
    this.acceptSecret(event);
  }

  /** The secret of an event becomes the valid one, after the usual time. */
  acceptSecret(event: LifecycleEvent): void {
    const entry = this.#instances.get(event.id);
    if (!("secret" in event) || entry === undefined || entry.removed !== "no") return;
    if (entry.secret?.value === event.secret) return; // a duplicate
    const validFrom = performance.now() + this.#newSecretRefusedMs;
    entry.secret = { value: event.secret, validFrom };
  }

  /** Takes note of an event that was given up. */
  halt({ id }: LifecycleEvent): void {
    const entry = this.#instances.get(id);
    if (entry !== undefined) entry.halted = true;
  }

  /** An instance that is there, its removal being delivered or not. */
  find(id: string): Entry | undefined {
    const entry = this.#instances.get(id);
    return entry?.removed === "yes" ? undefined : entry;
  }

  /** All that are there, in the order in which they came. */
  *all(): Generator<Entry> {
    for (const entry of this.#instances.values()) if (entry.removed !== "yes") yield entry;
  }

  /** Exchanges a secret for a token. */
  issueToken(instanceId: string, secret: string): IssuedToken | "unknown" | "refused" {
    const entry = this.#instances.get(instanceId);
    if (entry === undefined || entry.removed !== "no") return "unknown";
    if (entry.secret?.value !== secret || performance.now() < entry.secret.validFrom) {
      return "refused";
    }
    return this.#instanceTokens.issue(instanceId);
  }

  /** Hands out a token for the user of a session. */
  issueUserToken(session: SimulatedSession): IssuedToken {
    return this.#userTokens.issue(session);
  }

  /** The instance that a token is valid for. */
  instanceOfToken(publicToken: string): string | undefined {
    const id = this.#instanceTokens.holder(publicToken);
    return id !== undefined && this.#instances.get(id)?.removed === "no" ? id : undefined;
  }

  /** The session whose user a token is valid for. */
  sessionOfToken(publicToken: string): SimulatedSession | undefined {
    const session = this.#userTokens.holder(publicToken);
    const id = session?.extensionInstanceId;
    return id !== undefined && this.#instances.get(id)?.removed === "no" ? session : undefined;
  }
}

function stateOf(event: LifecycleEvent): Entry["state"] {
  const { id, context, meta, variantKey } = event;
  const { consentedScopes, state } = { consentedScopes: [], state: undefined, ...event };
  return buildEvent("InstanceUpdated", {
    ...meta,
    id,
    context,
    consentedScopes,
    enabled: state?.enabled,
    variantKey,
  });
}
