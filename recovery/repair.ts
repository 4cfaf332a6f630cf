/** Repairs the table. */

import { DecryptionError, HandlerFailedError, StorageError } from "../errors.ts";
import { checkNames } from "../internal/check_options.ts";
import type { RecordedInstance, StorageRecovery } from "../pg/storage_recovery.ts";
import { type Found, Mstudio, REQUESTS_AT_ONCE } from "./internal/mstudio.ts";
import { findOne, isComing } from "./internal/observe.ts";
import {
  type ApiAccess,
  checkAccess,
  checkExtensionId,
  type RecoverableStorage,
} from "./internal/options.ts";
import { clock, forEachOf, pause } from "./internal/waiting.ts";
import { type Comparison, isSameState } from "./report.ts";

const ATTEMPT = "Repairing the table";

/** How often to write a state when events of the running application interfere. */
const TRIES = 5;

/** Upper bound of the age of a delivery in flight: mStudio waits 6 seconds for an answer. */
const UNDER_WAY_MS = 60_000;

/** How long the application may take to store an accepted secret, and the polling interval. */
const STORING_MS = 3_000;
const LOOK_MS = 250;

/**
 * How often to try writing a new secret that exists nowhere else, and the first pause in between.
 */
const WRITES = 6;
const WRITE_PAUSE_MS = 500;

/** More consecutive failures of the storage are an outage. */
const MAX_FAILURES_IN_A_ROW = 10;

/** Progress of {@linkcode repair}. */
export interface RepairProgress {
  /** The present step: repairing the instances' states or their secrets. */
  readonly step: "state" | "secrets";
  /** How many instances are done. */
  readonly done: number;
  /** How many instances there are. */
  readonly total: number;
}

/** Options of {@linkcode repair}. */
export interface RepairOptions extends ApiAccess {
  /** The compared storage, with `lastEvents`. Its handlers (`on`) run for each change. */
  readonly storage: RecoverableStorage;
  /** Called after each instance. */
  readonly onProgress?: ((progress: RepairProgress) => void) | undefined;
}

/** An instance that was not repaired, and the reason. */
export interface UnrepairedInstance {
  /** Id of the instance. */
  readonly id: string;
  /** The reason. */
  readonly reason: string;
}

/** The result of {@linkcode repair}. */
export interface RepairReport {
  /** How many instances were inserted. */
  readonly inserted: number;
  /** How many instances got another state. */
  readonly updated: number;
  /** How many instances were removed. */
  readonly removed: number;
  /** How many instances got a new secret. */
  readonly rotated: number;
  /** Instances skipped because a pending delivery or the running application updates them. */
  readonly left: readonly UnrepairedInstance[];
  /** Instances that could not be repaired. */
  readonly failed: readonly UnrepairedInstance[];
  /** Whether `signal` stopped the repair. */
  readonly aborted: boolean;
}

/**
 * Repairs the differences that a comparison has found: first the instances' states, as mStudio has
 * them now, then their secrets. Exported by `@wais/mitthooks-drizzle/recovery`.
 *
 * - Each instance is fetched from mStudio again. Its state is written only if no event was applied
 *   to it since the table was read, so nothing that the running application stores is undone. If
 *   mStudio has no delivery left for it, earlier events are refused from then on, as after an
 *   event.
 * - An instance that is gone is removed and marked as removed in the table of last events, so no
 *   event restores it.
 * - A missing instance is inserted without a secret.
 * - An instance without a working secret gets a new one by the API's rotation, at most two per
 *   second. mStudio calls the extension's webhook, and the running application stores the secret.
 *   If the webhook does not answer, the secret from the API's answer is stored. If the application
 *   accepts a secret without storing it in this table, the extension's webhooks go elsewhere; from
 *   then on a secret is replaced only if the webhook accepts the new one.
 *
 * Each step is safe to repeat: stop or kill it at any point and run it again, with the same report
 * or a new one. `signal` stops it between two steps; rotations in flight are finished.
 *
 * @param comparison The result of `compareWithMstudio`.
 * @param options Storage and API token.
 * @returns What changed, and what did not.
 * @throws {CompareError} When the API cannot be reached, gives an undocumented answer or refuses
 *   the token.
 * @throws {StorageError} When the database cannot be reached: more than ten instances in a row
 *   failed.
 * @throws {TypeError} When an option is missing, invalid or unknown, or the storage has no
 *   `lastEvents`.
 *
 * @example Compare and repair
 * ```ts
 * import { compareWithMstudio, repair } from "@wais/mitthooks-drizzle/recovery";
 * import type { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
 *
 * export async function recover(storage: PgExtensionStorage, apiToken: string): Promise<void> {
 *   const options = { storage, apiToken };
 *   const comparison = await compareWithMstudio({ ...options, extensionId: "my-extension" });
 *   if (comparison.equal) return;
 *   const { inserted, updated, removed, rotated, left, failed } = await repair(comparison, options);
 *   console.log(inserted, updated, removed, rotated, left.length, failed);
 * }
 * ```
 */
