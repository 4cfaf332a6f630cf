/** The storage's interface for `./recovery`. */

import type { ContextKind } from "./storage_options.ts";

/** The state of an instance in mStudio, without its secret. */
export interface ComparedState {
  /** Id of its customer or project. */
  readonly contextId: string;
  /** Whether that is a customer or a project. */
  readonly context: ContextKind;
  /** Whether it is enabled. */
  readonly active: boolean;
  /** The booked variant, or `null`. */
  readonly variantKey: string | null;
  /** The consented scopes. */
  readonly consentedScopes: readonly string[];
}

/** The secret of an instance in the database. */
export interface RecordedSecret {
  /** The instance's id. */
  readonly id: string;
  /** The encrypted secret; `null` if there is none. */
  readonly sealedSecret: string | null;
}

/** A decrypted secret; `null` if there is none, `undefined` if no available key can read it. */
export type OpenedSecret = string | null | undefined;

/** An instance in the database. */
export interface RecordedInstance extends RecordedSecret {
  /** `undefined` if it is not stored. */
  readonly state: ComparedState | undefined;
  /** Whether its last event was its removal. */
  readonly removed: boolean;
  /** An opaque version, which changes with every applied event. */
  readonly version: string;
}

/**
 * Reads and repairs instances outside mStudio's events, see
 * {@linkcode PgExtensionStorage.recovery}. Writes only if no event was applied to the instance
 * since it was read.
 */
export interface StorageRecovery {
  /**
   * Reads the ids and secrets of stored instances, in the order of their ids.
   *
   * @param after The last id of the previous batch; `undefined` for the start of the table.
   * @param limit The number of instances to read at most.
   */
  list(after: string | undefined, limit: number): Promise<RecordedSecret[]>;
  /** Reads instances by id, in the order of the ids; includes those that are not stored. */
  find(ids: readonly string[]): Promise<RecordedInstance[]>;
  /**
   * Reads those of the given instances that are missing or stored with another state. Scopes in
   * another order count as another state.
   */
  findDifferent(
    instances: readonly { readonly id: string; readonly state: ComparedState }[],
  ): Promise<RecordedInstance[]>;
  /** Decrypts a secret. Returns a promise only if the key is asynchronous. */
  openSecret(instance: RecordedSecret): OpenedSecret | Promise<OpenedSecret>;
  /**
   * Stores a state. A missing instance is inserted without a secret.
   *
   * @param instance The instance as it was read before the request to mStudio.
   * @param state The state in mStudio.
   * @param settledBefore Time before which all signed events have been delivered, so any that
   *   arrives now is a replay and is refused. Default: the time of the last event stays the same.
   * @returns Whether it was stored, that is, no event was applied in the meantime.
   */
  adopt(
    instance: RecordedInstance,
    state: ComparedState,
    settledBefore?: Date | undefined,
  ): Promise<boolean>;
  /** Stores a secret. See `adopt`. */
  adoptSecret(instance: RecordedInstance, secret: string): Promise<boolean>;
  /** Removes an instance and marks it as removed. */
  remove(id: string): Promise<void>;
}
