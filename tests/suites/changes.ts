/** Handlers for changes of `PgExtensionStorage`. */

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { sql } from "drizzle-orm";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  type ChangeHandlers,
  DeadlineExceededError,
  DecryptionError,
  type EncryptionKey,
  HandlerFailedError,
  importEncryptionKey,
  PgExtensionStorage,
  type PgExtensionStorageOptions,
  StaleEventError,
  StorageError,
  UnknownExtensionInstanceError,
} from "../../pg/mod.ts";
import { encryptionKey, extensionInstances, lastEvents } from "../support/extension_instance.ts";
import { events, ID, INSTANCE, openStorages, UPDATE } from "./instances.ts";
import { type AnyDatabase, sqlStateOf, statementLog, suite } from "./suite.ts";

/** The key of the table's secrets, which tests can watch and replace. */
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
/** Events of the instance; each changes the previous state. */
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
    { database = db, ...options }: Partial<PgExtensionStorageOptions> & { database?: AnyDatabase } =
      {},
  ) => new PgExtensionStorage(database, instances, { ...options, lastEvents, on });
  const seen: Seen[] = [];
  const note = (change: string) => ({ tx: _, ...rest }: Omit<Seen, "change"> & { tx: unknown }) => {
    seen.push({ change, ...rest });
  };
  /** Handlers that record their arguments, except the transaction. */
  const watch: Handlers = {
    added: note("added"),
    updated: note("updated"),
    secretRotated: note("secretRotated"),
    removed: note("removed"),
  };
  /** Records since the last call. */
  const names = () => seen.splice(0).map(({ change }) => change);
  const count = async (table: string) => (await sql(`SELECT 1 FROM ${table}`)).length;
  /** Number of rows per table. */
  const counts = async () => [
    await count("extension_instance"),
    await count("extension_instance_last_event"),
    await count("site"),
  ];
  return { sql, db, open, dump, storageOn, storage: storageOn(watch), watch, seen, names, counts };
});
export { cases as changes };

test("each change once, with its rows; without a change no handler is called", async ({ storage, seen, names, counts }) => {
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

  // A repeated addition can cause both.
  await storage.upsertExtension({ ...INSTANCE, secret: "third" });
  assertEquals(names(), ["updated", "secretRotated"]);

  const last = await read();
  assertEquals([last?.secret, last?.hidden], ["third", "made"]);
  await storage.removeInstance(ID);
  await storage.removeInstance(ID);
  assertEquals<unknown>(seen, [{ change: "removed", instance: last, unreadable: [] }]);
  assertEquals((await counts())[0], 0);
});

