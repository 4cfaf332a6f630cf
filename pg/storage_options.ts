/** The inputs of `PgExtensionStorage`: instances, times of events, options. */

import type { EventTime, ExtensionToBeAdded, ExtensionToBeUpdated } from "../webhooks/storage.ts";
import type { EncryptedNames } from "./internal/storage/schema_types.ts";
import type { ExtensionInstanceTable, LastEventTable } from "./schema.ts";
import type { EncryptableDatabase } from "./interfaces.ts";

/** A Drizzle PostgreSQL database or transaction of any driver, with or without `withEncryption`. */
export type DbClientWithExtensionInstances = EncryptableDatabase;

/** The kind of an extension instance's context. */
export type ContextKind = "customer" | "project";

/** An added instance as mitthooks passes it, with further fields that mittwald sends. */
export interface ExtensionInstanceToBeAdded extends ExtensionToBeAdded, EventTime {
  /** Default: `project` for a new row; an existing row keeps its context. */
  readonly context?: ContextKind | undefined;
  /** Whether the instance is enabled. Default: `true`. */
  readonly enabled?: boolean | undefined;
}

/** An updated instance as mitthooks passes it, with further fields that mittwald sends. */
export interface ExtensionInstanceToBeUpdated extends ExtensionToBeUpdated, EventTime {
  /** Default: the row keeps its context. */
  readonly context?: ContextKind | undefined;
}

/** The type of a database's transactions. */
export type TransactionOf<TDatabase extends DbClientWithExtensionInstances> =
  Parameters<TDatabase["transaction"]>[0] extends
    (tx: infer TTransaction, ...rest: never[]) => unknown ? TTransaction
    : never;

/** A change of an instance. */
export interface InstanceChange<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> {
  /** The row after the change, with its encrypted columns decrypted. */
  readonly instance: TTable["$inferSelect"];
  /** The transaction that stores the change, wrapped by `withEncryption`. */
  readonly tx: TransactionOf<TDatabase>;
}

/** A change of an existing instance. */
export interface InstanceUpdate<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> extends InstanceChange<TTable, TDatabase> {
  /** The row before the change. */
  readonly before: TTable["$inferSelect"];
}

/** An instance that is about to be removed. */
export interface InstanceRemoval<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> extends Pick<InstanceChange<TTable, TDatabase>, "tx"> {
  /** The row; its encrypted columns are decrypted, or null if they cannot be read. */
  readonly instance: RemovedInstance<TTable>;
  /**
   * The encrypted columns that cannot be read, because they were encrypted with another key or are
   * damaged. The instance is removed nevertheless.
   */
  readonly unreadable: readonly (keyof TTable["$inferSelect"] & string)[];
}

/** The row of an instance that is about to be removed: each encrypted column may be null. */
export type RemovedInstance<TTable extends ExtensionInstanceTable = ExtensionInstanceTable> = {
  [TKey in keyof TTable["$inferSelect"]]:
    | TTable["$inferSelect"][TKey]
    | (TKey extends "secret" | EncryptedNames<TTable> ? null : never);
};

/**
 * Handlers of an application for changes of its instances, called and awaited in the transaction
 * that stores the change. Each is called only if an event, of whatever kind, makes that change:
 * mittwald may deliver an event more than once, and a repeated one changes nothing.
 *
 * If a handler fails, everything is rolled back and the storage rejects with a
 * {@linkcode HandlerFailedError}. After a deadlock or a serialization failure the transaction is
 * retried, so a handler may run more often than its transaction commits: effects outside `tx` may
 * happen more than once. While it runs, the instance's row is locked and a connection is in use, so
 * do not call other services in a handler.
 */
export interface ChangeHandlers<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> {
  /**
   * The instance is new. It has no access token yet: `InstanceTokens` reads the stored secret,
   * which is committed only after the handler, and mittwald accepts it some seconds later.
   */
  readonly added?: ((change: InstanceChange<TTable, TDatabase>) => unknown) | undefined;
  /**
   * Anything but the secret changed: the context, whether it is enabled, the variant, the scopes.
   */
  readonly updated?: ((change: InstanceUpdate<TTable, TDatabase>) => unknown) | undefined;
  /** The secret changed. */
  readonly secretRotated?: ((change: InstanceChange<TTable, TDatabase>) => unknown) | undefined;
  /**
   * The instance is about to be removed. Its row, and the application's rows that reference it,
   * still exist. mittwald has already revoked its secret.
   */
  readonly removed?: ((change: InstanceRemoval<TTable, TDatabase>) => unknown) | undefined;
}

/** The result of `verify` of {@linkcode PgExtensionStorage}. */
export interface StorageHealth {
  /**
   * Whether the storage tracks the order of events. Without the option `lastEvents` it does not:
   * replaying a recorded delivery can restore a removed instance or an old secret.
   */
  readonly ordersEvents: boolean;
}

/** A logger for the storage, for example `console`. */
export interface StorageLogger {
  /** Logs a problem that does not fail the operation. */
  warn(message: string): void;
}

/** Options of {@linkcode PgExtensionStorage}, with or without an order of events. */
export type PgExtensionStorageOptions<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> = OrderedStorageOptions<TTable, TDatabase> | UnorderedStorageOptions;

/** Options of a storage that does not know the order of events. */
export interface UnorderedStorageOptions {
  /**
   * Treatment of updates of unknown instances: reject with an
   * {@linkcode UnknownExtensionInstanceError}, so that mittwald retries, or ignore them. A new
   * secret for an unknown instance is always rejected. Default: `"error"`.
   */
  readonly unknownInstances?: "error" | "ignore" | undefined;
  /**
   * Time limit of an event in milliseconds, including handlers and the wait for other events of its
   * instance. A transaction that takes longer is rolled back, by the server if necessary. Default:
   * 5,000.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Receives failures of Drizzle's cache after an event was stored. The cache then has outdated
   * rows until they expire; the storage itself never reads them. Default: such failures are
   * ignored.
   */
  readonly logger?: StorageLogger | undefined;
  /** Without it, the order of events is not tracked. */
  readonly lastEvents?: undefined;
  /** Needs `lastEvents`. */
  readonly on?: undefined;
}

/** Options of a storage that applies events in order. */
export interface OrderedStorageOptions<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> extends Omit<UnorderedStorageOptions, "lastEvents" | "on"> {
  /**
   * The result of `buildLastEventTable`. With it, an event is applied only if no newer one was, and
   * after a removal only further removals are applied. Without it, a late attempt can overwrite a
   * newer event, and a recorded delivery can be replayed.
   */
  readonly lastEvents: LastEventTable;
  /** Handlers for changes of instances. */
  readonly on?: ChangeHandlers<TTable, TDatabase> | undefined;
}
