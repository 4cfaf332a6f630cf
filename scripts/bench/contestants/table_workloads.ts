/**
 * Bulk reads and writes, and a read that has nothing to do with encryption.
 *
 * @module
 */
import type pg from "pg";
import { newStamp, randomNumbers, secretOf } from "./data.ts";
import { Inspection } from "./inspection.ts";
import type { Workload } from "./serve.ts";
import { NOTES } from "./tables.ts";

/** A row of the items. */
export interface Item {
  readonly id: number;
  readonly secret: string;
}

/** What a contestant does. */
export interface TableContestant {
  readonly pool: pg.Pool;
  /** Reads the first so many items, secrets decrypted. */
  readonly select: (rows: number) => Promise<readonly { id: number; secret: string | null }[]>;
  /** Inserts items in one statement, secrets encrypted. */
  readonly insert: (items: Item[]) => Promise<unknown>;
  /** Reads one row without encrypted columns. */
  readonly selectPlain: (id: number) => Promise<readonly unknown[]>;
}

/** Makes the workloads. */
export function tableWorkloads(contestant: TableContestant): Record<string, Workload> {
  const { pool, select, insert, selectPlain } = contestant;
  const inspection = new Inspection(pool);

  const selectOf = (expected: number): Workload => () => ({
    async run() {
      const rows = await select(expected);
      const last = rows.at(-1);
      if (rows.length !== expected || last?.secret !== secretOf(last?.id ?? 0)) {
        throw new Error(`Reading ${expected} items: there are ${rows.length}, or they are wrong`);
      }
    },
  });

  return {
    select100: selectOf(100),
    select10000: selectOf(10_000),
    async insert1000(count) {
      await inspection.clear("inserted");
      const stamp = newStamp();
      const statements = Array.from(
        { length: count },
        (_, statement) =>
          Array.from({ length: 1_000 }, (_, row) => {
            const id = statement * 1_000 + row;
            return { id, secret: secretOf(id, stamp) };
          }),
      );
      return {
        run: (index) => insert(statements[index]!),
        async check() {
          await inspection.count("inserted", count * 1_000);
          await inspection.item(count * 1_000 - 1, secretOf(count * 1_000 - 1, stamp));
        },
      };
    },
    selectPlain(count) {
      const ids = randomNumbers(count, NOTES);
      return {
        async run(index) {
          const rows = await selectPlain(ids[index]!);
          if (rows.length !== 1) throw new Error(`Reading note ${ids[index]}: it is not there`);
        },
      };
    },
  };
}