export async function repair(
  comparison: Comparison,
  options: RepairOptions,
): Promise<RepairReport> {
  checkNames(ATTEMPT, options, ["storage", "apiToken", "apiUrl", "fetch", "signal", "onProgress"]);
  checkAccess(options);
  const { storage, apiToken, apiUrl, fetch, signal } = options;
  if (!storage.ordersEvents) {
    throw new TypeError(`${ATTEMPT}: the storage has no table of last events (lastEvents)`);
  }
  const { extensionId } = comparison;
  checkExtensionId(extensionId);
  const repairing = new Repairing(
    storage.recovery,
    new Mstudio({ attempt: ATTEMPT, apiUrl, fetch, apiToken, extensionId, signal }),
    (progress) => options.onProgress?.(progress),
    signal,
  );
  return await repairing.run(comparison);
}

/** A repair in progress. */
class Repairing {
  #inserted = 0;
  #updated = 0;
  #removed = 0;
  #rotated = 0;
  #failuresInARow = 0;
  /** Whether the application stores its deliveries elsewhere. */
  #isElsewhere = false;
  /** Why no further secret is replaced: the application uses an unavailable key. */
  #foreignKey: string | undefined;
  /** The first rotation. Its outcome decides how the others proceed, so they wait for it. */
  #first: Promise<void> | undefined;
  readonly #left: UnrepairedInstance[] = [];
  readonly #failed: UnrepairedInstance[] = [];

  constructor(
    readonly storage: StorageRecovery,
    readonly mstudio: Mstudio,
    readonly progress: (progress: RepairProgress) => void,
    readonly signal: AbortSignal | undefined,
  ) {}

  async run(comparison: Comparison): Promise<RepairReport> {
    const { contributorId, missing, gone, different, unusableSecrets } = comparison;
    const state = [...missing, ...gone, ...different].map(({ id }) => id);
    const secrets = new Set([...missing, ...unusableSecrets].map(({ id }) => id));
    try {
      await this.mstudio.checkContributor(contributorId);
      await this.#each("state", state, (id) => this.#repairState(id));
      await this.#each("secrets", [...secrets], (id) => this.#repairSecret(id));
    } catch (error) {
      if (!this.signal?.aborted) throw error;
    }
    return {
      inserted: this.#inserted,
      updated: this.#updated,
      removed: this.#removed,
      rotated: this.#rotated,
      left: this.#left,
      failed: this.#failed,
      aborted: this.signal?.aborted ?? false,
    };
  }

