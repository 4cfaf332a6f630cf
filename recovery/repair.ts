/** Mending the table. */

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

const ATTEMPT = "Mending the table";

/** How often a state is written that events of the running application come before. */
const TRIES = 5;

/** A delivery under way was signed less than so many milliseconds ago: mStudio waits 6 seconds for an answer. */
const UNDER_WAY_MS = 60_000;

/** How long the application may take to store a secret that it has taken, in milliseconds, and how often one looks. */
const STORING_MS = 3_000;
const LOOK_MS = 250;

/** How often a new secret is written that nobody else has, and the first of the pauses in between, in milliseconds. */
const WRITES = 6;
const WRITE_PAUSE_MS = 500;

/** So many failures of a storage one after another are an outage. */
const MAX_FAILURES_IN_A_ROW = 10;

/** How far {@linkcode repair} has come. */
export interface RepairProgress {
  /** What is mended: the state of instances, or their secrets. */
  readonly step: "state" | "secrets";
  /** How many instances have been looked at. */
  readonly done: number;
  /** How many there are to look at. */
  readonly total: number;
}

/** Options of {@linkcode repair}. */
export interface RepairOptions extends ApiAccess {
  /** The storage that was compared, with `lastEvents`. If it has handlers (`on`), they are called for each change. */
  readonly storage: RecoverableStorage;
  /** Called after each instance. */
  readonly onProgress?: ((progress: RepairProgress) => void) | undefined;
}

/** An instance that was not mended, and why. */
export interface UnmendedInstance {
  /** Id of the instance. */
  readonly id: string;
  /** What was found. */
  readonly reason: string;
}

/** What {@linkcode repair} did. */
export interface RepairReport {
  /** How many instances were inserted. */
  readonly inserted: number;
  /** How many have another state. */
  readonly updated: number;
  /** How many were removed. */
  readonly removed: number;
  /** How many have a new secret. */
  readonly rotated: number;
  /** Instances that are left to mStudio, which is about to deliver what mends them, or to the running application. */
  readonly left: readonly UnmendedInstance[];
  /** Instances that could not be mended. */
  readonly failed: readonly UnmendedInstance[];
  /** Whether `signal` ended the work before the end. */
  readonly aborted: boolean;
}

