/**
 * The four lifecycle events of an extension instance, as mStudio writes them.
 *
 * @module
 */

import { encodeBase64 } from "../internal/base64.ts";

/** What an extension instance is installed in. */
export interface EventContext {
  /** Id of the customer or the project. */
  readonly id: string;
  /** Which of both it is. */
  readonly kind: "customer" | "project";
}

/** What all events have in common. */
export interface EventBase {
  /** Version of the payload's form. */
  readonly apiVersion: string;
  /** Id of the extension instance. */
  readonly id: string;
  /** What the instance is installed in. */
  readonly context: EventContext;
  /** Which extension it is, and who contributes it. */
  readonly meta: {
    /** Id of the extension. */
    readonly extensionId: string;
    /** Id of its contributor. */
    readonly contributorId: string;
  };
  /** The chosen variant; absent where none is chosen. */
  readonly variantKey?: string;
}

/** What the events that tell an instance's whole state have in common. */
export interface EventState {
  /** The scopes that the customer agreed to. */
  readonly consentedScopes: readonly string[];
  /** Whether the instance is switched on. */
  readonly state: {
    /** `false`: switched off. */
    readonly enabled: boolean;
  };
}

/** The extension was added to a customer or a project. */
export interface ExtensionAddedToContextPayload extends EventBase, EventState {
  /** Tells the events apart. */
  readonly kind: "ExtensionAddedToContext";
  /** The instance's first secret. */
  readonly secret: string;
}

/** Scopes, variant or state of an instance changed. */
export interface InstanceUpdatedPayload extends EventBase, EventState {
  /** Tells the events apart. */
  readonly kind: "InstanceUpdated";
}

/** An instance got a new secret; the old one is void. */
export interface SecretRotatedPayload extends EventBase {
  /** Tells the events apart. */
  readonly kind: "SecretRotated";
  /** The new secret. */
  readonly secret: string;
}

/** The extension was removed from a customer or a project. */
export interface InstanceRemovedFromContextPayload extends EventBase, EventState {
  /** Tells the events apart. */
  readonly kind: "InstanceRemovedFromContext";
}

/** Any of the four events, without the part that describes a single HTTP request. */
export type LifecycleEvent =
  | ExtensionAddedToContextPayload
  | InstanceUpdatedPayload
  | SecretRotatedPayload
  | InstanceRemovedFromContextPayload;

/** The kinds of events. */
export type LifecycleKind = LifecycleEvent["kind"];

/** The event of one kind. */
export type EventOfKind<Kind extends LifecycleKind> = Extract<LifecycleEvent, { kind: Kind }>;

/** The fields of an event that can be chosen. What isn't has a valid value, ids and secrets a random one. */
export interface EventFields {
  /** Id of the extension. */
  readonly extensionId?: string | undefined;
  /** Id of the extension's contributor. */
  readonly contributorId?: string | undefined;
  /** Id of the instance. */
  readonly id?: string | undefined;
  /** What the instance is installed in. Default: a project. */
  readonly context?: Partial<EventContext> | undefined;
  /** The scopes that were agreed to. Default: none. */
  readonly consentedScopes?: readonly string[] | undefined;
  /** Whether the instance is switched on. Default: `true`. */
  readonly enabled?: boolean | undefined;
  /** The chosen variant. Default: none. */
  readonly variantKey?: string | undefined;
  /** The secret, in the events that have one. */
  readonly secret?: string | undefined;
}

/**
 * Builds an event.
 *
 * @param kind Which of the four.
 * @param fields What to choose; all else gets a valid value.
 * @returns The event. `SimulatedMstudio` delivers it, or makes a signed request of it.
 * @throws {TypeError} `kind` is none of the four.
 *
 * @example An instance of a customer, switched off
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

/** A secret nobody can guess: 32 random bytes in base64. */
export function randomSecret(): string {
  return encodeBase64(crypto.getRandomValues(new Uint8Array(32)));
}
