/** Compares the table with mStudio. */

import { checkNames } from "../internal/check_options.ts";
import type { RecordedInstance, RecordedSecret, StorageRecovery } from "../pg/storage_recovery.ts";
import type { RemoteInstance, WebhookDelivery } from "./internal/answers.ts";
import { Mstudio, REQUESTS_AT_ONCE } from "./internal/mstudio.ts";
import { differenceOf, findOne, isSameRecord, observe } from "./internal/observe.ts";
import {
  type ApiAccess,
  checkAccess,
  checkExtensionId,
  type RecoverableStorage,
} from "./internal/options.ts";
import { RemoteList } from "./internal/remote_list.ts";
import { clock, forEachOf, pause } from "./internal/waiting.ts";
import type { Comparison, InstanceDifference, UnusableReason, UnusableSecret } from "./report.ts";

const ATTEMPT = "Comparing with mStudio";

/** Rows per read. */
const BATCH_SIZE = 500;

/**
 * Up to this many differences of a page are checked one by one; for more, the page is fetched
 * again.
 */
const FEW = 8;

/** How long a delivery that would resolve a difference may take, in milliseconds. */
const SETTLING_MS = 2_000;

/** How long mittwald may refuse a new secret, in milliseconds. */
const NEW_SECRET_MS = 6_000;

/** Progress of a comparison. */
export interface ComparisonProgress {
  /**
   * The present step: reading mStudio's instances or the table, or checking differences or secrets
   * again.
   */
  readonly step: "instances" | "table" | "differences" | "secrets";
  /** How many of the step's items are done. */
  readonly done: number;
  /** How many items there are, as far as is known. */
  readonly total: number;
}

/** Options of {@linkcode compareWithMstudio}. */
export interface CompareOptions extends ApiAccess {
  /** The storage to compare: a `PgExtensionStorage`. */
  readonly storage: RecoverableStorage;
  /** Id of the extension. */
  readonly extensionId: string;
  /**
   * Whether to exchange every readable secret for an access token, which is discarded: one request
   * per instance. Default: `false`.
   */
  readonly checkSecrets?: boolean | undefined;
  /** Called after each page, batch and checked item. */
  readonly onProgress?: ((progress: ComparisonProgress) => void) | undefined;
}

/**
 * Compares the table of instances with mStudio. Changes nothing on either side. Exported by
 * `@wais/mitthooks-drizzle/recovery`.
 *
 * Reads mStudio's list of instances in pages of 100 and the table in batches, with at most 4
 * concurrent requests. Differences are checked again some seconds later, on both sides at the same
 * moment, so changes made in the meantime do not count. An instance that mStudio has just added or
 * removed, and whose delivery is still pending, does not count either; the delivery is listed as
 * pending. Memory use is about 100 bytes per instance, plus the report.
 *
 * Honours 429 and `Retry-After`. A request without an answer, or with a 5xx, is made up to six
 * times.
 *
 * @param options Storage, extension and API token; whether to check secrets.
 * @returns The differences.
 * @throws {CompareError} When the API cannot be reached, gives an undocumented answer or refuses
 *   the token, or the table belongs to another extension.
 * @throws {StorageError} When the database refuses a statement or cannot be reached.
 * @throws {TypeError} When an option is missing, invalid or unknown.
 * @throws The reason of `signal` when it is aborted.
 *
 * @example Does the table match mStudio?
 * ```ts
 * import { compareWithMstudio } from "@wais/mitthooks-drizzle/recovery";
 * import type { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
 *
 * export async function report(storage: PgExtensionStorage, apiToken: string): Promise<void> {
 *   const { equal, missing, gone, different, unusableSecrets } = await compareWithMstudio({
 *     storage,
 *     extensionId: "my-extension",
 *     apiToken,
 *     onProgress: ({ step, done, total }) => console.log(`${step}: ${done} of ${total}`),
 *   });
 *   console.log(equal, missing.length, gone.length, different.length, unusableSecrets.length);
 * }
 * ```
 */
export async function compareWithMstudio(options: CompareOptions): Promise<Comparison> {
  checkNames(ATTEMPT, options, [
    "storage",
    "extensionId",
    "apiToken",
    "checkSecrets",
    "apiUrl",
    "fetch",
    "signal",
    "onProgress",
  ]);
  const { storage, extensionId, apiToken, checkSecrets = false, apiUrl, fetch, signal } = options;
  checkAccess(options);
  checkExtensionId(extensionId);
  if (typeof checkSecrets !== "boolean") {
    throw new TypeError("Reading the option checkSecrets: it is not a boolean");
  }
  const mstudio = new Mstudio({ attempt: ATTEMPT, apiUrl, fetch, apiToken, extensionId, signal });
  const comparing = new Comparing(storage.recovery, mstudio, checkSecrets, signal, (progress) => {
    options.onProgress?.(progress);
  });
  return { extensionId, ...await comparing.run() };
}

