/**
 * Storage, queries, change handlers and re-encryption, in this process: success, and every failure.
 */

import { assertEquals } from "@std/assert";
import { eq, like, sql } from "drizzle-orm";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  type ChangeHandlers,
  type EncryptionKey,
  importEncryptionKey,
  PgExtensionStorage,
  withEncryption,
} from "../../pg/mod.ts";
import { keyStatus, reencrypt } from "../../pg/reencryption.ts";
import { extensionInstanceDdl, lastEventDdl, lastEvents } from "../support/extension_instance.ts";
import { CANARIES, CONTROL, type Evidence } from "./evidence.ts";
import { compareInstances } from "./recovery.ts";
import { deliverWebhooks } from "./webhooks.ts";

const { secret, rotatedSecret, masterPassword, otherMasterPassword, salt } = CANARIES;

const oldKey = buildEncryptionKey(otherMasterPassword, salt);
const key = buildEncryptionKey(masterPassword, salt, { alsoReads: [oldKey] });
const secretColumn = buildEncryptedTextColumn(key);
export const instances = buildExtensionInstanceTable(secretColumn, { note: text() });
const people = pgTable("person", {
  id: integer().primaryKey(),
  phone: secretColumn(),
  label: text(),
});

/** The same table with another key. */
const peopleUnder = (other: EncryptionKey, name = "person") =>
  pgTable(name, { id: integer().primaryKey(), phone: buildEncryptedTextColumn(other)() });

const outage = () => Promise.reject(new Error("the key service is down"));
const failingKey: EncryptionKey = { encrypt: outage, decrypt: outage, isCurrent: outage };

const INSTANCE = {
  extensionInstanceId: "leak-1",
  contextId: CONTROL,
  consentedScopes: ["project:read"],
  secret,
};

type Database = ReturnType<typeof drizzle>;
type Storage = PgExtensionStorage<typeof instances, Database>;

/** Runs everything on an empty database; leaves some values. */
export async function useDatabase(evidence: Evidence, url: string): Promise<void> {
  const client = postgres(url, { max: 3, onnotice: () => {} });
  const logQuery = (query: string, params: unknown[]) =>
    evidence.add("Drizzle's SQL logger", query, JSON.stringify(params));
  const db = drizzle(client, { logger: { logQuery } });
  try {
    // With constraints to violate.
    await client.unsafe(`${extensionInstanceDdl} ${lastEventDdl}
      ALTER TABLE extension_instance ADD note text,
        ADD CONSTRAINT no_refused_variant CHECK (variant_key <> 'refused');
      CREATE TABLE person (id int PRIMARY KEY, phone text, label text)`);
    const storage = new PgExtensionStorage(db, instances, { lastEvents });
    await storeAndRead(evidence, db, storage);
    await failInStorage(evidence, db, storage);
    await failInHandlers(evidence, db);
    await refuseStatements(evidence, db);
    await changeKeys(evidence, db);
    await deliverWebhooks(evidence, storage);
    await compareInstances(evidence, storage);
    evidence.inspect(key, oldKey, storage, instances, people, withEncryption(db), lastEvents);
    evidence.inspect(await db.select().from(people));
    console.log(key, storage, instances, { key, control: CONTROL });
  } finally {
    await client.end();
  }
}

async function storeAndRead(evidence: Evidence, db: Database, storage: Storage): Promise<void> {
  await storage.upsertExtension(INSTANCE);
  assertEquals((await storage.getExtension("leak-1"))?.secret, secret);
  await storage.rotateSecret("leak-1", rotatedSecret);
  await storage.updateExtension({ ...INSTANCE, enabled: false });
  await storage.verify();

  const encrypting = withEncryption(db);
  const insert = encrypting.insert(people).values({ id: 1, phone: secret, label: CONTROL });
  evidence.inspect(insert.toSQL());
  await insert;
  await encrypting.update(people).set({ phone: rotatedSecret }).where(eq(people.id, 1));
  await encrypting.transaction(async (tx) => {
    await tx.insert(people).values({ id: 2, phone: secret });
    await tx.transaction((nested) => nested.insert(people).values({ id: 3, phone: secret }));
  });
  const prepared = encrypting.insert(people)
    .values({ id: sql.placeholder("id"), phone: sql.placeholder("phone") }).prepare("leak");
  await prepared.execute({ id: 4, phone: secret });
}

