/** What `PgExtensionStorage` does with handlers for changes. */

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  type ChangeHandlers,
  DecryptionError,
  type EncryptionKey,
  HandlerFailedError,
  PgExtensionStorage,
  type PgExtensionStorageOptions,
  StaleEventError,
  StorageError,
  UnknownExtensionInstanceError,
} from "../../pg/mod.ts";
import { encryptionKey, lastEvents } from "../support/extension_instance.ts";
import { events, ID, INSTANCE, openStorages, UPDATE } from "./instances.ts";
import { type AnyDatabase, sqlStateOf, statementLog, suite } from "./suite.ts";

/** The key of the table's secrets, which can be watched and replaced. */
const key = {
  current: encryptionKey as EncryptionKey,
  encrypt: (plaintext: string) => key.current.encrypt(plaintext),
  decrypt: (ciphertext: string) => key.current.decrypt(ciphertext),
};
const secretColumn = buildEncryptedTextColumn(key);
const instances = buildExtensionInstanceTable(secretColumn, {
  note: text(),
  hidden: secretColumn("hidden").$default(() => "made"),
  touched: integer().$onUpdate(() => 7),
});
const sites = pgTable("site", { instanceId: text("instance_id").notNull(), token: secretColumn() });

type Handlers = ChangeHandlers<typeof instances, AnyDatabase>;
interface Seen {
  change: string;
  instance: { secret: string | null };
  before?: unknown;
}

const disable = { ...INSTANCE, enabled: false };
/** What is told about the instance, each a change of what was told before. */
const { upsertExtension: add, rotateSecret: rotate, removeInstance: remove } = events;
const update = (storage: PgExtensionStorage) => storage.updateExtension(disable);
const attempts = [add, update, rotate, remove];

const { cases, test } = suite(async (context) => {
  const { sql, db, dump, open } = await openStorages(context);
  key.current = encryptionKey;
  await sql(`
    ALTER TABLE extension_instance ADD note text, ADD hidden text, ADD touched int;
    CREATE TABLE site (
      instance_id text NOT NULL REFERENCES extension_instance ON DELETE CASCADE, token text
    )`);
  const storageOn = (
    on: Handlers,
    database: AnyDatabase = db,
    options: Partial<PgExtensionStorageOptions> = {},
  ) => new PgExtensionStorage(database, instances, { ...options, lastEvents, on });
  const seen: Seen[] = [];
  const note = (change: string) => ({ tx: _, ...rest }: Omit<Seen, "change"> & { tx: unknown }) => {
    seen.push({ change, ...rest });
  };
  /** Handlers that note what they get, the transaction left out. */
  const watch: Handlers = {
    added: note("added"),
    updated: note("updated"),
    secretRotated: note("secretRotated"),
    removed: note("removed"),
  };
  /** What has been seen since the last call. */
  const names = () => seen.splice(0).map(({ change }) => change);
  const count = async (table: string) => (await sql(`SELECT 1 FROM ${table}`)).length;
  /** How many rows each table has. */
  const counts = async () => [
    await count("extension_instance"),
    await count("extension_instance_last_event"),
    await count("site"),
  ];
  return { sql, db, open, dump, storageOn, storage: storageOn(watch), watch, seen, names, counts };
});
export { cases as changes };

