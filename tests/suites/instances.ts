/** Fixtures for the suites about `PgExtensionStorage`, and access to the stored rows. */

import {
  buildExtensionInstanceTable,
  type EncryptedTextColumn,
  PgExtensionStorage,
} from "../../pg/mod.ts";
import {
  encryptionKey,
  extensionInstanceDdl,
  extensionInstances,
  lastEventDdl,
  lastEvents,
} from "../support/extension_instance.ts";
import type { TestContext } from "./suite.ts";

export const ID = "11111111-1111-4111-8111-111111111111";

/** The instance when it is added. */
export const INSTANCE = {
  extensionInstanceId: ID,
  contextId: "p-abc123",
  consentedScopes: ["project:read", 'with "quotes", commas and {braces}'],
  secret: "first",
};

/** An update to the same state. */
export const UPDATE = { ...INSTANCE, enabled: true };

/** A time on the day of the tests; the numbers order events. */
export const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 12, 0, second));

/** Both tables, empty, and storages on them with and without last events. */
export async function openStorages(context: TestContext) {
  const { open, sql } = context;
  await sql(extensionInstanceDdl + lastEventDdl);
  const db = open();
  return {
    ...{ context, open, sql, db },
    unordered: new PgExtensionStorage(db, extensionInstances),
    storage: new PgExtensionStorage(db, extensionInstances, { lastEvents }),
    /** A storage on a table with another column for secrets. */
    storageWith: (secret: EncryptedTextColumn) =>
      new PgExtensionStorage(db, buildExtensionInstanceTable(secret), { lastEvents }),
    /** Context and secret of each instance. */
    async stored() {
      const rows = await sql(`SELECT * FROM extension_instance ORDER BY id`);
      return await Promise.all(
        rows.map(async (row) => [
          row["contextId"],
          await encryptionKey.decrypt(String(row["secret"])),
        ]),
      );
    },
    /** Kind and time of each last event. */
    async noted() {
      const rows = await sql(
        `SELECT kind, extract(epoch FROM created_at)::text AS at
         FROM extension_instance_last_event ORDER BY instance_id`,
      );
      return rows.map(({ kind, at }) => [kind, new Date(Number(at) * 1000)]);
    },
    /** All rows, as text. */
    async dump() {
      return JSON.stringify([
        await sql("SELECT * FROM extension_instance ORDER BY id"),
        await sql("SELECT * FROM extension_instance_last_event ORDER BY instance_id"),
      ]);
    },
  };
}

/** Applies each kind of event to a storage's instance. */
export const events = {
  upsertExtension: (storage: PgExtensionStorage, time: { occurredAt?: Date } = {}) =>
    storage.upsertExtension({ ...INSTANCE, ...time }),
  updateExtension: (storage: PgExtensionStorage, time: { occurredAt?: Date } = {}) =>
    storage.updateExtension({ ...UPDATE, ...time }),
  rotateSecret: (storage: PgExtensionStorage, time: { occurredAt?: Date } = {}) =>
    storage.rotateSecret(ID, "second", time),
  removeInstance: (storage: PgExtensionStorage, time: { occurredAt?: Date } = {}) =>
    storage.removeInstance(ID, time),
};

/** Waits until the clock shows another time. */
export async function nextMillisecond(): Promise<void> {
  const start = Date.now();
  while (Date.now() === start) await new Promise((resolve) => setTimeout(resolve, 1));
}