/**
 * Mends what a comparison has found, from `@wais/mitthooks-drizzle/recovery`: first the state of instances, as mStudio
 * has it now; then secrets.
 *
 * - mStudio is asked again about each instance. Its state is written only if no event was applied to the instance since
 *   the table was read, so nothing that the running application stores is undone. Where mStudio has no deliveries
 *   left to make, earlier ones are refused from then on, as they are after an event.
 * - An instance that is gone is removed, and noted as removed in the table of last events: nothing brings it back.
 * - An instance that is missing is inserted without a secret.
 * - An instance without a secret that works gets a new one by the API's rotation, at most two a second. mStudio calls the
 *   extension's webhook; the running application stores the secret. Where nobody answers, it is stored from the API's
 *   answer. Where the application has taken a secret and does not store it in this table, the extension's webhooks go
 *   somewhere else, and from then on no secret is replaced that the webhook has not taken.
 *
 * Each step can be repeated: it can be stopped, or be killed, at any point, and be run again, with the same report or a
 * new one. `signal` ends it between two steps; rotations under way are finished.
 *
 * @param comparison What `compareWithMstudio` found.
 * @param options Storage and API token.
 * @returns What was done.
 * @throws {CompareError} The API cannot be reached or does not answer as documented, or it refuses the token.
 * @throws {StorageError} The database cannot be reached: ten instances in a row failed.
 * @throws {TypeError} An option is missing, unknown or of the wrong type, or the storage has no `lastEvents`.
 *
 * @example Until nothing is left to do
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
  const mending = new Mending(
    storage.recovery,
    new Mstudio({ attempt: ATTEMPT, apiUrl, fetch, apiToken, extensionId, signal }),
    (progress) => options.onProgress?.(progress),
    signal,
  );
  return await mending.run(comparison);
}

/** Repairs under way. */
class Mending {
  #inserted = 0;
  #updated = 0;
  #removed = 0;
  #rotated = 0;
  #failuresInARow = 0;
  /** Whether the application stores somewhere else what mStudio delivers. */
  #isElsewhere = false;
  /** Why no further secret is replaced. */
  #foreignKey: string | undefined;
  /** The first new secret. What becomes of it tells what the others may do, so they wait for it. */
  #first: Promise<void> | undefined;
  readonly #left: UnmendedInstance[] = [];
  readonly #failed: UnmendedInstance[] = [];

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
      await this.#each("state", state, (id) => this.#mendState(id));
      await this.#each("secrets", [...secrets], (id) => this.#mendSecret(id));
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
    mend: (id: string) => Promise<void>,
  ): Promise<void> {
    let done = 0;
    await forEachOf(ids, REQUESTS_AT_ONCE, async (id) => {
      this.signal?.throwIfAborted();
      try {
        await mend(id);
        this.#failuresInARow = 0;
      } catch (error) {
        if (!isOfOneInstance(error) || ++this.#failuresInARow > MAX_FAILURES_IN_A_ROW) throw error;
        this.#failed.push({ id, reason: error.message });
      }
      this.progress({ step, done: ++done, total: ids.length });
    });
  }

  /** Makes the state of an instance that of mStudio, with as many looks as it takes. */
  async #mendState(id: string): Promise<void> {
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

  /** Has a new secret made for an instance that has none that works, and makes sure that it is stored. */
  async #mendSecret(id: string): Promise<void> {
    const recorded = await findOne(this.storage, id);
    if (!recorded.state) return;
    const secret = await this.storage.openSecret(recorded);
    // It may have one by now.
    if (typeof secret === "string") {
      if (!recorded.state.active || await this.mstudio.accepts(id, secret) !== false) return;
    }
    const { instance } = await this.mstudio.instance(id);
    if (!instance || instance.removing || this.signal?.aborted) return;
    // Its secret may be among what comes, and would take the place of a newer one.
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
      this.#failed.push({ id, reason: `mStudio made no secret, it answered ${rotation.status}` });
    } else {
      await this.#settle(recorded, rotation.secret, rotation.delivered);
    }
  }

  /** Makes sure that a new secret is stored: by the application, or else here. */
  async #settle(before: RecordedInstance, secret: string, delivered: boolean): Promise<void> {
    const { id } = before;
    const patience = clock.now() + (delivered && !this.#isElsewhere ? STORING_MS : 0);
    for (;;) {
      const now = await persist(() => findOne(this.storage, id));
      // Removed since.
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
          "the application stores secrets that cannot be read with the keys at hand";
        this.#failed.push({ id, reason: this.#foreignKey });
        return;
      }
      // A still newer secret of the running application.
      if (stored !== null && now.sealedSecret !== before.sealedSecret) break;
      // Another event came in between; the secret is still to be stored.
      if (!await persist(() => this.storage.adoptSecret(now, secret))) continue;
      break;
    }
    this.#rotated++;
  }

  #leave(id: string, reason: string): void {
    this.#left.push({ id, reason });
  }
}

/** Before when everything that mStudio signed has been delivered; `undefined` where that is not certain. */
function settledBefore({ instance, asOf }: Found): Date | undefined {
  const isQuiet = instance && !instance.scheduled && !instance.installing && !instance.halted;
  return isQuiet && asOf ? new Date(asOf.getTime() - UNDER_WAY_MS) : undefined;
}

/** Whether an error is about one instance, so that the others can go on. */
function isOfOneInstance(error: unknown): error is Error {
  return [DecryptionError, HandlerFailedError, StorageError].some((type) => error instanceof type);
}

/** Tries again what a database refused: the secret at hand is nowhere else. */
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
