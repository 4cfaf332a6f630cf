import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable, type text } from "drizzle-orm/pg-core";
import * as pg from "../../pg/mod.ts";
import { createWebhookHandler, type ExtensionStorage } from "../../webhooks/mod.ts";
import { drizzleQueries, EXTENSION_ID, PASSWORD, SALT } from "./common.ts";
import { start } from "./serve.ts";

const key = pg.buildEncryptionKey(PASSWORD, SALT);
const encryptedText = pg.buildEncryptedTextColumn(key);
const extensionInstances = pg.buildExtensionInstanceTable(encryptedText);
const other = pg.importEncryptionKey(new Uint8Array(32).fill(2), { alsoReads: [key] });
const reencrypted = [pg.buildEncryptionKey(PASSWORD, SALT, { alsoReads: [other] }), other].map(
  (key) => {
    const secret = pg.buildEncryptedTextColumn(key)();
    return pgTable("reencrypted", { id: integer().primaryKey(), secret });
  },
);

await start((pool, publicKey) => {
  const plain = drizzle(pool);
  const db = pg.withEncryption(plain);
  const lastEvents = pg.buildLastEventTable();
  const storage = new pg.PgExtensionStorage(db, extensionInstances);
  const inOrder = new pg.PgExtensionStorage(db, extensionInstances, { lastEvents });
  const publicKeys = { getPublicKey: () => publicKey };
  const handlerOf = (storage: ExtensionStorage) =>
    createWebhookHandler({ storage, extensionId: EXTENSION_ID, publicKeys });
  return {
    handle: handlerOf(storage),
    handleInOrder: handlerOf(inOrder),
    upsert: (instance) => storage.upsertExtension(instance),
    rotate: ({ extensionInstanceId: id, secret }) => storage.rotateSecret(id, secret),
    update: (instance) => storage.updateExtension(instance),
    get: async ({ extensionInstanceId: id }) => (await storage.getExtension(id))?.secret,
    ...drizzleQueries(db, encryptedText as unknown as typeof text),
    async reencrypt() {
      reencrypted.reverse();
      return (await pg.reencrypt(plain, reencrypted[0]!)).reencrypted;
    },
  };
});
