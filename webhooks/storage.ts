/**
 * What the webhook handler asks of a storage.
 *
 * @module
 */

/** An instance as mitthooks hands it over when it was added. */
export interface ExtensionToBeAdded {
  /** The instance's id. */
  extensionInstanceId: string;
  /** Id of the customer or project that the instance belongs to. */
  contextId: string;
  /** What the extension may do there. */
  consentedScopes: string[];
  /** The instance's secret, in plaintext. */
  secret: string;
  /** The variant of the extension that was chosen, if it has some. */
  variantKey?: string;
}

/** An instance as mitthooks hands it over when it was updated. */
export interface ExtensionToBeUpdated extends Omit<ExtensionToBeAdded, "secret"> {
  /** Whether the instance is enabled. */
  enabled: boolean;
}

/** A storage as mitthooks calls it. */
export interface ExtensionStorage {
  /** Stores a new instance, or the whole new state of one that is stored already. */
  upsertExtension: (extension: ExtensionToBeAdded) => Promise<void> | void;
  /** Stores a new state. */
  updateExtension: (extension: ExtensionToBeUpdated) => Promise<void> | void;
  /** Stores a new secret. */
  rotateSecret: (extensionInstanceId: string, secret: string) => Promise<void> | void;
  /** Removes an instance. */
  removeInstance: (extensionInstanceId: string) => Promise<void> | void;
}

/** When an event occurred. */
export interface EventTime {
  /**
   * The time of the event as mittwald signed it: `request.createdAt`. Without it the time of the call counts: the call
   * is refused if a later one, or an event signed later, was applied before. It moves no signed time, so an event that
   * was signed before the call and arrives after it is applied.
   */
  readonly occurredAt?: Date | undefined;
  /**
   * The id of the request as mittwald signed it: `request.id`. Of two events of the same time it tells a new one, which
   * is applied, from one that was applied before and is played back. Needs `occurredAt`. Missing where the delivery has
   * none.
   */
  readonly requestId?: string | undefined;
}

/** What a delivery says of an instance beyond mitthooks' fields. */
export interface InstanceDetails extends EventTime {
  /** The time of the event, as mittwald signed it. */
  readonly occurredAt: Date;
  /** What the instance belongs to. */
  readonly context: "customer" | "project";
  /** Whether the instance is enabled. */
  readonly enabled: boolean;
}

/**
 * A storage as the webhook handler calls it. Every {@linkcode ExtensionStorage} of mitthooks is one, and ignores what it
 * does not know.
 *
 * @example One that keeps secrets in memory
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
   * Whether what comes late, or is played back, is refused. Where it is `false` the handler says so once, at `warn`, when
   * it is made.
   */
  readonly ordersEvents?: boolean | undefined;
  /** Stores a new instance, or the whole new state of one that is stored already. */
  upsertExtension(extension: ExtensionToBeAdded & InstanceDetails): Promise<void> | void;
  /** Stores a new state. Rejects with an error of the code `ERR_UNKNOWN_INSTANCE` where the instance is not stored. */
  updateExtension(extension: ExtensionToBeUpdated & InstanceDetails): Promise<void> | void;
  /** Stores a new secret. Rejects like `updateExtension`. */
  rotateSecret(
    extensionInstanceId: string,
    secret: string,
    time: Pick<InstanceDetails, "occurredAt" | "requestId">,
  ): Promise<void> | void;
  /** Removes an instance; succeeds where it is not stored. */
  removeInstance(
    extensionInstanceId: string,
    time: Pick<InstanceDetails, "occurredAt" | "requestId">,
  ): Promise<void> | void;
  /**
   * Reads an instance; `undefined` or `null` where it is not stored. With it the handler notices when what says that it
   * is a dry run concerns an instance that is stored.
   */
  getExtension?(extensionInstanceId: string): unknown;
}
