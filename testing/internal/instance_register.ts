/**
 * The instances of a simulated mStudio: their states, valid secrets and valid tokens.
 *
 * @module
 */

import { buildEvent, type EventOfKind, type LifecycleEvent } from "../events.ts";
import type { SimulatedSession } from "../session_token.ts";
import { AccessTokens, type IssuedToken } from "./access_tokens.ts";

const USER_TOKEN_LIFETIME_MS = 60_000;

/** An instance. */
export interface Entry {
  /** Its state in the latest event. */
  state: EventOfKind<"InstanceUpdated">;
  readonly createdAt: Date;
  /** Whether its first event was not accepted yet. */
  installing: boolean;
  /** Whether its removal is being delivered or was delivered. */
  removed: "no" | "pending" | "yes";
  /** Whether one of its events was given up, and none was delivered since. */
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
   * Records an event that is about to be delivered.
   *
   * @throws {TypeError} When the instance was removed and the event is not its removal.
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

  /** Records an accepted event: only now does its secret become valid. */
  confirm(event: LifecycleEvent): void {
    const entry = this.#instances.get(event.id);
    if (entry === undefined) return;
    entry.halted = false;
    if (event.kind === "ExtensionAddedToContext") entry.installing = false;
    if (event.kind === "InstanceRemovedFromContext") entry.removed = "yes";
    this.acceptSecret(event);
  }

  /** Makes an event's secret the valid one, after the usual time. */
  acceptSecret(event: LifecycleEvent): void {
    const entry = this.#instances.get(event.id);
    if (!("secret" in event) || entry === undefined || entry.removed !== "no") return;
    if (entry.secret?.value === event.secret) return; // a duplicate
    const validFrom = performance.now() + this.#newSecretRefusedMs;
    entry.secret = { value: event.secret, validFrom };
  }

  /** Records an event that was given up. */
  halt({ id }: LifecycleEvent): void {
    const entry = this.#instances.get(id);
    if (entry !== undefined) entry.halted = true;
  }

  /** Finds an existing instance, including one whose removal is pending. */
  find(id: string): Entry | undefined {
    const entry = this.#instances.get(id);
    return entry?.removed === "yes" ? undefined : entry;
  }

  /** All existing instances, in the order of their first events. */
  *all(): Generator<Entry> {
    for (const entry of this.#instances.values()) if (entry.removed !== "yes") yield entry;
  }

  /** Exchanges a secret for an access token. */
  issueToken(instanceId: string, secret: string): IssuedToken | "unknown" | "refused" {
    const entry = this.#instances.get(instanceId);
    if (entry === undefined || entry.removed !== "no") return "unknown";
    if (entry.secret?.value !== secret || performance.now() < entry.secret.validFrom) {
      return "refused";
    }
    return this.#instanceTokens.issue(instanceId);
  }

  /** Issues an access token for a session's user. */
  issueUserToken(session: SimulatedSession): IssuedToken {
    return this.#userTokens.issue(session);
  }

  /** The instance of a valid token. */
  instanceOfToken(publicToken: string): string | undefined {
    const id = this.#instanceTokens.holder(publicToken);
    return id !== undefined && this.#instances.get(id)?.removed === "no" ? id : undefined;
  }

  /** The session of a user's valid token. */
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
