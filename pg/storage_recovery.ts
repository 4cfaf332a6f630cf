/** What `./recovery` works with: instances as the database has them, and their state as mStudio has it. */

import type { ContextKind } from "./storage_options.ts";

/** The state of an instance: all that mStudio tells of it, but for its secret. */
export interface ComparedState {
  /** Id of the customer or project that it belongs to. */
  readonly contextId: string;
  /** Which of the two. */
  readonly context: ContextKind;
  /** Whether it is enabled. */
  readonly active: boolean;
  /** The booked variant, or `null`. */
  readonly variantKey: string | null;
  /** Scopes that were consented to. */
  readonly consentedScopes: readonly string[];
}

/** The secret of an instance as the database has it. */
export interface RecordedSecret {
  /** Id of the instance. */
  readonly id: string;
  /** The stored secret, encrypted; `null` where there is none. */
  readonly sealedSecret: string | null;
}

/** A decrypted secret; `null` where there is none, `undefined` where it cannot be read with the keys at hand. */
export type OpenedSecret = string | null | undefined;

/** An instance as the database has it. */
export interface RecordedInstance extends RecordedSecret {
  /** `undefined` where it is not stored. */
  readonly state: ComparedState | undefined;
  /** Whether its last event was its removal. */
  readonly removed: boolean;
  /** Tells the events that were applied so far from any later one. Means nothing else. */
  readonly version: string;
}

/**
 * Reads and mends instances past the events of mStudio, see {@linkcode PgExtensionStorage.recovery}. What it writes is
 * written only if no event was applied to the instance since it was read.
 */
export interface StorageRecovery {
  /**
   * Reads the ids and secrets of stored instances, in the order of their ids.
   *
   * @param after The id before the first; `undefined` for the beginning of the table.
   * @param limit How many at most.
   */
  list(after: string | undefined, limit: number): Promise<RecordedSecret[]>;
  /** Reads instances by their ids, those too that are not stored; in the order of the ids. */
  find(ids: readonly string[]): Promise<RecordedInstance[]>;
  /** Of these instances, reads those that are stored with another state, its scopes in another order included, or not at all. */
  findDifferent(
    instances: readonly { readonly id: string; readonly state: ComparedState }[],
  ): Promise<RecordedInstance[]>;
  /** Decrypts a secret. The result is a promise only where something has to be waited for. */
  openSecret(instance: RecordedSecret): OpenedSecret | Promise<OpenedSecret>;
  /**
   * Stores a state. An instance that is not stored is inserted without a secret.
   *
   * @param instance As it was read, before mStudio was asked.
   * @param state What mStudio said.
   * @param settledBefore Events that mStudio signed before this time have all been delivered: one that comes is
   * played back, and refused from now on. Without it, the time of the last event stays what it is.
   * @returns Whether it was stored: no event was applied since.
   */
  adopt(
    instance: RecordedInstance,
    state: ComparedState,
    settledBefore?: Date | undefined,
  ): Promise<boolean>;
  /** Stores a secret. See `adopt`. */
  adoptSecret(instance: RecordedInstance, secret: string): Promise<boolean>;
  /** Removes an instance, and notes it as removed. */
  remove(id: string): Promise<void>;
}