test("each difference of state is an update, including the order of scopes", async ({ storage, names }) => {
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

test("a handler's writes through tx exist once; removed runs before the row is deleted", async ({ storageOn, sql, counts }) => {
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

test("a handler that throws: nothing is stored, and the next attempt is, once", async ({ storageOn, dump, counts }) => {
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

test("a handler that swallows a database error: still an error", async ({ storageOn, counts }) => {
  const storage = storageOn({
    added: async ({ tx }) => {
      await tx.insert(sites).values({ instanceId: "unheard of" }).catch(() => {});
    },
  });
  await assertRejects(() => storage.upsertExtension(INSTANCE), HandlerFailedError);
  assertEquals(await counts(), [0, 0, 0]);
});

test("stale and unknown: refused as without handlers, and no handler is called", async ({ storage, storageOn, watch, seen, names, counts, dump }) => {
  for (const event of [update, rotate]) {
    await assertRejects(() => event(storage), UnknownExtensionInstanceError);
  }
  await update(storageOn(watch, { unknownInstances: "ignore" }));
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

test("an event without a handler has no transaction and no further statement", async ({ storageOn, open }) => {
  const { logger, verbs } = statementLog();
  const db = open({ logger });
  const storage = storageOn({ removed: () => {} }, { database: db });
  for (const event of [add, update, rotate]) await event(storage);
  assertEquals(verbs(), ["with", "with", "with"]);
  const others = storageOn({ secretRotated: () => {} }, { database: db });
  for (const event of [update, remove]) await event(others);
  assertEquals(verbs(), ["with", "insert", "delete"]);
});

test("in the application's transaction: a handler's error rolls back to its start", async ({ storageOn, db, sql, counts }) => {
  await db.transaction(async (tx) => {
    const storage = storageOn({
      added: async ({ instance, tx: inner }) => {
        await inner.insert(sites).values({ instanceId: instance.id });
        if (instance.contextId === "fails") throw new Error("no");
      },
    }, { database: tx });
    await storage.upsertExtension(INSTANCE);
    const other = { ...INSTANCE, extensionInstanceId: "another", contextId: "fails" };
    await assertRejects(() => storage.upsertExtension(other), HandlerFailedError);
  });
  assertEquals(await sql("SELECT id FROM extension_instance"), [{ id: ID }]);
  assertEquals(await counts(), [1, 1, 1]);
});

test("an unreadable stored secret: replaced, but not passed to handlers", async ({ storage, sql, seen, names, dump }) => {
  await add(storage);
  names();
  await sql("UPDATE extension_instance SET secret = 'damaged'");
  const before = await dump();
  await assertRejects(() => update(storage), DecryptionError);
  assertEquals(await dump(), before);
  assertEquals(seen, []);
  await rotate(storage);
  assertEquals(names(), ["secretRotated"]);
  await sql("UPDATE extension_instance SET secret = NULL");
  await add(storage);
  assertEquals(names(), ["secretRotated"]);
});

test("unreadable values do not prevent a removal: they are null, and named", async ({ storage, sql, seen, counts }) => {
  const { ciphertext } = { ciphertext: await buildEncryptionKey("another", "salt").encrypt("x") };
  const damages = {
    "secret = 'damaged', hidden = NULL": ["secret"],
    [`secret = '${ciphertext}'`]: ["secret"],
    "hidden = 'damaged'": ["hidden"],
    "secret = 'damaged', hidden = 'damaged'": ["secret", "hidden"],
  };
  for (const [index, [damage, unreadable]] of Object.entries(damages).entries()) {
    const extensionInstanceId = `instance ${index}`;
    await storage.upsertExtension({ ...INSTANCE, extensionInstanceId });
    const stored = await storage.getExtension(extensionInstanceId);
    await sql(`UPDATE extension_instance SET ${damage}`);
    seen.length = 0;
    await storage.removeInstance(extensionInstanceId);
    const nulls = Object.fromEntries(unreadable.map((name) => [name, null]));
    const hidden = damage.includes("hidden = NULL") ? { hidden: null } : {};
    assertEquals<unknown>(seen, [
      { change: "removed", instance: { ...stored, ...hidden, ...nulls }, unreadable },
    ]);
  }
  assertEquals((await counts())[0], 0);
});

test("a slow key service holds no lock: it is called before the transaction begins", async ({ storageOn, open, watch }) => {
  const log: string[] = [];
  const noted = (method: "encrypt" | "decrypt") => (text: string) => {
    log.push(method);
    return encryptionKey[method](text);
  };
  const db = open({ logger: { logQuery: (query) => log.push(query.split(" ")[0]!) } });
  const storage = storageOn(watch, { database: db });
  key.current = { encrypt: noted("encrypt"), decrypt: noted("decrypt") };
  const expected = [[add, 2], [rotate, 3], [update, 2], [remove, 2]] as const;
  for (const [attempt, calls] of expected) {
    log.length = 0;
    await attempt(storage);
    // A transaction writes the last event's row first.
    const begin = log.indexOf("insert");
    const asked = (entry: string) => entry.endsWith("crypt");
    assertEquals(log.slice(0, begin).filter(asked).length, calls);
    assertEquals(log.slice(begin).filter(asked), []);
  }
});

test("a secret that changes after being decrypted in advance: decrypted again, outside", async ({ storage, storageOn, sql, seen }) => {
  await add(storageOn({}));
  let decryptions = 0;
  const look = async () => {
    // Another client writes the same secret with another ciphertext, between reading and locking.
    if (decryptions++ === 0) {
      const again = await encryptionKey.encrypt("second");
      await sql(`UPDATE extension_instance SET secret = '${again}'`);
    }
    // A slow key service must not hold a lock: the row is free.
    await sql("SELECT FROM extension_instance FOR UPDATE NOWAIT");
  };
  // Two columns are decrypted at once, and each check would lock out the other one.
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

test("a key of this package: changes are found under it, under older ones, and after damage", async ({ open, sql }) => {
  const seen: unknown[] = [];
  // The second older key, and a damaged value, take a promise.
  const [first, second] = [1, 2].map((fill) => importEncryptionKey(new Uint8Array(32).fill(fill)));
  const own = importEncryptionKey(new Uint8Array(32), { alsoReads: [first!, second!] });
  const table = buildExtensionInstanceTable(buildEncryptedTextColumn(own));
  const storage = new PgExtensionStorage(open(), table, {
    lastEvents,
    on: {
      secretRotated: ({ instance }) => seen.push(instance.secret),
      removed: ({ instance, unreadable }) => seen.push([instance.secret, unreadable]),
    },
  });
  await add(storage);
  for (const key of [own, first!, second!]) {
    await sql(`UPDATE extension_instance SET secret = '${await key.encrypt("stored")}'`);
    await storage.rotateSecret(ID, "stored");
    assertEquals(seen.splice(0), []);
    await sql(`UPDATE extension_instance SET secret = '${await key.encrypt("stored")}'`);
    await storage.rotateSecret(ID, "other");
    assertEquals(seen.splice(0), ["other"]);
  }
  await sql("UPDATE extension_instance SET secret = 'damaged'");
  await storage.rotateSecret(ID, "whole");
  assertEquals(seen.splice(0), ["whole"]);
  await sql("UPDATE extension_instance SET secret = 'damaged'");
  await remove(storage);
  assertEquals<unknown>(seen, [[null, ["secret"]]]);
});

test("an unavailable key: its own error, nothing is stored", async ({ storage, dump }) => {
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

test("a constraint checked at the end of the transaction: StorageError, nothing is stored", async ({ storageOn, sql, counts }) => {
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

test("a conflict in a handler is retried, with the handler, until the time limit", async ({ storageOn, sql, counts }) => {
  let calls = 0;
  let conflicts = 2;
  const on: Handlers = {
    added: async ({ tx }) => {
      calls++;
      await tx.insert(sites).values({ instanceId: ID });
      if (conflicts-- > 0) await tx.execute(`DO $$ BEGIN RAISE SQLSTATE '40001'; END $$`);
    },
  };
  await add(storageOn(on));
  assertEquals([calls, await counts()], [3, [1, 1, 1]]);
  await sql("DELETE FROM extension_instance");
  [calls, conflicts] = [0, Infinity];
  const error = await assertRejects(() => add(storageOn(on, { timeoutMs: 1_000 })), Error);
  // The last attempt ends by its conflict or its time limit.
  assert(error instanceof HandlerFailedError || error instanceof DeadlineExceededError);
  assert(calls > 1);
  assertEquals((await counts())[0], 0);
});

/** All ways to send a statement through a transaction. */
const uses: Record<string, (tx: AnyDatabase) => Promise<unknown>> = {
  "insert": (tx) => tx.insert(sites).values({ instanceId: ID }),
  "select": (tx) => tx.select().from(sites),
  "execute": (tx) => tx.execute(`DELETE FROM site`),
  "count": (tx) => tx.$count(sites),
  "a nested transaction": (tx) => tx.transaction((inner) => inner.select().from(sites)),
};

test("a statement through tx after the handler's end is refused, and not sent", async ({ storageOn, counts }) => {
  let kept: AnyDatabase | undefined;
  let prepared: ((tx: AnyDatabase) => Promise<unknown>) | undefined;
  let nested: AnyDatabase | undefined;
  const keep: Handlers["added"] = async ({ tx }) => {
    kept = tx;
    const select = tx.select().from(sites).prepare("late");
    prepared = () => select.execute();
    await prepared(tx);
    await tx.transaction(async (inner) => void await (nested = inner).select().from(sites));
  };
  const storage = storageOn({ added: keep, secretRotated: keep });
  for (const event of [add, rotate]) {
    await event(storage);
    for (const [name, use] of Object.entries({ ...uses, prepared: prepared! })) {
      for (const tx of [kept!, nested!]) {
        const error = await assertRejects(() => use(tx), Error, undefined, name);
        // Drizzle may have wrapped it.
        const cause = error instanceof TypeError ? error : error.cause as Error;
        assertEquals(
          cause.message,
          "Using the transaction of a handler: the handler has ended, await all statements in it",
        );
      }
    }
  }
  assertEquals(await counts(), [1, 1, 0]);
});

test("a Promise.all with a throwing branch: no statement of the other branch is sent late", async ({ storageOn, counts, sql }) => {
  const branches: Promise<unknown>[] = [];
  let failing = true;
  const write = (tx: AnyDatabase, instanceId: string) => tx.insert(sites).values({ instanceId });
  const storage = storageOn({
    added: async ({ instance, tx }) => {
      let throwIt = () => {};
      const thrown = new Promise<void>((resolve) => throwIt = resolve);
      const slow = (async () => {
        await write(tx, instance.id);
        if (failing) throwIt();
        // The transaction has ended in the meantime.
        if (failing) await new Promise((resolve) => setTimeout(resolve, 200));
        await write(tx, instance.id);
      })();
      branches.push(slow);
      slow.catch(() => {});
      await Promise.all([
        slow,
        failing
          ? thrown.then(() => Promise.reject(new Error("one branch")))
          : write(tx, instance.id),
      ]);
    },
  });
  await assertRejects(() => add(storage), HandlerFailedError);
  // Meanwhile another instance's event runs on the same connections.
  const other = { ...INSTANCE, extensionInstanceId: "another" };
  failing = false;
  await storage.upsertExtension(other);
  await assertRejects(async () => void await branches[0]!);
  assertEquals(
    await sql("SELECT instance_id FROM site"),
    Array(3).fill({ instance_id: "another" }),
  );
  await add(storage);
  assertEquals(await counts(), [2, 2, 6]);
});

test("a handler that returns during its statement: an error, nothing is stored", async ({ storageOn, counts }) => {
  let sent: Promise<unknown> | undefined;
  const storage = storageOn({
    added: ({ tx }) => {
      sent = Promise.all([
        tx.insert(sites).values({ instanceId: ID }),
        tx.insert(sites).values({ instanceId: ID }),
      ]);
      sent.catch(() => {});
    },
  });
  const error = await assertRejects(() => add(storage), HandlerFailedError);
  assertEquals(
    (error.cause as Error).message,
    "Running a handler: it returned before its statements had finished, await all of them",
  );
  await Promise.allSettled([sent]);
  assertEquals(await counts(), [0, 0, 0]);
});

test("a handler that ends its transaction: the statement is refused, nothing is stored", async ({ storageOn, counts }) => {
  const refused = [
    ...["COMMIT", "ROLLBACK", "END", "ABORT", "commit work", "rollback and chain"],
    ...['/* " */ ROLLBACK', "-- it's\n commit", "SELECT 1; commit", "select ';'; end;"],
    "PREPARE TRANSACTION 'mine'",
  ];
  let statement = "";
  const storage = storageOn({ added: ({ tx }) => tx.execute(statement) });
  for (statement of refused) {
    const error = await assertRejects(() => add(storage), HandlerFailedError, "", statement);
    assertEquals(
      (error.cause as Error).message,
      "Using the transaction of a handler: it cannot be ended there",
    );
  }
  assertEquals(await counts(), [0, 0, 0]);
  const allowed = [
    "SAVEPOINT mine; ROLLBACK TO SAVEPOINT mine",
    "SAVEPOINT mine; rollback work to mine",
    "SELECT 'x; COMMIT' AS \"a; COMMIT\" -- ; COMMIT",
    "DO $a$ BEGIN NULL; END $a$",
    "SELECT case when true then 1 end",
  ];
  for (const [index, statements] of allowed.entries()) {
    const storage = storageOn({
      async added({ tx }) {
        const each = statements.startsWith("SAVEPOINT") ? statements.split("; ") : [statements];
        for (const statement of each) await tx.execute(statement);
      },
    });
    await storage.upsertExtension({ ...INSTANCE, extensionInstanceId: `instance ${index}` });
  }
  assertEquals(await counts(), [allowed.length, allowed.length, 0]);
});

/** Sends a statement past Drizzle, unchecked. */
async function sendPast(tx: AnyDatabase, statement: string): Promise<unknown> {
  type Send = (statement: string) => Promise<unknown>;
  const { session } = tx as unknown as { session: { client: { unsafe?: Send; query: Send } } };
  const { client } = session;
  return await (client.unsafe ? client.unsafe(statement) : client.query(statement));
}

test("a handler that ends its transaction past Drizzle: an error, no other one is ended or left open", async ({ storageOn, counts, sql }) => {
  const fine = storageOn({
    added: async ({ instance, tx }) => {
      await tx.insert(sites).values({ instanceId: instance.id });
      await tx.insert(sites).values({ instanceId: instance.id });
    },
  });
  for (const [index, end] of ["COMMIT", "ROLLBACK"].entries()) {
    const extensionInstanceId = `instance ${index}`;
    let calls = 0;
    const storage = storageOn({
      added: async ({ tx }) => {
        calls++;
        await sendPast(tx, end);
      },
    }, { timeoutMs: 2_000 });
    const event = () => storage.upsertExtension({ ...INSTANCE, extensionInstanceId });
    const others = ["a", "b", "c", "d", "e"].map((other) =>
      fine.upsertExtension({ ...INSTANCE, extensionInstanceId: `${other} ${index}` })
    );
    // postgres.js may reuse the connection before it answers; then the time limit passes.
    const failed = async () => {
      const error = await assertRejects(event, Error, "", end);
      assert(error instanceof HandlerFailedError || error instanceof DeadlineExceededError);
    };
    await failed();
    await Promise.all(others);
    // Committed rows exist; rolled back work is retried.
    const before = calls;
    if (end === "COMMIT") await event();
    else await failed();
    assertEquals(calls - before, end === "COMMIT" ? 0 : 1, end);
  }
  const open = await sql(
    `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
     AND state LIKE 'idle in transaction%'`,
  );
  assertEquals(open, []);
  assertEquals(await counts(), [11, 11, 20]);
});

test("in the application's transaction: a handler that rolls back more than its own work", async ({ storageOn, db, counts }) => {
  await assertRejects(() =>
    db.transaction(async (tx) => {
      const storage = storageOn({
        added: async ({ tx }) => void await tx.execute("ROLLBACK TO SAVEPOINT mine"),
      }, { database: tx });
      await tx.execute("SAVEPOINT mine");
      await assertRejects(() => add(storage), Error);
      tx.rollback();
    })
  );
  assertEquals(await counts(), [0, 0, 0]);
});

test("time limits apply only in the transaction; shorter ones stay", async ({ storageOn, db, counts }) => {
  const names = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"];
  const read = async (from: AnyDatabase) => {
    const settings = names.map((name) => sql`current_setting(${name}) as ${sql.identifier(name)}`);
    const result = await from.execute(sql`select ${sql.join(settings, sql`, `)}`);
    const [row] = Array.isArray(result) ? result : (result as unknown as { rows: unknown[] }).rows;
    return Object.values(row as Record<string, string>).map((value) =>
      value.endsWith("ms") ? parseInt(value) : value.endsWith("s") ? 1000 * parseInt(value) : value
    );
  };
  const before = await read(db);
  const found: unknown[][] = [];
  const on: Handlers = { added: async ({ tx }) => void found.push(await read(tx)) };
  await add(storageOn(on, { timeoutMs: 4_000 }));
  const [lock, statement, idle] = found[0] as number[];
  assert(lock! > 0 && lock! <= 4_000 && statement === lock && idle === lock! + 1_000, `${found}`);
  assertEquals(await read(db), before);
  // The application's transaction keeps its own limits.
  await db.transaction(async (tx) => {
    await tx.execute("SET LOCAL statement_timeout = 70");
    await storageOn(on, { database: tx }).upsertExtension({
      ...INSTANCE,
      extensionInstanceId: "another",
    });
    assertEquals(await read(tx), found[1]!);
  });
  assertEquals([found[1]![1], (await counts())[0]], [70, 2]);
});

test("a handler that never ends: rolled back at the time limit, others are answered", async ({ storageOn, counts, sql }) => {
  let hang = true;
  let goOn = () => {};
  const late: Promise<unknown>[] = [];
  const storage = storageOn({
    added: async ({ instance, tx }) => {
      await tx.insert(sites).values({ instanceId: instance.id });
      if (!hang || instance.id !== ID) return;
      await new Promise<void>((resolve) => goOn = resolve);
      const write = tx.insert(sites).values({ instanceId: "late" });
      late.push(write.then(() => "written", () => "refused"));
      await write;
    },
  }, { timeoutMs: 1_500 });
  const hanging = add(storage);
  hanging.catch(() => {});
  const others = ["a", "b", "c", "d", "e", "f"].map((extensionInstanceId) =>
    storage.upsertExtension({ ...INSTANCE, extensionInstanceId })
  );
  const error = await assertRejects(() => hanging, DeadlineExceededError);
  assertEquals(error.message, "Storing an extension instance: not finished after 1500 ms");
  await Promise.all(others);
  goOn();
  hang = false;
  await add(storage);
  assertEquals(await Promise.all(late), ["refused"]);
  assertEquals(await sql("SELECT instance_id FROM site WHERE instance_id = 'late'"), []);
  assertEquals(await counts(), [7, 7, 7]);
});

test("events of one instance wait for each other, except a handler's own call", async ({ storageOn, counts }) => {
  // It would wait for itself forever.
  const storage: PgExtensionStorage<typeof instances> = storageOn({
    added: () => storage.rotateSecret(ID, "second"),
  }, { timeoutMs: 1_000 });
  await assertRejects(() => add(storage), Error);
  assertEquals(await counts(), [0, 0, 0]);
});

test("a trigger that deletes the written row: an error, nothing is stored", async ({ storage, sql, counts, names }) => {
  await sql(`
    CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN DELETE FROM extension_instance WHERE id = NEW.id; RETURN NULL; END';
    CREATE TRIGGER undo AFTER INSERT ON extension_instance FOR EACH ROW EXECUTE FUNCTION undo()`);
  const error = await assertRejects(() => add(storage), StorageError);
  assertEquals(
    error.message,
    "Running upsertExtension: a trigger deleted the row that was written",
  );
  assertEquals([await counts(), names()], [[0, 0, 0], []]);
});

test("a trigger that prevents a removal, or its mark: an error, nothing is stored", async ({ storage, sql, dump }) => {
  await add(storage);
  const before = await dump();
  await sql(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
  );
  const triggers = {
    "the row from being deleted": "DELETE ON extension_instance",
    "the removal from being recorded": "INSERT OR UPDATE ON extension_instance_last_event",
  };
  for (const [what, event] of Object.entries(triggers)) {
    await sql(`CREATE TRIGGER refuse BEFORE ${event} FOR EACH ROW EXECUTE FUNCTION refuse()`);
    const error = await assertRejects(() => remove(storage), StorageError);
    assertEquals(error.message, `Running removeInstance: a trigger or a policy kept ${what}`);
    assertEquals(await dump(), before);
    await sql(`DROP TRIGGER refuse ON ${event.split(" ON ")[1]}`);
  }
  await sql(`CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON extension_instance_last_event
    FOR EACH ROW EXECUTE FUNCTION refuse()`);
  const error = await assertRejects(() => rotate(storage), StorageError);
  assertEquals(
    error.message,
    "Running rotateSecret: a trigger or a policy kept the event from being recorded",
  );
});

// Without handlers, but in a transaction of the application.

test("an id that cannot be stored, in the application's transaction: it continues", async ({ db, counts }) => {
  await db.transaction(async (tx) => {
    for (const options of [{}, { lastEvents }]) {
      const storage = new PgExtensionStorage(tx, extensionInstances, options);
      await storage.removeInstance("x".repeat(37));
      await storage.upsertExtension(INSTANCE);
    }
  });
  assertEquals((await counts())[0], 1);
});

test("row-level security: a row hidden from a removal is an error, a missing one is gone", async ({ db, sql, counts }) => {
  const role = `mitthooks_hidden_${crypto.randomUUID().replaceAll("-", "")}`;
  const other = { ...INSTANCE, extensionInstanceId: "other" };
  const remove = (id: string, options: object) =>
    db.transaction(async (tx) => {
      await tx.execute(`SET LOCAL ROLE ${role}`);
      await new PgExtensionStorage(tx, extensionInstances, options).removeInstance(id);
    });
  await sql(`CREATE ROLE ${role}; GRANT USAGE ON SCHEMA public TO ${role};
    GRANT ALL ON extension_instance, extension_instance_last_event TO ${role};
    CREATE POLICY visible ON extension_instance FOR SELECT USING (id <> '${ID}');
    CREATE POLICY locked ON extension_instance FOR UPDATE USING (true);
    CREATE POLICY deleted ON extension_instance FOR DELETE USING (id <> 'kept');
    CREATE POLICY written ON extension_instance FOR INSERT WITH CHECK (true);
    ALTER TABLE extension_instance ENABLE ROW LEVEL SECURITY`);
  try {
    for (const options of [{}, { lastEvents }, { lastEvents, on: { removed: () => {} } }]) {
      const all = new PgExtensionStorage(db, extensionInstances);
      await all.upsertExtension(INSTANCE);
      await all.upsertExtension(other);
      await all.upsertExtension({ ...INSTANCE, extensionInstanceId: "kept" });
      const hidden = await assertRejects(() => remove(ID, options), StorageError);
      const kept = await assertRejects(() => remove("kept", options), StorageError);
      const found = [
        "nothing was deleted, and row-level security may hide the row from the current user",
        "a trigger or a policy kept the row from being deleted",
      ].map((what) => `Running removeInstance: ${what}`);
      assertEquals([hidden.message, kept.message], found);
      await remove("other", options);
      await remove("other", options);
      await remove("never stored", options);
      assertEquals((await counts())[0], 2);
    }
    // Undecidable: no row may be written, so none would conflict.
    await sql("DROP POLICY written ON extension_instance");
    const error = await assertRejects(() => remove("never stored", {}), StorageError);
    assertEquals(sqlStateOf(error.cause), "42501");
  } finally {
    await sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});