  async #each(
    step: RepairProgress["step"],
    ids: readonly string[],
    repairOne: (id: string) => Promise<void>,
  ): Promise<void> {
    let done = 0;
    await forEachOf(ids, REQUESTS_AT_ONCE, async (id) => {
      this.signal?.throwIfAborted();
      try {
        await repairOne(id);
        this.#failuresInARow = 0;
      } catch (error) {
        if (!isOfOneInstance(error) || ++this.#failuresInARow > MAX_FAILURES_IN_A_ROW) throw error;
        this.#failed.push({ id, reason: error.message });
      }
      this.progress({ step, done: ++done, total: ids.length });
    });
  }

  /** Writes mStudio's state of an instance; retries while events interfere. */
  async #repairState(id: string): Promise<void> {
    for (let tried = 0; tried < TRIES; tried++) {
      const recorded = await findOne(this.storage, id);
      const found = await this.mstudio.instance(id);
      const { instance } = found;
      if (!instance) return await this.#remove(recorded);
      const isStored = recorded.state !== undefined;
      if (isComing(instance, isStored)) return this.#leave(id, "mStudio is about to deliver it");
      if (isSameState(recorded.state, instance.state)) return;
      if (!await this.storage.adopt(recorded, instance.state, settledBefore(found))) continue;
      if (isStored) this.#updated++;
      else this.#inserted++;
      return;
    }
    this.#leave(id, "the application keeps storing events of it");
  }

  async #remove({ id, state }: RecordedInstance): Promise<void> {
    if (!state) return;
    await this.storage.remove(id);
    this.#removed++;
  }

  /**
   * Rotates the secret of an instance without a working one, and makes sure the new one is stored.
   */
  async #repairSecret(id: string): Promise<void> {
    const recorded = await findOne(this.storage, id);
    if (!recorded.state) return;
    const secret = await this.storage.openSecret(recorded);
    // It may have got one in the meantime.
    if (typeof secret === "string") {
      if (!recorded.state.active || await this.mstudio.accepts(id, secret) !== false) return;
    }
    const { instance } = await this.mstudio.instance(id);
    if (!instance || instance.removing || this.signal?.aborted) return;
    // A pending delivery may bring an older secret, which would overwrite the new one.
    if (!instance.halted && (instance.installing || instance.scheduled)) {
      return this.#leave(id, "mStudio is about to deliver to it");
    }
    if (this.#first === undefined) {
      this.#first = this.#rotate(recorded);
      await this.#first;
    } else {
      await this.#first.catch(() => {});
      await this.#rotate(recorded);
    }
  }

  async #rotate(recorded: RecordedInstance): Promise<void> {
    const { id } = recorded;
    if (this.#foreignKey !== undefined) return this.#leave(id, this.#foreignKey);
    const rotation = await this.mstudio.rotate(id, !this.#isElsewhere);
    if ("status" in rotation) {
      this.#failed.push({
        id,
        reason: `mStudio rotated no secret, it answered with status ${rotation.status}`,
      });
    } else {
      await this.#settle(recorded, rotation.secret, rotation.delivered);
    }
  }

  /** Makes sure that a new secret is stored, by the application or otherwise here. */
  async #settle(before: RecordedInstance, secret: string, delivered: boolean): Promise<void> {
    const { id } = before;
    const patience = clock.now() + (delivered && !this.#isElsewhere ? STORING_MS : 0);
    for (;;) {
      const now = await persist(() => findOne(this.storage, id));
      // Removed in the meantime.
      if (!now.state) return;
      const stored = await persist(async () => await this.storage.openSecret(now));
      if (stored === secret) break;
      if (now.version === before.version && now.sealedSecret === before.sealedSecret) {
        if (clock.now() < patience) {
          await pause(LOOK_MS, undefined);
          continue;
        }
        if (!await persist(() => this.storage.adoptSecret(now, secret))) continue;
        this.#isElsewhere ||= delivered;
        break;
      }
      if (stored === undefined && now.sealedSecret !== before.sealedSecret) {
        this.#foreignKey =
          "the application stores secrets that cannot be read with the available keys";
        this.#failed.push({ id, reason: this.#foreignKey });
        return;
      }
      // The running application stored an even newer secret.
      if (stored !== null && now.sealedSecret !== before.sealedSecret) break;
      // Another event was applied in between; the secret must still be stored.
      if (!await persist(() => this.storage.adoptSecret(now, secret))) continue;
      break;
    }
    this.#rotated++;
  }

  #leave(id: string, reason: string): void {
    this.#left.push({ id, reason });
  }
}

/** Time before which all signed events have been delivered; `undefined` if that is uncertain. */
function settledBefore({ instance, asOf }: Found): Date | undefined {
  const isQuiet = instance && !instance.scheduled && !instance.installing && !instance.halted;
  return isQuiet && asOf ? new Date(asOf.getTime() - UNDER_WAY_MS) : undefined;
}

/** Whether an error concerns one instance only, so that the others can proceed. */
function isOfOneInstance(error: unknown): error is Error {
  return [DecryptionError, HandlerFailedError, StorageError].some((type) => error instanceof type);
}

/** Retries a failed database operation: the secret exists nowhere else. */
async function persist<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tried = 1, pauseMs = WRITE_PAUSE_MS;; tried++, pauseMs *= 2) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof StorageError) || tried === WRITES) throw error;
      await pause(pauseMs, undefined);
    }
  }
}