/** A comparison in progress. */
class Comparing {
  readonly #missing: Comparison["missing"][number][] = [];
  readonly #gone: Comparison["gone"][number][] = [];
  readonly #different: Comparison["different"][number][] = [];
  #unusable: UnusableSecret[] = [];
  /** Ids of instances that may differ, by the offset of their page. */
  readonly #doubts = new Map<number, string[]>();
  /** Ids of instances that are only in the table. */
  readonly #strangers: string[] = [];
  /** Secrets that were refused, as they were stored. */
  readonly #refused: RecordedSecret[] = [];
  readonly #list: RemoteList;
  #stored = 0;
  #looked = 0;
  #lastDoubt = -Infinity;

  constructor(
    readonly storage: StorageRecovery,
    readonly mstudio: Mstudio,
    readonly checkSecrets: boolean,
    readonly signal: AbortSignal | undefined,
    readonly progress: (progress: ComparisonProgress) => void,
  ) {
    this.#list = new RemoteList(mstudio, ATTEMPT);
  }

  async run(): Promise<Omit<Comparison, "extensionId">> {
    let contributorId = "";
    await this.#list.read(
      async (first) => {
        contributorId = await this.mstudio.checkContributor(first[0]?.contributorId);
      },
      (instances, skip) => this.#comparePage(instances, skip),
    );
    await this.#readTable();
    await this.#lookAgain();
    await this.#lookAtSecretsAgain();
    await this.#tryAgain();
    const deliveries = await this.#deliveries();
    const [missing, gone, different, unusableSecrets] = [
      this.#missing,
      this.#gone,
      this.#different,
      this.#unusable,
    ];
    for (const list of [missing, gone, different, unusableSecrets]) list.sort(byId);
    return {
      contributorId,
      counts: { mstudio: this.#list.ids.size, stored: this.#stored },
      missing,
      gone,
      different,
      unusableSecrets,
      deliveries,
      equal: missing.length + gone.length + different.length + unusableSecrets.length === 0,
    };
  }

