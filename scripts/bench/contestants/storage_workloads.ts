/**
 * Webhooks and storage calls, for the contestants that have a handler and a storage.
 *
 * @module
 */
import type pg from "pg";
import { instanceOf, newStamp, randomNumbers } from "./data.ts";
import { requestOf, signedDeliveries, type Signer } from "./deliveries.ts";
import { Inspection } from "./inspection.ts";
import type { Workload } from "./serve.ts";

/** What both storages have. */
export interface MeasuredStorage {
  upsertExtension(extension: ReturnType<typeof instanceOf>): Promise<void> | void;
  updateExtension(
    extension: ReturnType<typeof instanceOf> & { enabled: boolean },
  ): Promise<void> | void;
  rotateSecret(id: string, secret: string): Promise<void> | void;
  removeInstance(id: string): Promise<void> | void;
}

/** A contestant with a storage. */
export interface StorageContestant {
  readonly pool: pg.Pool;
  readonly storage: MeasuredStorage;
  readonly signer: Signer;
  readonly handle: (request: Request) => Promise<Response>;
  /** Reads an instance, its secret decrypted. */
  readonly get: (id: string) => Promise<{ secret: string | null } | undefined>;
  /** Instances in the table. */
  readonly instances: number;
  /** The tables that a webhook writes to. */
  readonly tables: readonly string[];
}

/** Makes the workloads. */
export function storageWorkloads(contestant: StorageContestant): Record<string, Workload> {
  const { pool, storage, signer, handle, get, instances, tables } = contestant;
  const inspection = new Inspection(pool);

  /** A call on random instances, and a look at the last of them. */
  const call = (
    run: (instance: ReturnType<typeof instanceOf>) => unknown,
    check: (number: number, stamp: string) => Promise<void>,
  ): Workload =>
  async (count) => {
    await inspection.warm();
    const stamp = newStamp();
    const numbers = randomNumbers(count, instances);
    const given = numbers.map((number) => instanceOf(number, stamp));
    return {
      run: async (index) => await run(given[index]!),
      check: () => check(numbers.at(-1)!, stamp),
    };
  };

  return {
    async webhook(count) {
      await inspection.clear(...tables);
      const stamp = newStamp();
      const deliveries = await signedDeliveries(signer, count, stamp);
      const requests = deliveries.map((delivery) => requestOf(signer, delivery));
      return {
        async run(index) {
          const { status } = await handle(requests[index]!);
          if (status !== 200) throw new Error(`Delivering a webhook: status ${status}`);
        },
        async check() {
          for (const table of tables) await inspection.count(table, count);
          await inspection.secret(count - 1, stamp);
        },
      };
    },
    upsertExtension: call(
      (instance) => storage.upsertExtension(instance),
      (number, stamp) => inspection.secret(number, stamp),
    ),
    rotateSecret: call(
      ({ extensionInstanceId, secret }) => storage.rotateSecret(extensionInstanceId, secret),
      (number, stamp) => inspection.secret(number, stamp),
    ),
    updateExtension: call(
      (instance) => storage.updateExtension({ ...instance, enabled: true }),
      (number, stamp) => inspection.scopes(number, stamp),
    ),
    async getExtension(count) {
      await inspection.warm();
      const given = randomNumbers(count, instances).map((number) => instanceOf(number, ""));
      return {
        async run(index) {
          const { extensionInstanceId, secret } = given[index]!;
          const row = await get(extensionInstanceId);
          // Earlier slices may have written another stamp.
          if (!row?.secret?.endsWith(secret.slice(secret.lastIndexOf("-")))) {
            throw new Error(`Reading instance ${extensionInstanceId}: it has another secret`);
          }
        },
      };
    },
    async removeInstance(count) {
      await inspection.warm();
      // Instances beyond the others, so that the table has its size again afterwards.
      const given = Array.from({ length: count }, (_, index) => instanceOf(instances + index, ""));
      await Promise.all(given.map((instance) => storage.upsertExtension(instance)));
      return {
        run: async (index) => await storage.removeInstance(given[index]!.extensionInstanceId),
        check: () => inspection.count("extension_instance", instances),
      };
    },
  };
}