test("each change once, with its rows; what changes nothing calls nothing", async ({ storage, seen, names, counts }) => {
  const read = () => storage.getExtension(ID);
  await storage.upsertExtension({ ...INSTANCE, context: "customer" });
  const first = await read();
  assertEquals(first?.hidden, "made");
  assertEquals<unknown>(seen.splice(0), [{ change: "added", instance: first }]);

  await storage.upsertExtension(INSTANCE);
  await storage.updateExtension(UPDATE);
  await storage.rotateSecret(ID, "first");
  assertEquals(seen, []);

  const before = await read();
  const change = { ...disable, variantKey: "pro", consentedScopes: ["other"] };
  await storage.updateExtension(change);
  const instance = await read();
  await storage.updateExtension(change);
  assertEquals([instance?.secret, instance?.touched], ["first", 7]);
  assertEquals<unknown>(seen.splice(0), [{ change: "updated", before, instance }]);

  await storage.rotateSecret(ID, "second");
  await storage.rotateSecret(ID, "second");
  assertEquals(seen.map(({ instance }) => instance.secret), ["second"]);
  assertEquals(names(), ["secretRotated"]);

  // A repeated addition can make both.
  await storage.upsertExtension({ ...INSTANCE, secret: "third" });
  assertEquals(names(), ["updated", "secretRotated"]);

  const last = await read();
  assertEquals([last?.secret, last?.hidden], ["third", "made"]);
  await storage.removeInstance(ID);
  await storage.removeInstance(ID);
  assertEquals<unknown>(seen, [{ change: "removed", instance: last }]);
  assertEquals((await counts())[0], 0);
});

test("each difference of state is an update, the order of scopes included", async ({ storage, names }) => {
  const state = { ...UPDATE, consentedScopes: ["a", "b"] };
  await storage.upsertExtension(state);
  names();
  const differences = [
    { contextId: "p-other" },
    { context: "customer" },
    { enabled: false },
    { variantKey: "pro" },
    { consentedScopes: ["b", "a"] },
    { consentedScopes: [] },
  ];
  for (const difference of differences) {
    Object.assign(state, difference);
    await storage.updateExtension(state);
    await storage.updateExtension(state);
    assertEquals(names(), ["updated"], JSON.stringify(difference));
  }
});

test("what a handler writes through tx is there once; removed comes before the row goes", async ({ storageOn, sql, counts }) => {
  const removed: unknown[] = [];
  const storage = storageOn({
    added: async ({ instance, tx }) => {
      await tx.insert(sites).values({ instanceId: instance.id, token: instance.secret });
    },
    removed: async ({ instance, tx }) => {
      removed.push(instance.secret, await tx.select().from(sites));
    },
  });
  await storage.upsertExtension(INSTANCE);
  await storage.upsertExtension(INSTANCE);
  assertEquals(await counts(), [1, 1, 1]);
  const [site] = await sql("SELECT token FROM site");
  assertEquals(await encryptionKey.decrypt(String(site!["token"])), "first");
  await storage.rotateSecret(ID, "second");
  await storage.removeInstance(ID);
  assertEquals(removed, ["second", [{ instanceId: ID, token: "first" }]]);
  assertEquals(await counts(), [0, 1, 0]);
});

test("a handler that throws: nothing of it is stored, the next attempt is, once", async ({ storageOn, dump, counts }) => {
  const failure = new Error("the quota is used up");
  let failing = true;
  const write = async ({ tx }: { tx: AnyDatabase }) => {
    await tx.insert(sites).values({ instanceId: ID, token: "t" });
    if (failing) throw failure;
  };
  const storage = storageOn({
    ...{ added: write, updated: write, secretRotated: write, removed: write },
  });
  const everything = async () => [await dump(), await counts()];
  for (const attempt of attempts) {
    const before = await everything();
    failing = true;
    const error = await assertRejects(() => attempt(storage), HandlerFailedError);
    assertEquals([error.code, error.cause], ["ERR_HANDLER_FAILED", failure]);
    assertEquals(await everything(), before);
    failing = false;
    await attempt(storage);
    assertNotEquals(await everything(), before);
  }
  assertEquals((await counts())[0], 0);
});

test("a handler that hides an error of the database: an error all the same", async ({ storageOn, counts }) => {
  const storage = storageOn({
    added: async ({ tx }) => {
      await tx.insert(sites).values({ instanceId: "unheard of" }).catch(() => {});
    },
  });
  await assertRejects(() => storage.upsertExtension(INSTANCE), HandlerFailedError);
  assertEquals(await counts(), [0, 0, 0]);
});

