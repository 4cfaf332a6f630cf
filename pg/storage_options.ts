/** What `PgExtensionStorage` takes: instances, times of events, options. */

import type { EventTime, ExtensionToBeAdded, ExtensionToBeUpdated } from "../webhooks/storage.ts";
import type { EncryptedNames } from "./internal/storage/schema_types.ts";
import type { ExtensionInstanceTable, LastEventTable } from "./schema.ts";
import type { EncryptableDatabase } from "./interfaces.ts";

/**
 * A Drizzle PostgreSQL database, or a transaction of one, of any driver. It need not be wrapped by
 * `withEncryption`.
 */
export type DbClientWithExtensionInstances = EncryptableDatabase;

/** What an extension instance belongs to. */
export type ContextKind = "customer" | "project";

/** An instance as mitthooks hands it over when it was added, and what mittwald sends besides. */
export interface ExtensionInstanceToBeAdded extends ExtensionToBeAdded, EventTime {
  /** Without it a new row gets the table's default, `project`, and an existing one keeps what it has. */
  readonly context?: ContextKind | undefined;
  /** Whether the instance is enabled; `true` without it. */
  readonly enabled?: boolean | undefined;
}

/** An instance as mitthooks hands it over when it was updated, and what mittwald sends besides. */
export interface ExtensionInstanceToBeUpdated extends ExtensionToBeUpdated, EventTime {
  /** Without it the row keeps what it has. */
  readonly context?: ContextKind | undefined;
}

/** The transaction that a database hands to the function that runs in it. */
export type TransactionOf<TDatabase extends DbClientWithExtensionInstances> =
  Parameters<TDatabase["transaction"]>[0] extends
    (tx: infer TTransaction, ...rest: never[]) => unknown ? TTransaction
    : never;

/** A change of an instance. */
export interface InstanceChange<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> {
  /** The row after the change, the removed one for a removal; encrypted columns are decrypted. */
  readonly instance: TTable["$inferSelect"];
  /** The transaction that the change is stored in, wrapped by `withEncryption`. */
  readonly tx: TransactionOf<TDatabase>;
}

/** A change of an instance that was stored before. */
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
  /** The row as it is; encrypted columns are decrypted, those that cannot be read are null. */
  readonly instance: RemovedInstance<TTable>;
  /**
   * The encrypted columns that cannot be read: they were written under another key, or are damaged. That keeps no
   * removal from happening.
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
 * What an application does when its instances change, in the transaction that stores the change. Each is called, and
 * awaited, only if an event makes the change, whichever event that is: mittwald delivers an event more than once, and a
 * repeated one changes nothing.
 *
 * A handler that throws rolls everything back, and the call of the storage rejects with a {@linkcode HandlerFailedError}.
 * After a deadlock or a serialization failure all of it is tried again, so a handler can be called more often than its
 * transaction is committed: what it does elsewhere than through `tx` may happen more than once. While it runs, the
 * instance's row is locked and a connection is in use, so requests to other services do not belong into it.
 */
export interface ChangeHandlers<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> {
  /**
   * The instance was not stored, and now is. There is no access token of it yet: `InstanceTokens` reads the stored secret,
   * and that is committed only after the handler; mittwald takes it some seconds later.
   */
  readonly added?: ((change: InstanceChange<TTable, TDatabase>) => unknown) | undefined;
  /** Something other than the secret differs: the context, whether it is enabled, the variant, the scopes. */
  readonly updated?: ((change: InstanceUpdate<TTable, TDatabase>) => unknown) | undefined;
  /** The secret differs. */
  readonly secretRotated?: ((change: InstanceChange<TTable, TDatabase>) => unknown) | undefined;
  /** The instance is removed. Its row, and rows of the application that reference it, are still there. */
  readonly removed?: ((change: InstanceRemoval<TTable, TDatabase>) => unknown) | undefined;
}

/** What `verify` of {@linkcode PgExtensionStorage} found. */
export interface StorageHealth {
  /**
   * Whether the storage keeps the order of events. Without the option `lastEvents` it does not: a recorded delivery
   * that is played back can bring back a removed instance or an old secret.
   */
  readonly ordersEvents: boolean;
}

/** What the storage tells the operator; `console` is one. */
export interface StorageLogger {
  /** Something went wrong that is no failure of what was asked for. */
  warn(message: string): void;
}

/** Options of {@linkcode PgExtensionStorage}. */
export type PgExtensionStorageOptions<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> =
  & {
    /**
     * What an update of an instance that is not stored does: reject with an
     * {@linkcode UnknownExtensionInstanceError}, so that mittwald delivers it again, or nothing. Default: `"error"`.
     * A new secret for an unknown instance always rejects.
     */
    readonly unknownInstances?: "error" | "ignore" | undefined;
    /**
     * How long an event may take in milliseconds, the wait for others of its instance and handlers included. A
     * transaction that takes longer is rolled back, by the server if need be. Default: 5000.
     */
    readonly timeoutMs?: number | undefined;
    /**
     * Is told if Drizzle's cache fails after an event was stored. Without it, such a failure is ignored: rows in the
     * cache are old until they expire there, and the storage itself never reads them.
     */
    readonly logger?: StorageLogger | undefined;
  }
  & (
    | {
      /**
       * What `buildLastEventTable` built. With it an event is applied only if nothing newer was, and nothing but a
       * removal after a removal. Without it, an attempt that mittwald has given up can be written after a newer one,
       * and a recorded delivery can be played back.
       */
      readonly lastEvents: LastEventTable;
      /** What the application does when instances change. */
      readonly on?: ChangeHandlers<TTable, TDatabase> | undefined;
    }
    | {
      /** See above. */
      readonly lastEvents?: undefined;
      /** Needs `lastEvents`. */
      readonly on?: undefined;
    }
  );
