/**
 * The lifecycle events that mStudio sends to an extension.
 *
 * @module
 */

/** The properties of every event. */
export interface WebhookEventBase {
  /** The extension instance's id. */
  readonly id: string;
  /** The extension's id. */
  readonly extensionId: string;
  /**
   * When the delivery was made, as mStudio signed it. Each attempt of an event may have its own
   * time.
   */
  readonly createdAt: Date;
  /** The delivery's id, if it has one. Each attempt has another id. */
  readonly requestId: string | undefined;
}

/** The state of an instance, without its secret. */
export interface InstanceState {
  /** The customer or project of the instance. */
  readonly context: { readonly id: string; readonly kind: "customer" | "project" };
  /** The consented scopes; empty if the delivery has `null` or no list. */
  readonly consentedScopes: readonly string[];
  /** Whether the instance is enabled; `true` if the delivery does not say. */
  readonly enabled: boolean;
  /** The booked variant. */
  readonly variantKey: string | null;
}

/** The extension was added to a customer or a project. */
export interface ExtensionAddedToContextEvent extends WebhookEventBase, InstanceState {
  /** The kind of event. */
  readonly kind: "ExtensionAddedToContext";
  /** The instance's secret. */
  readonly secret: string;
}

/** The state of an instance changed. Contains the whole new state. */
export interface InstanceUpdatedEvent extends WebhookEventBase, InstanceState {
  /** The kind of event. */
  readonly kind: "InstanceUpdated";
}

/** An instance has a new secret; the old one is no longer valid. */
export interface SecretRotatedEvent extends WebhookEventBase {
  /** The kind of event. */
  readonly kind: "SecretRotated";
  /** The new secret. */
  readonly secret: string;
}

/** An instance was removed. The rest of the delivery is not read. */
export interface InstanceRemovedFromContextEvent extends WebhookEventBase {
  /** The kind of event. */
  readonly kind: "InstanceRemovedFromContext";
}

/**
 * A lifecycle event of a verified delivery. `kind` has the name from mittwald's reference, even if
 * the delivery uses the longer one (`ExtensionInstanceUpdated`).
 *
 * @example Switch on the kind
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import type { WebhookEvent } from "@wais/mitthooks-drizzle/webhooks";
 *
 * function describe(event: WebhookEvent): string {
 *   switch (event.kind) {
 *     case "ExtensionAddedToContext":
 *     case "InstanceUpdated":
 *       return `${event.context.kind} ${event.context.id}, scopes: ${event.consentedScopes.join(" ")}`;
 *     case "SecretRotated":
 *       return "a new secret";
 *     case "InstanceRemovedFromContext":
 *       return `removed on ${event.createdAt.toISOString()}`;
 *   }
 * }
 *
 * const event: WebhookEvent = {
 *   kind: "InstanceRemovedFromContext",
 *   id: "8f2c",
 *   extensionId: "my-extension",
 *   createdAt: new Date(0),
 *   requestId: undefined,
 * };
 * assertEquals(describe(event), "removed on 1970-01-01T00:00:00.000Z");
 * ```
 */
export type WebhookEvent =
  | ExtensionAddedToContextEvent
  | InstanceUpdatedEvent
  | SecretRotatedEvent
  | InstanceRemovedFromContextEvent;