  async #comparePage(instances: readonly RemoteInstance[], skip: number): Promise<void> {
    const remote = new Map(instances.map((instance) => [instance.id, instance]));
    const doubts = (await this.storage.findDifferent(instances))
      .filter((recorded) => differenceOf(recorded, remote.get(recorded.id)))
      .map(({ id }) => id);
    if (doubts.length > 0) {
      this.#doubts.set(skip, [...this.#doubts.get(skip) ?? [], ...doubts]);
      this.#lastDoubt = clock.now();
    }
    const { ids, total } = this.#list;
    this.progress({ step: "instances", done: ids.size, total });
  }

  async #readTable(): Promise<void> {
    let after: string | undefined;
    for (;;) {
      this.signal?.throwIfAborted();
      const batch = await this.storage.list(after, BATCH_SIZE);
      const known: RecordedSecret[] = [];
      for (const instance of batch) {
        if (this.#list.ids.has(instance.id)) known.push(instance);
        else this.#strangers.push(instance.id);
      }
      if (this.#strangers.length > 0) this.#lastDoubt = clock.now();
      await this.#checkSecrets(known);
      this.#stored += batch.length;
      const done = this.#stored;
      this.progress({ step: "table", done, total: Math.max(done, this.#list.total) });
      if (batch.length < BATCH_SIZE) return;
      after = batch.at(-1)!.id;
    }
  }

  async #checkSecrets(instances: readonly RecordedSecret[]): Promise<void> {
    const secrets = await Promise.all(instances.map((one) => this.storage.openSecret(one)));
    const readable: (readonly [RecordedSecret, string])[] = [];
    for (const [index, instance] of instances.entries()) {
      const secret = secrets[index];
      if (typeof secret === "string") readable.push([instance, secret]);
      else this.#report(instance.id, secret === null ? "missing" : "unreadable");
    }
    if (!this.checkSecrets) return;
    await forEachOf(readable, REQUESTS_AT_ONCE, async ([instance, secret]) => {
      if (await this.mstudio.accepts(instance.id, secret) === false) this.#refused.push(instance);
    });
  }

  #report(id: string, reason: UnusableReason): void {
    this.#unusable.push({ id, reason });
  }

  /** Checks possible differences again, once deliveries in flight have arrived. */
  async #lookAgain(): Promise<void> {
    const total = [...this.#doubts.values()].reduce((sum, ids) => sum + ids.length, 0) +
      this.#strangers.length;
    if (total === 0) return;
    const leftMs = this.#lastDoubt + SETTLING_MS - clock.now();
    if (leftMs > 0) await pause(leftMs, this.signal);
    const seen = (count: number) => {
      this.#looked += count;
      this.progress({ step: "differences", done: this.#looked, total });
    };
    await forEachOf(this.#doubts, REQUESTS_AT_ONCE, async ([skip, ids]) => {
      const left = ids.length > FEW ? await this.#lookAtPage(skip, ids) : ids;
      seen(ids.length - left.length);
      for (const id of left) {
        await this.#lookAt(id);
        seen(1);
      }
    });
    await forEachOf(this.#strangers, REQUESTS_AT_ONCE, async (id) => {
      await this.#lookAt(id);
      seen(1);
    });
  }

  /** Checks instances of a page; resolves to those that left it or changed in the meantime. */
  async #lookAtPage(skip: number, ids: readonly string[]): Promise<string[]> {
    const before = await this.#find(ids);
    const page = new Map((await this.#list.page(skip)).map((instance) => [instance.id, instance]));
    const after = await this.#find(ids);
    return ids.filter((id) => {
      const remote = page.get(id);
      const recorded = before.get(id)!;
      if (!remote || !isSameRecord(recorded, after.get(id))) return true;
      this.#note(recorded, remote);
      return false;
    });
  }

  async #lookAt(id: string): Promise<void> {
    const observation = await observe(this.storage, this.mstudio, id);
    // The running application keeps storing events, so the instance is being updated already.
    if (!observation) return;
    const { recorded, instance } = observation;
    this.#note(recorded, instance);
    // It joined mStudio's list after the table was read.
    if (instance && recorded.state && !this.#list.ids.has(id)) await this.#checkSecrets([recorded]);
  }

  #note(recorded: RecordedInstance, remote: RemoteInstance | undefined): void {
    const { id, state: stored } = recorded;
    const mstudio = remote?.state;
    switch (differenceOf(recorded, remote)) {
      case "missing":
        return void this.#missing.push({ id, mstudio: mstudio! });
      case "gone":
        return void this.#gone.push({ id, stored: stored! });
      case "different":
        return void this.#different.push({ id, mstudio: mstudio!, stored: stored! });
    }
  }

  /** Drops instances that were removed or got a secret since the table was read. */
  async #lookAtSecretsAgain(): Promise<void> {
    const found = this.#unusable;
    this.#unusable = [];
    for (let start = 0; start < found.length; start += BATCH_SIZE) {
      this.signal?.throwIfAborted();
      const ids = found.slice(start, start + BATCH_SIZE).map(({ id }) => id);
      const stored = (await this.storage.find(ids)).filter(({ state }) => state !== undefined);
      await this.#checkSecrets(stored);
    }
  }

  /** Retries refused secrets, which may have been too new. */
  async #tryAgain(): Promise<void> {
    const total = this.#refused.length;
    if (total === 0) return;
    await pause(NEW_SECRET_MS, this.signal);
    let done = 0;
    await forEachOf(this.#refused, REQUESTS_AT_ONCE, async (refused) => {
      let recorded = await findOne(this.storage, refused.id);
      // A secret stored since then is even newer.
      if (recorded.sealedSecret !== refused.sealedSecret) {
        await pause(NEW_SECRET_MS, this.signal);
        recorded = await findOne(this.storage, refused.id);
      }
      const secret = recorded.state ? await this.storage.openSecret(recorded) : null;
      const isRefused = typeof secret === "string" &&
        await this.mstudio.accepts(refused.id, secret) === false;
      // mittwald refuses every secret of a disabled instance, even if the table has it as active.
      const isActive = isRefused &&
        (await this.mstudio.instance(refused.id)).instance?.state.active;
      if (isActive) this.#report(refused.id, "refused");
      this.progress({ step: "secrets", done: ++done, total });
    });
  }

  async #deliveries(): Promise<Comparison["deliveries"]> {
    const pending: WebhookDelivery[] = [];
    const halted: WebhookDelivery[] = [];
    for (const state of ["running", "queued", "failed", "halted"]) {
      for await (const delivery of this.mstudio.deliveries(state)) {
        if (state === "halted") halted.push(delivery);
        // A failed delivery without a next time is not retried.
        else if (state !== "failed" || delivery.nextAt !== undefined) pending.push(delivery);
      }
    }
    return { pending, halted };
  }

  async #find(ids: readonly string[]): Promise<Map<string, RecordedInstance>> {
    return new Map((await this.storage.find(ids)).map((recorded) => [recorded.id, recorded]));
  }
}

function byId(one: InstanceDifference | UnusableSecret, other: { readonly id: string }): number {
  return one.id < other.id ? -1 : 1;
}