async function failInStorage(evidence: Evidence, db: Database, storage: Storage): Promise<void> {
  const refused = { ...INSTANCE, variantKey: "refused" };
  await evidence.fails(
    "ERR_STORAGE_FAILED",
    () => storage.upsertExtension(refused),
    () => storage.updateExtension({ ...refused, enabled: true }),
  );
  await storage.upsertExtension({ ...INSTANCE, occurredAt: new Date() });
  const stale = { ...INSTANCE, occurredAt: new Date(Date.now() - 86_400_000) };
  await evidence.fails("ERR_STALE_EVENT", () => storage.upsertExtension(stale));
  await evidence.fails(
    "ERR_UNKNOWN_INSTANCE",
    () => storage.rotateSecret("nobody", secret),
    // No column can store it.
    () => storage.rotateSecret(`leak-${"x".repeat(36)}`, secret),
  );
  await evidence.fails(
    "TypeError",
    () => storage.rotateSecret("leak-1", `${secret}\ud800`),
    () => storage.upsertExtension({ ...INSTANCE, contextId: undefined! }),
    () => buildEncryptionKey(masterPassword, "").encrypt(secret),
    () => buildEncryptionKey("", salt).encrypt(secret),
    () => key.encrypt(`\udc00${secret}`),
  );
  const rawKey = new TextEncoder().encode(masterPassword);
  await evidence.fails("RangeError", () => importEncryptionKey(rawKey));

  const under = (other: EncryptionKey) =>
    new PgExtensionStorage(db, buildExtensionInstanceTable(buildEncryptedTextColumn(other)));
  const wrong = under(buildEncryptionKey(masterPassword, otherMasterPassword));
  const failing = under(failingKey);
  await evidence.fails(
    "ERR_DECRYPTION_FAILED",
    () => wrong.getExtension("leak-1"),
    () => wrong.verify(),
  );
  await evidence.fails(
    "Error",
    () => failing.upsertExtension(INSTANCE),
    () => failing.getExtension("leak-1"),
  );
  await db.execute(
    sql`insert into extension_instance (id, "contextId", active, consented_scopes, secret)
    select 'damaged', "contextId", active, consented_scopes, secret || 'AAAA' from extension_instance
    where id = 'leak-1'`,
  );
  await evidence.fails(
    "ERR_INVALID_CIPHERTEXT",
    () => storage.getExtension("damaged"),
    () => key.decrypt(secret),
  );
  await storage.removeInstance("damaged");

  const missing = buildExtensionInstanceTable(secretColumn, {}, { name: "no_such_table" });
  const onMissing = new PgExtensionStorage(db, missing);
  await evidence.fails(
    "ERR_TABLE_MISSING",
    () => onMissing.upsertExtension(INSTANCE),
    () => onMissing.verify(),
  );
}

async function failInHandlers(evidence: Evidence, db: Database): Promise<void> {
  const storageWith = (on: ChangeHandlers<typeof instances, Database>) =>
    new PgExtensionStorage(db, instances, { lastEvents, on });
  const added = { ...INSTANCE, extensionInstanceId: "handled" };
  const broken = new Error("the handler is broken");
  const failing = storageWith({
    added: () => Promise.reject(broken),
    secretRotated: async ({ instance, tx }) => {
      // Violates the primary key.
      await tx.insert(people).values({ id: 1, phone: instance.secret, label: CONTROL });
    },
    removed: () => {
      throw broken;
    },
  });
  await evidence.fails("ERR_HANDLER_FAILED", () => failing.upsertExtension(added));
  await storageWith({}).upsertExtension(added);
  await evidence.fails(
    "ERR_HANDLER_FAILED",
    () => failing.rotateSecret("handled", rotatedSecret),
    () => failing.removeInstance("handled"),
  );
}

async function refuseStatements(evidence: Evidence, db: Database): Promise<void> {
  const encrypting = withEncryption(db);
  const statements = [
    () => encrypting.select().from(people).where(eq(people.phone, secret)),
    () => encrypting.select().from(people).where(like(people.phone, `${secret}%`)),
    () => encrypting.select({ phone: sql<string>`lower(${people.phone})` }).from(people),
    () => encrypting.select().from(people).orderBy(people.phone),
    () => encrypting.update(people).set({ phone: sql`${secret}` }),
    () => encrypting.update(people).set({ phone: sql`${people.phone} || ${secret}` }),
    () => encrypting.insert(people).values({ id: 9, phone: { secret } as unknown as string }),
    () => encrypting.insert(people).values({ id: 9, phone: `${secret}\ud800` }),
    () => encrypting.delete(people).where(eq(people.phone, secret)),
    // Without withEncryption.
    () => db.insert(people).values({ id: 9, phone: secret }),
    () => db.update(people).set({ phone: secret }),
    async () => String((await db.select().from(people))[0]!.phone),
    async () => JSON.stringify(await db.select().from(people)),
  ];
  await evidence.fails("TypeError", ...statements);
  const again = { id: 1, phone: secret, label: CONTROL };
  await evidence.fails("Error", () => encrypting.insert(people).values(again));
}

async function changeKeys(evidence: Evidence, db: Database): Promise<void> {
  const old = withEncryption(db).insert(peopleUnder(oldKey));
  await old.values({ id: 10, phone: secret });
  await db.execute(sql`insert into person values (11, 'damaged', ${CONTROL})`);
  evidence.inspect(await keyStatus(db, people));
  const report = await reencrypt(db, people);
  assertEquals([report.reencrypted, report.unreadable], [1, [{ id: 11 }]]);
  evidence.inspect(report);

  for (const work of [keyStatus, reencrypt]) {
    const missing = peopleUnder(key, "no_such_person");
    await evidence.fails("ERR_TABLE_MISSING", () => work(db, missing));
    await evidence.fails("Error", () => work(db, peopleUnder(failingKey)));
    await evidence.fails("TypeError", () => work(db, lastEvents));
  }
  // A value that cannot be re-encrypted.
  await old.values({ id: 12, phone: secret });
  await db.execute(sql`alter table person add constraint no_change check (id <> 12) not valid`);
  await evidence.fails("ERR_STORAGE_FAILED", () => reencrypt(db, people));
  await db.execute(sql`alter table person drop constraint no_change`);
}

/** Operations that fail without the server. */
export async function loseDatabase(evidence: Evidence, url: string): Promise<void> {
  const client = postgres(url, { max: 1, connect_timeout: 5, onnotice: () => {} });
  const db = drizzle(client);
  const storage = new PgExtensionStorage(db, instances, { lastEvents });
  await evidence.fails(
    "ERR_STORAGE_FAILED",
    () => storage.upsertExtension(INSTANCE),
    () => storage.rotateSecret("leak-1", secret),
    () => storage.verify(),
    () => keyStatus(db, people),
  );
  await client.end();
}
