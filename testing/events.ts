/**
 * Builds the four lifecycle events of an extension instance, as mStudio writes them.
 *
 * @module
 */

import { encodeBase64 } from "../internal/base64.ts";

/** The customer or project of an extension instance. */
export interface EventContext {
  /** Id of the customer or project. */
  readonly id: string;
  /** Whether it is a customer or a project. */
  readonly kind: "customer" | "project";
}

/** The properties of every event. */
export interface EventBase {
  /** Version of the payload's format. */
  readonly apiVersion: string;
  /** The extension instance's id. */
  readonly id: string;
  /** The instance's customer or project. */
  readonly context: EventContext;
  /** The extension and its contributor. */
  readonly meta: {
    /** The extension's id. */
    readonly extensionId: string;
    /** The contributor's id. */
    readonly contributorId: string;
  };
  /** The booked variant; absent if there is none. */
  readonly variantKey?: string;
}

/** The properties of events with an instance's whole state. */
export interface EventState {
  /** The consented scopes. */
  readonly consentedScopes: readonly string[];
  /** The instance's status. */
  readonly state: {
    /** Whether the instance is enabled. */
    readonly enabled: boolean;
  };
}

/** The extension was added to a customer or a project. */
export interface ExtensionAddedToContextPayload extends EventBase, EventState {
  /** The kind of event. */
  readonly kind: "ExtensionAddedToContext";
  /** The instance's first secret. */
  readonly secret: string;
}

/** Scopes, variant or state of an instance changed. */
export interface InstanceUpdatedPayload extends EventBase, EventState {
  /** The kind of event. */
  readonly kind: "InstanceUpdated";
}

/** An instance got a new secret; the old one is no longer valid. */
export interface SecretRotatedPayload extends EventBase {
  /** The kind of event. */
  readonly kind: "SecretRotated";
  /** The new secret. */
  readonly secret: string;
}

/** The extension was removed from a customer or a project. */
export interface InstanceRemovedFromContextPayload extends EventBase, EventState {
  /** The kind of event. */
  readonly kind: "InstanceRemovedFromContext";
}

/** Any of the four events, without the part that describes a single request. */
export type LifecycleEvent =
  | ExtensionAddedToContextPayload
  | InstanceUpdatedPayload
  | SecretRotatedPayload
  | InstanceRemovedFromContextPayload;

/** The kinds of events. */
export type LifecycleKind = LifecycleEvent["kind"];

/** The event of one kind. */
export type EventOfKind<Kind extends LifecycleKind> = Extract<LifecycleEvent, { kind: Kind }>;

/** Fields of an event to set. All have valid defaults; ids and secrets are random. */
export interface EventFields {
  /** The extension's id. */
  readonly extensionId?: string | undefined;
  /** The contributor's id. */
  readonly contributorId?: string | undefined;
  /** The instance's id. */
  readonly id?: string | undefined;
  /** The instance's customer or project. Default: a project. */
  readonly context?: Partial<EventContext> | undefined;
  /** The consented scopes. Default: none. */
  readonly consentedScopes?: readonly string[] | undefined;
  /** Whether the instance is enabled. Default: `true`. */
  readonly enabled?: boolean | undefined;
  /** The booked variant. Default: none. */
  readonly variantKey?: string | undefined;
  /** The secret, for events that have one. */
  readonly secret?: string | undefined;
}

/**
 * Builds an event.
 *
 * @param kind The kind of event.
 * @param fields Fields to set; the others get valid values.
 * @returns The event. `SimulatedMstudio` delivers it, or builds a signed request from it.
 * @throws {TypeError} When `kind` is unknown.
 *
 * @example A disabled instance of a customer
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { buildEvent } from "@wais/mitthooks-drizzle/testing";
 *
 * const event = buildEvent("InstanceUpdated", { context: { kind: "customer" }, enabled: false });
 * assertEquals(event.context.kind, "customer");
 * assertEquals(event.state, { enabled: false });
 * ```
 */
export function buildEvent<Kind extends LifecycleKind>(
  kind: Kind,
  fields: EventFields = {},
): EventOfKind<Kind> {
  return build(kind, fields) as EventOfKind<Kind>;
}

function build(kind: LifecycleKind, fields: EventFields): LifecycleEvent {
  const base = {
    apiVersion: "v1",
    id: fields.id ?? crypto.randomUUID(),
    context: {
      id: fields.context?.id ?? crypto.randomUUID(),
      kind: fields.context?.kind ?? "project",
    },
    meta: {
      extensionId: fields.extensionId ?? crypto.randomUUID(),
      contributorId: fields.contributorId ?? crypto.randomUUID(),
    },
    ...(fields.variantKey === undefined ? {} : { variantKey: fields.variantKey }),
  } as const;
  const state = {
    consentedScopes: [...fields.consentedScopes ?? []],
    state: { enabled: fields.enabled ?? true },
  };
  switch (kind) {
    case "ExtensionAddedToContext":
      return { kind, ...base, ...state, secret: fields.secret ?? randomSecret() };
    case "InstanceUpdated":
    case "InstanceRemovedFromContext":
      return { kind, ...base, ...state };
    case "SecretRotated":
      return { kind, ...base, secret: fields.secret ?? randomSecret() };
    default:
      throw new TypeError(
        `Building an event: there is no kind ${JSON.stringify(kind satisfies never)}`,
      );
  }
}

/** Generates a secret: 32 random bytes in base64. */
export function randomSecret(): string {
  return encodeBase64(crypto.getRandomValues(new Uint8Array(32)));
}
