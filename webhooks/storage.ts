/**
 * The storage interface of the webhook handler.
 *
 * @module
 */

/** An added instance, as mitthooks passes it. */
export interface ExtensionToBeAdded {
  /** The instance's id. */
  extensionInstanceId: string;
  /** Id of the instance's customer or project. */
  contextId: string;
  /** The consented scopes. */
  consentedScopes: string[];
  /** The instance's secret, in plaintext. */
  secret: string;
  /** The booked variant of the extension, if it has variants. */
  variantKey?: string;
}

/** An updated instance, as mitthooks passes it. */
export interface ExtensionToBeUpdated extends Omit<ExtensionToBeAdded, "secret"> {
  /** Whether the instance is enabled. */
  enabled: boolean;
}

/** mitthooks' storage interface. */
export interface ExtensionStorage {
  /** Stores the whole state of an instance, new or existing. */
  upsertExtension: (extension: ExtensionToBeAdded) => Promise<void> | void;
  /** Stores a new state of an existing instance. */
  updateExtension: (extension: ExtensionToBeUpdated) => Promise<void> | void;
  /** Stores a new secret of an existing instance. */
  rotateSecret: (extensionInstanceId: string, secret: string) => Promise<void> | void;
  /** Removes an instance. */
  removeInstance: (extensionInstanceId: string) => Promise<void> | void;
}

/** The time of an event. */
export interface EventTime {
  /**
   * The time at which mittwald signed the event: `request.createdAt`. Default: the time of the
   * call. Such a call is refused if a later call, or an event signed later, was already applied. It
   * does not count as a signed time, so an event that was signed before the call and arrives after
   * it is applied.
   */
  readonly occurredAt?: Date | undefined;
  /**
   * The id of the signed request: `request.id`, if the delivery has one. For events of the same
   * time, it distinguishes a new event, which is applied, from a replayed one. Needs `occurredAt`.
   */
  readonly requestId?: string | undefined;
}

/** The fields of a delivery that mitthooks does not pass. */
export interface InstanceDetails extends EventTime {
  /** The time at which mittwald signed the event. */
  readonly occurredAt: Date;
  /** Whether the instance belongs to a customer or a project. */
  readonly context: "customer" | "project";
  /** Whether the instance is enabled. */
  readonly enabled: boolean;
}

/**
 * The webhook handler's storage interface. Every {@linkcode ExtensionStorage} of mitthooks
 * implements it and ignores the additional fields.
 *
 * @example Store secrets in memory
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import type { WebhookStorage } from "@wais/mitthooks-drizzle/webhooks";
 *
 * const secrets = new Map<string, string>();
 * const storage: WebhookStorage = {
 *   upsertExtension: ({ extensionInstanceId, secret }) => void secrets.set(extensionInstanceId, secret),
 *   updateExtension() {},
 *   rotateSecret: (id, secret) => void secrets.set(id, secret),
 *   removeInstance: (id) => void secrets.delete(id),
 *   getExtension: (id) => secrets.get(id),
 * };
 *
 * await storage.rotateSecret("8f2c", "s3cr3t", { occurredAt: new Date() });
 * assertEquals(secrets.size, 1);
 * ```
 */
export interface WebhookStorage {
  /**
   * Whether the storage refuses late and replayed events. If it is `false`, the handler logs a
   * warning once, when it is created.
   */
  readonly ordersEvents?: boolean | undefined;
  /** Stores the whole state of an instance, new or existing. */
  upsertExtension(extension: ExtensionToBeAdded & InstanceDetails): Promise<void> | void;
  /**
   * Stores a new state. Rejects with the code `ERR_UNKNOWN_INSTANCE` if the instance is not stored.
   */
  updateExtension(extension: ExtensionToBeUpdated & InstanceDetails): Promise<void> | void;
  /** Stores a new secret. Rejects like `updateExtension`. */
  rotateSecret(
    extensionInstanceId: string,
    secret: string,
    time: Pick<InstanceDetails, "occurredAt" | "requestId">,
  ): Promise<void> | void;
  /** Removes an instance; succeeds if it is not stored. */
  removeInstance(
    extensionInstanceId: string,
    time: Pick<InstanceDetails, "occurredAt" | "requestId">,
  ): Promise<void> | void;
  /**
   * Reads an instance; `undefined` or `null` if it is not stored. The handler uses it to refuse dry
   * runs of stored instances.
   */
  getExtension?(extensionInstanceId: string): unknown;
}