test("stale and unknown: refused as without handlers, which are not called", async ({ storage, storageOn, db, watch, seen, names, counts, dump }) => {
  for (const event of [update, rotate]) {
    await assertRejects(() => event(storage), UnknownExtensionInstanceError);
  }
  await update(storageOn(watch, db, { unknownInstances: "ignore" }));
  assertEquals(await counts(), [0, 0, 0]);
  const now = Date.now();
  const earlier = { occurredAt: new Date(now - 1) };
  await storage.upsertExtension({ ...INSTANCE, occurredAt: new Date(now) });
  names();
  const before = await dump();
  await assertRejects(() => storage.rotateSecret(ID, "old", earlier), StaleEventError);
  assertEquals(await dump(), before);
  await storage.removeInstance(ID, earlier);
  assertEquals(names(), ["removed"]);
  await assertRejects(() => storage.upsertExtension(INSTANCE), StaleEventError);
  await storage.removeInstance("never stored");
  assertEquals(seen, []);
});

test("without a handler for an event there is no transaction, and no further statement", async ({ storageOn, open }) => {
  const { logger, verbs } = statementLog();
  const db = open({ logger });
  const storage = storageOn({ removed: () => {} }, db);
  for (const event of [add, update, rotate]) await event(storage);
  assertEquals(verbs(), ["with", "with", "with"]);
  const others = storageOn({ secretRotated: () => {} }, db);
  for (const event of [update, remove]) await event(others);
  assertEquals(verbs(), ["with", "insert", "delete"]);
});

test("in a transaction of the application: a handler's error rolls back to where it began", async ({ storageOn, db, sql, counts }) => {
  await db.transaction(async (tx) => {
    const storage = storageOn({
      added: async ({ instance, tx: inner }) => {
        await inner.insert(sites).values({ instanceId: instance.id });
        if (instance.contextId === "fails") throw new Error("no");
      },
    }, tx);
    await storage.upsertExtension(INSTANCE);
    const other = { ...INSTANCE, extensionInstanceId: "another", contextId: "fails" };
    await assertRejects(() => storage.upsertExtension(other), HandlerFailedError);
  });
  assertEquals(await sql("SELECT id FROM extension_instance"), [{ id: ID }]);
  assertEquals(await counts(), [1, 1, 1]);
});

test("a stored secret that cannot be read: replaced, but not handed out", async ({ storage, sql, seen, names, dump }) => {
  await add(storage);
  names();
  await sql("UPDATE extension_instance SET secret = 'damaged'");
  const before = await dump();
  for (const event of [remove, update]) {
    await assertRejects(() => event(storage), DecryptionError);
  }
  assertEquals(await dump(), before);
  assertEquals(seen, []);
  await rotate(storage);
  assertEquals(names(), ["secretRotated"]);
  await sql("UPDATE extension_instance SET secret = NULL");
  await add(storage);
  assertEquals(names(), ["secretRotated"]);
});

test("a slow key service holds no lock: all of it is asked before the transaction begins", async ({ storageOn, open, watch }) => {
  const log: string[] = [];
  const noted = (method: "encrypt" | "decrypt") => (text: string) => {
    log.push(method);
    return encryptionKey[method](text);
  };
  const db = open({ logger: { logQuery: (query) => log.push(query.split(" ")[0]!) } });
  const storage = storageOn(watch, db);
  key.current = { encrypt: noted("encrypt"), decrypt: noted("decrypt") };
  const expected = [[add, 2], [rotate, 3], [update, 2], [remove, 2]] as const;
  for (const [attempt, calls] of expected) {
    log.length = 0;
    await attempt(storage);
    // The first row that a transaction writes is that of the last event.
    const begin = log.indexOf("insert");
    const asked = (entry: string) => entry.endsWith("crypt");
    assertEquals(log.slice(0, begin).filter(asked).length, calls);
    assertEquals(log.slice(begin).filter(asked), []);
  }
});

