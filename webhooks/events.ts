/**
 * The events that mStudio tells an extension of.
 *
 * @module
 */

/** What every event has. */
export interface WebhookEventBase {
  /** The id of the extension instance. */
  readonly id: string;
  /** The id of the extension. */
  readonly extensionId: string;
  /** When the delivery was made, as mStudio signed it. Every attempt of an event can have a time of its own. */
  readonly createdAt: Date;
  /** The id of the delivery, where it has one. It is another one for every attempt. */
  readonly requestId: string | undefined;
}

/** What an instance is, apart from its secret. */
export interface InstanceState {
  /** What the instance belongs to. */
  readonly context: { readonly id: string; readonly kind: "customer" | "project" };
  /** The scopes that were consented to; none, where the delivery has `null` or nothing. */
  readonly consentedScopes: readonly string[];
  /** Whether the instance is enabled; it is where the delivery says nothing of it. */
  readonly enabled: boolean;
  /** The variant that was booked. */
  readonly variantKey: string | null;
}

/** The extension was added to a customer or a project. */
export interface ExtensionAddedToContextEvent extends WebhookEventBase, InstanceState {
  /** Which event it is. */
  readonly kind: "ExtensionAddedToContext";
  /** The secret of the instance. */
  readonly secret: string;
}

/** The state of an instance changed; it has the whole new one. */
export interface InstanceUpdatedEvent extends WebhookEventBase, InstanceState {
  /** Which event it is. */
  readonly kind: "InstanceUpdated";
}

/** An instance has a new secret, and the old one is not valid any more. */
export interface SecretRotatedEvent extends WebhookEventBase {
  /** Which event it is. */
  readonly kind: "SecretRotated";
  /** The new secret. */
  readonly secret: string;
}

/** An instance was removed. Nothing else of the delivery is read. */
export interface InstanceRemovedFromContextEvent extends WebhookEventBase {
  /** Which event it is. */
  readonly kind: "InstanceRemovedFromContext";
}

/**
 * A lifecycle event, read from a verified delivery. `kind` tells which; its names are those of mittwald's reference,
 * also where a delivery has the longer ones (`ExtensionInstanceUpdated`).
 *
 * @example Do something for each kind
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