test("a secret that changes after it was decrypted ahead: decrypted again, outside", async ({ storage, storageOn, sql, seen }) => {
  await add(storageOn({}));
  let decryptions = 0;
  const look = async () => {
    // Somebody else writes the same secret under another ciphertext, between reading and locking.
    if (decryptions++ === 0) {
      const again = await encryptionKey.encrypt("second");
      await sql(`UPDATE extension_instance SET secret = '${again}'`);
    }
    // A slow key service must not hold a lock: the row is free.
    await sql("SELECT FROM extension_instance FOR UPDATE NOWAIT");
  };
  // Two columns are decrypted at once, and each look would lock the other one out.
  let looked = Promise.resolve();
  key.current = {
    encrypt: (plaintext) => encryptionKey.encrypt(plaintext),
    async decrypt(ciphertext) {
      await (looked = looked.then(look));
      return await encryptionKey.decrypt(ciphertext);
    },
  };
  await rotate(storage);
  assertEquals(seen, []);
  await remove(storage);
  const found = seen.map(({ change, instance }) => [change, instance.secret]);
  assertEquals(found, [["removed", "second"]]);
});

test("a key that cannot be had: its own error, nothing is stored", async ({ storage, dump }) => {
  await add(storage);
  const before = await dump();
  const outage = new Error("the service is away");
  const fail = () => Promise.reject(outage);
  key.current = { encrypt: fail, decrypt: fail };
  for (const attempt of attempts) {
    assertEquals(await assertRejects(() => attempt(storage)), outage);
  }
  assertEquals(await dump(), before);
});

test("an error of the database in the transaction: StorageError with the driver's error", async ({ storage, sql, counts }) => {
  const upsert = () => storage.upsertExtension({ ...INSTANCE, contextId: "x".repeat(37) });
  const error = await assertRejects(upsert, StorageError);
  assertEquals([error.operation, sqlStateOf(error.cause)], ["upsertExtension", "22001"]);
  assertEquals(await counts(), [0, 0, 0]);
  await sql("DROP TABLE extension_instance_last_event");
  const missing = await assertRejects(() => remove(storage), StorageError);
  assertEquals(missing.code, "ERR_TABLE_MISSING");
});

test("a constraint that is checked at the end of the transaction: StorageError, nothing stored", async ({ storageOn, sql, counts }) => {
  await sql(`
    CREATE TABLE late (id text REFERENCES extension_instance DEFERRABLE INITIALLY DEFERRED)`);
  const late = pgTable("late", { id: text() });
  const storage = storageOn({ added: ({ tx }) => tx.insert(late).values({ id: "unheard of" }) });
  const error = await assertRejects(() => add(storage), StorageError);
  assertEquals([sqlStateOf(error.cause), (await counts())[0]], ["23503", 0]);
});

test("the same event many times at once: added once, rotated once, removed once", async ({ storageOn, watch, names }) => {
  const storages = Array.from({ length: 4 }, () => storageOn(watch));
  const time = { occurredAt: new Date() };
  const changes = [
    [add, "added"],
    [rotate, "secretRotated"],
    [
      (each: typeof storages[number], at: typeof time) =>
        each.updateExtension({ ...disable, ...at }),
      "updated",
    ],
    [remove, "removed"],
  ] as const;
  for (const [event, change] of changes) {
    await Promise.all(storages.map((storage) => event(storage, time)));
    assertEquals(names(), [change]);
  }
});

test("a conflict in a handler is tried again, with the handler; five times in all", async ({ storageOn, sql, counts }) => {
  let calls = 0;
  let conflicts = 2;
  const storage = storageOn({
    added: async ({ tx }) => {
      calls++;
      await tx.insert(sites).values({ instanceId: ID });
      if (conflicts-- > 0) await tx.execute(`DO $$ BEGIN RAISE SQLSTATE '40001'; END $$`);
    },
  });
  await add(storage);
  assertEquals([calls, await counts()], [3, [1, 1, 1]]);
  await sql("DELETE FROM extension_instance");
  [calls, conflicts] = [0, 99];
  const error = await assertRejects(() => add(storage), HandlerFailedError);
  assert(error.cause instanceof Error);
  assertEquals([calls, (await counts())[0]], [5, 0]);
});
