/** Late, repeated and concurrent events in `PgExtensionStorage`. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { pgSchema } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  buildLastEventTable,
  type EncryptionKey,
  PgExtensionStorage,
  StaleEventError,
  StorageError,
  UnknownExtensionInstanceError,
} from "../../pg/mod.ts";
import {
  encryptionKey,
  extensionInstances,
  lastEventDdl,
  lastEvents,
} from "../support/extension_instance.ts";
import { at, events, ID, INSTANCE, nextMillisecond, openStorages, UPDATE } from "./instances.ts";
import { type AnyDatabase, sqlStateOf, suite, type TestContext } from "./suite.ts";

const { removeInstance: _, ...eventsButRemoval } = events;
const ADDED = "ExtensionAddedToContext";
const ROTATED = "SecretRotated";
const REMOVED = "InstanceRemovedFromContext";

const on = (db: AnyDatabase) => new PgExtensionStorage(db, extensionInstances, { lastEvents });

/**
 * Makes another session hold the locks of statements until the function waits for them. If the
 * database has only one session, nothing can wait: then they run one after the other, with the same
 * result.
 */
async function during<T>(
  { session, sql }: TestContext,
  statements: string,
  run: () => Promise<T>,
  end = "COMMIT",
): Promise<T> {
  if (!session) {
    await sql(`BEGIN; ${statements}; ${end}`);
    return await run();
  }
  const other = await session();
  try {
    await other.sql(`BEGIN; ${statements}`);
    const running = run();
    running.catch(() => {});
    await other.untilWaiting();
    await other.sql(end);
    return await running;
  } finally {
    await other.close();
  }
}

/** Changes a setting for all connections opened in between. */
async function withSetting(
  { sql }: TestContext,
  setting: string,
  run: () => Promise<void>,
): Promise<void> {
  const [database] = await sql("SELECT current_database() AS name");
  const alter = `ALTER DATABASE "${database!["name"]}"`;
  await sql(`${alter} SET ${setting}`);
  try {
    await run();
  } finally {
    await sql(`${alter} RESET ${setting.split(" ")[0]}`);
  }
}

/** Makes the storage wait for an instance's row whose owner waits for the row of its last event. */
const withDeadlock = (
  { context, storage }: Awaited<ReturnType<typeof openStorages>>,
  run: () => Promise<void>,
): Promise<void> =>
  // The storage detects the deadlock and gives up; until then the other one must be waiting, too.
  withSetting(context, "deadlock_timeout = '3s'", async () => {
    await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
    await during(
      context,
      "SET LOCAL deadlock_timeout = '60s'; SELECT FROM extension_instance FOR UPDATE",
      run,
      "UPDATE extension_instance_last_event SET kind = kind; COMMIT",
    );
  });

const { cases, test } = suite(openStorages);
export { cases as order };

test("an instance's whole life in order: each event is applied and recorded", async ({ storage, stored, noted }) => {
  const life = [
    ["upsertExtension", ADDED, [["p-abc123", "first"]]],
    ["updateExtension", "InstanceUpdated", [["p-abc123", "first"]]],
    ["rotateSecret", ROTATED, [["p-abc123", "second"]]],
    ["removeInstance", REMOVED, []],
  ] as const;
  for (const [second, [event, kind, rows]] of life.entries()) {
    await events[event](storage, { occurredAt: at(second) });
    assertEquals<unknown>([await noted(), await stored()], [[[kind, at(second)]], rows]);
  }
});

test("an older event is refused, one of the same time is applied", async ({ storage, stored, noted }) => {
  const occurredAt = at(5);
  await storage.upsertExtension({ ...INSTANCE, occurredAt });
  const late = { occurredAt: new Date(at(5).getTime() - 1) };
  const attempts = {
    "Storing an extension instance": () =>
      storage.upsertExtension({ ...INSTANCE, secret: "old", ...late }),
    "Updating an extension instance": () =>
      storage.updateExtension({ ...UPDATE, contextId: "old", ...late }),
    "Rotating the secret of an extension instance": () => storage.rotateSecret(ID, "old", late),
  };
  for (const [attempt, run] of Object.entries(attempts)) {
    const error = await assertRejects(run, StaleEventError, `${attempt}: `);
    assertEquals(error.extensionInstanceId, ID);
  }
  assertEquals(await stored(), [["p-abc123", "first"]]);
  assertEquals(await noted(), [[ADDED, at(5)]]);
  await storage.rotateSecret(ID, "same time", { occurredAt });
  await storage.updateExtension({ ...UPDATE, contextId: "p-same", occurredAt });
  assertEquals(await stored(), [["p-same", "same time"]]);
  await storage.upsertExtension({ ...INSTANCE, secret: "again", occurredAt });
  assertEquals(await stored(), [["p-abc123", "again"]]);
});

test("at the same time, an applied request is refused, another one is applied", async ({ storage, stored, sql }) => {
  const signed = (second: number, requestId: string) => ({ occurredAt: at(second), requestId });
  const add = { ...INSTANCE, ...signed(1, "r-1") };
  await storage.upsertExtension(add);
  await storage.rotateSecret(ID, "second", signed(1, "r-2"));
  await storage.updateExtension({ ...UPDATE, contextId: "p-2", ...signed(1, "r-3") });
  const played = [
    () => storage.upsertExtension(add),
    () => storage.rotateSecret(ID, "old", signed(1, "r-2")),
    () => storage.updateExtension({ ...UPDATE, ...signed(1, "r-3") }),
  ];
  for (const play of played) await assertRejects(play, StaleEventError);
  assertEquals(await stored(), [["p-2", "second"]]);
  const ids = async () =>
    (await sql("SELECT request_ids FROM extension_instance_last_event"))[0]!["request_ids"];
  assertEquals(await ids(), ["r-1", "r-2", "r-3"]);
  // The time advances: earlier requests are older, so their ids are no longer needed.
  await storage.rotateSecret(ID, "third", signed(2, "r-4"));
  assertEquals(await ids(), ["r-4"]);
  for (const play of played) await assertRejects(play, StaleEventError);
  await storage.removeInstance(ID, signed(2, "r-4"));
  assertEquals(await ids(), []);
});

test("after a removal, only a removal is applied, however new the event", async ({ storage, stored, noted }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(5) });
  // Older than the last event, but applied nevertheless. The recorded time does not go back.
  await storage.removeInstance(ID, { occurredAt: at(1) });
  assertEquals([await stored(), await noted()], [[], [[REMOVED, at(5)]]]);
  for (const event of Object.values(eventsButRemoval)) {
    await assertRejects(() => event(storage, { occurredAt: at(9) }), StaleEventError);
  }
  assertEquals(await stored(), []);
  await storage.removeInstance(ID, { occurredAt: at(7) });
  assertEquals(await noted(), [[REMOVED, at(7)]]);
  // Also for an instance that was never stored: an abandoned delivery may still arrive.
  await storage.removeInstance("never", { occurredAt: at(3) });
  const never = { ...INSTANCE, extensionInstanceId: "never", occurredAt: at(4) };
  await assertRejects(() => storage.upsertExtension(never), StaleEventError);
});

test("an update or a new secret of an unknown instance: not applied, not recorded", async ({ storage, db, sql, stored, noted }) => {
  const ignoring = new PgExtensionStorage(db, extensionInstances, {
    lastEvents,
    unknownInstances: "ignore",
  });
  const update = { ...UPDATE, occurredAt: at(9) };
  await assertRejects(() => storage.updateExtension(update), UnknownExtensionInstanceError);
  await ignoring.updateExtension(update);
  const rotate = (each: PgExtensionStorage, second: number) => () =>
    each.rotateSecret(ID, "lost", { occurredAt: at(second) });
  await assertRejects(rotate(storage, 9), UnknownExtensionInstanceError);
  await assertRejects(rotate(ignoring, 9), UnknownExtensionInstanceError);
  assertEquals(await noted(), []);
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  assertEquals(await stored(), [["p-abc123", "first"]]);
  // A row deleted past the storage.
  await sql("DELETE FROM extension_instance");
  await assertRejects(rotate(storage, 9), UnknownExtensionInstanceError);
  assertEquals(await noted(), [[ADDED, at(1)]]);
  await assertRejects(rotate(storage, 0), StaleEventError);
});

test("calls without a time are ordered by call, and change no signed time", async ({ storage, storageWith, stored, noted, sql }) => {
  let release = () => {};
  const released = new Promise<void>((resolve) => release = resolve);
  const stalled = storageWith(buildEncryptedTextColumn({
    encrypt: async (plaintext) => await released.then(() => encryptionKey.encrypt(plaintext)),
    decrypt: (ciphertext) => encryptionKey.decrypt(ciphertext),
  }));
  const before = Date.now();
  const signedBefore = new Date(before - 1_000);
  await storage.upsertExtension(INSTANCE);
  const late = stalled.rotateSecret(ID, "late");
  late.catch(() => {});
  await nextMillisecond();
  await storage.rotateSecret(ID, "second");
  release();
  await assertRejects(() => late, StaleEventError);
  assertEquals(await stored(), [["p-abc123", "second"]]);
  const [row] = await sql("SELECT * FROM extension_instance_last_event");
  const called = new Date(String(row!["called_at"])).getTime();
  assert(called >= before - 1_000 && called <= Date.now() + 1_000);
  // mittwald signed it before those calls; it arrives after them, and only once.
  await storage.rotateSecret(ID, "signed", { occurredAt: signedBefore });
  assertEquals(await stored(), [["p-abc123", "signed"]]);
  assertEquals(await noted(), [[ROTATED, signedBefore]]);
  const earlier = { occurredAt: new Date(before - 1_001) };
  await assertRejects(() => storage.rotateSecret(ID, "old", earlier), StaleEventError);
  // An event signed after a call is newer.
  const ahead = { occurredAt: new Date(Date.now() + 100_000) };
  await storage.rotateSecret(ID, "ahead", ahead);
  for (const event of Object.values(eventsButRemoval)) {
    await assertRejects(() => event(storage), StaleEventError);
  }
  await storage.removeInstance(ID);
  assertEquals(await noted(), [[REMOVED, ahead.occurredAt]]);
});

test("a time in the future, before 1970, or of the wrong type is refused", async ({ storage, unordered, dump }) => {
  await storage.upsertExtension(INSTANCE);
  const stored = await dump();
  const refused: [object, typeof Error][] = [
    [{ occurredAt: new Date(Date.now() + 301_000) }, RangeError],
    [{ occurredAt: new Date(Date.UTC(9999, 0)) }, RangeError],
    [{ occurredAt: new Date(-1) }, RangeError],
    [{ occurredAt: new Date(-8.64e15) }, RangeError],
    [{ occurredAt: new Date(), requestId: 7 }, TypeError],
    [{ requestId: "of no time" }, TypeError],
    [{ occurredAt: new Date(NaN) }, TypeError],
    [{ occurredAt: "2026-01-01" }, TypeError],
    [{ occurredAt: null }, TypeError],
  ];
  for (const each of [storage, unordered]) {
    for (const [time, expected] of refused) {
      for (const event of Object.values(events)) {
        await assertRejects(() => event(each, time), expected);
      }
    }
    const typo = { occuredAt: new Date() } as object;
    await assertRejects(() => each.rotateSecret(ID, "x", typo), TypeError);
    await assertRejects(() => each.removeInstance(ID, typo), TypeError);
  }
  assertEquals(await dump(), stored);
  // Clocks may differ slightly.
  await storage.rotateSecret(ID, "ahead", { occurredAt: new Date(Date.now() + 200_000) });
});

test("forgetRemoved: only instances removed before the given time", async ({ storage, unordered, stored, noted }) => {
  for (const [index, extensionInstanceId] of ["a", "b", "c", "d"].entries()) {
    const occurredAt = at(index);
    await storage.upsertExtension({ ...INSTANCE, extensionInstanceId, occurredAt });
    if (index < 3) await storage.removeInstance(extensionInstanceId, { occurredAt });
  }
  assertEquals(await storage.forgetRemoved(at(2)), 2);
  assertEquals(await noted(), [[REMOVED, at(2)], [ADDED, at(3)]]);
  assertEquals(await storage.forgetRemoved(at(2)), 0);
  assertEquals(await storage.forgetRemoved(new Date()), 1);
  assertEquals((await stored()).length, 1);
  await assertRejects(() => storage.forgetRemoved(new Date(NaN)), TypeError);
  await assertRejects(() => storage.forgetRemoved(new Date(Date.now() + 60_000)), RangeError);
  await assertRejects(() => unordered.forgetRemoved(at(1)), TypeError);
});

test("version 0.3's table of last events: an error that names the missing columns", async ({ storage, sql, dump }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  await sql("ALTER TABLE extension_instance_last_event DROP request_ids, DROP called_at");
  const before = await dump();
  const signed = (event: typeof eventsButRemoval[keyof typeof eventsButRemoval]) => () =>
    event(storage, { occurredAt: at(2) });
  const attempts: (() => Promise<unknown>)[] = [
    ...Object.values(events).map(signed),
    ...Object.values(events).map((event) => () => event(storage)),
    () => storage.verify(),
  ];
  for (const attempt of attempts) {
    const error = await assertRejects(attempt, StorageError);
    assertEquals(sqlStateOf(error.cause), "42703");
    assert(
      error.message.includes(`adds "request_ids" text[] DEFAULT '{}' NOT NULL`),
      error.message,
    );
  }
  assertEquals(await dump(), before);
  await sql(
    `ALTER TABLE extension_instance_last_event
     ADD "request_ids" text[] DEFAULT '{}' NOT NULL, ADD "called_at" timestamp with time zone`,
  );
  await storage.rotateSecret(ID, "second", { occurredAt: at(2) });
  assertEquals(await storage.verify(), { ordersEvents: true });
});

test("in the application's transaction: committed and rolled back with it", async ({ db, storage, stored, noted }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  await assertRejects(() =>
    db.transaction(async (tx) => {
      const inner = on(tx);
      await inner.removeInstance(ID, { occurredAt: at(5) });
      const again = { ...INSTANCE, occurredAt: at(6) };
      await assertRejects(() => inner.upsertExtension(again), StaleEventError);
      tx.rollback();
    })
  );
  assertEquals([await noted(), await stored()], [[[ADDED, at(1)]], [["p-abc123", "first"]]]);
  await db.transaction((tx) => on(tx).removeInstance(ID, { occurredAt: at(5) }));
  assertEquals([await noted(), await stored()], [[[REMOVED, at(5)]], []]);
});

test("with a custom name and schema", async ({ db, sql }) => {
  const place = 'ours."our last event"';
  await sql(
    `CREATE SCHEMA ours; ${lastEventDdl.replace('"extension_instance_last_event"', place)}`,
  );
  const storage = new PgExtensionStorage(db, extensionInstances, {
    lastEvents: buildLastEventTable({ table: pgSchema("ours").table, name: "our last event" }),
  });
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  await storage.upsertExtension({ ...INSTANCE, context: "customer", occurredAt: at(2) });
  await storage.updateExtension({ ...UPDATE, contextId: "p-3" });
  assertEquals((await storage.getExtension(ID))?.contextId, "p-3");
  await storage.removeInstance(ID);
  await assertRejects(() => storage.upsertExtension(INSTANCE), StaleEventError);
  await nextMillisecond();
  assertEquals(await storage.forgetRemoved(new Date()), 1);
  await sql("DROP SCHEMA ours CASCADE");
});

test("in tables whose names collide with a statement's", async ({ db, sql }) => {
  for (const [name, last] of [["event", "stored"], ["stored", "event"], ["known", "forgotten"]]) {
    await sql(
      `CREATE TABLE ${name} (LIKE extension_instance INCLUDING ALL);
       CREATE TABLE ${last} (LIKE extension_instance_last_event INCLUDING ALL)`,
    );
    const table = buildExtensionInstanceTable(buildEncryptedTextColumn(encryptionKey), {}, {
      name: name!,
    });
    const storage = new PgExtensionStorage(db, table, {
      lastEvents: buildLastEventTable({ name: last! }),
    });
    await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
    await storage.updateExtension({ ...UPDATE, contextId: "p-2", occurredAt: at(2) });
    await storage.rotateSecret(ID, "second", { occurredAt: at(3) });
    const found = await storage.getExtension(ID);
    assertEquals([found?.contextId, found?.secret], ["p-2", "second"]);
    await storage.removeInstance(ID);
    await nextMillisecond();
    assertEquals(await storage.forgetRemoved(new Date()), 1);
    await sql(`DROP TABLE ${name}, ${last}`);
  }
});

test("a trigger that keeps a row from being written is an error: no silent loss", async ({ storage, unordered, sql }) => {
  await sql(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
     CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON extension_instance
     FOR EACH ROW EXECUTE FUNCTION refuse()`,
  );
  for (const each of [storage, unordered]) {
    const error = await assertRejects(() => each.upsertExtension(INSTANCE), StorageError);
    assertEquals(
      error.message,
      "Running upsertExtension: a trigger or a policy kept the row from being written",
    );
  }
  await sql("ALTER TABLE extension_instance DISABLE TRIGGER refuse");
  await storage.upsertExtension(INSTANCE);
  await sql("ALTER TABLE extension_instance ENABLE TRIGGER refuse");
  for (const each of [storage, unordered]) {
    for (const event of [events.updateExtension, events.rotateSecret]) {
      await assertRejects(
        () => event(each),
        StorageError,
        "a trigger or a policy kept the row from being written",
      );
    }
  }
});

test("a trigger that prevents a removal, or recording an event: an error that says so", async ({ storage, unordered, sql, stored }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  const before = await stored();
  await sql(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
     CREATE TRIGGER refuse BEFORE DELETE ON extension_instance
     FOR EACH ROW EXECUTE FUNCTION refuse()`,
  );
  const KEPT = "Running removeInstance: a trigger or a policy kept";
  for (const each of [storage, unordered]) {
    const error = await assertRejects(() => each.removeInstance(ID), StorageError);
    assertEquals(error.message, `${KEPT} the row from being deleted`);
  }
  assertEquals(await stored(), before);
  await sql(
    `DROP TRIGGER refuse ON extension_instance;
     DELETE FROM extension_instance_last_event;
     CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON extension_instance_last_event
     FOR EACH ROW EXECUTE FUNCTION refuse()`,
  );
  for (const [operation, event] of Object.entries(events)) {
    const error = await assertRejects(() => event(storage, { occurredAt: at(2) }), StorageError);
    const what = operation === "removeInstance" ? "removal" : "event";
    assertEquals(
      error.message,
      `Running ${operation}: a trigger or a policy kept the ${what} from being recorded`,
    );
  }
  assertEquals(await stored(), before);
});

test("an addition that waits for a committed removal: stays removed", async ({ context, storage, stored }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  const remove = `UPDATE extension_instance_last_event SET kind = '${REMOVED}';
    DELETE FROM extension_instance`;
  const add = () => storage.upsertExtension({ ...INSTANCE, occurredAt: at(9) });
  await assertRejects(() => during(context, remove, add), StaleEventError);
  assertEquals(await stored(), []);
});

test("a removal that waits for an addition: sees the row and deletes it", async ({ context, storage, stored, noted }) => {
  const add = `INSERT INTO extension_instance_last_event VALUES ('${ID}', '${ADDED}', now());
    INSERT INTO extension_instance (id, "contextId", active, consented_scopes)
    VALUES ('${ID}', 'p-late', true, '{}')`;
  await during(context, add, () => storage.removeInstance(ID, { occurredAt: at(1) }));
  assertEquals(await stored(), []);
  assertEquals((await noted())[0]?.[0], REMOVED);
});

test("an old secret that waits for a newer one: the newest stays", async ({ context, storage, stored }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  const newest = `UPDATE extension_instance_last_event
      SET kind = '${ROTATED}', created_at = '${at(5).toISOString()}';
    UPDATE extension_instance SET secret = '${await encryptionKey.encrypt("newest")}'`;
  const rotate = (secret: string, second: number) =>
    during(context, newest, () => storage.rotateSecret(ID, secret, { occurredAt: at(second) }));
  await assertRejects(() => rotate("old", 4), StaleEventError);
  assertEquals(await stored(), [["p-abc123", "newest"]]);
  // A newer one changes the row that the other one left.
  await rotate("newer", 6);
  assertEquals(await stored(), [["p-abc123", "newer"]]);
});

test("a row that the application locks or changes: waited for, then changed", async ({ context, storage, sql, stored }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  const change = "UPDATE extension_instance SET variant_key = 'theirs'";
  const upsert = { ...INSTANCE, contextId: "p-2", occurredAt: at(2) };
  await during(context, change, () => storage.upsertExtension(upsert));
  const update = { ...UPDATE, contextId: "p-3" };
  await during(context, change, () => storage.updateExtension(update));
  await during(context, change, () => storage.rotateSecret(ID, "third"));
  assertEquals(await stored(), [["p-3", "third"]]);
  const rows = await sql("SELECT variant_key FROM extension_instance");
  assertEquals(rows, [{ variant_key: "theirs" }]);
  const lock = "SELECT FROM extension_instance FOR UPDATE";
  await during(context, lock, () => storage.removeInstance(ID));
  assertEquals(await stored(), []);
});

test("a row that the application deletes in the meantime: unknown", async ({ context, storage }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  const rotate = () => storage.rotateSecret(ID, "second");
  await assertRejects(
    () => during(context, "DELETE FROM extension_instance", rotate),
    UnknownExtensionInstanceError,
  );
});

test("a competing insert that is rolled back: the other one is stored", async ({ context, storage, stored, noted }) => {
  const insert = `INSERT INTO extension_instance_last_event VALUES ('${ID}', '${REMOVED}', now())`;
  const add = () => storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  await during(context, insert, add, "ROLLBACK");
  assertEquals(await stored(), [["p-abc123", "first"]]);
  assertEquals(await noted(), [[ADDED, at(1)]]);
});

test("two storages, one stalled by its key service: removed stays removed, the newest secret stays", async ({ storage, storageWith, stored }) => {
  let ask = () => {};
  let release = () => {};
  const asked = new Promise<void>((resolve) => ask = resolve);
  const released = new Promise<void>((resolve) => release = resolve);
  const key: EncryptionKey = {
    async encrypt(plaintext) {
      ask();
      await released;
      return await encryptionKey.encrypt(plaintext);
    },
    decrypt: (ciphertext) => encryptionKey.decrypt(ciphertext),
  };
  const slow = storageWith(buildEncryptedTextColumn(key));
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  const late = [
    slow.rotateSecret(ID, "old", { occurredAt: at(2) }),
    slow.upsertExtension({ ...INSTANCE, extensionInstanceId: "gone", occurredAt: at(2) }),
  ];
  for (const each of late) each.catch(() => {});
  await asked;
  // Nothing waits for them: they hold neither a lock nor a connection.
  await storage.rotateSecret(ID, "newest", { occurredAt: at(3) });
  await storage.removeInstance("gone", { occurredAt: at(3) });
  release();
  for (const each of late) await assertRejects(() => each, StaleEventError);
  assertEquals(await stored(), [["p-abc123", "newest"]]);
});

test("a deadlock with the application is retried", async (given) => {
  await withDeadlock(given, () => given.storage.rotateSecret(ID, "new"));
  assertEquals(await given.stored(), [["p-abc123", "new"]]);
});

test("a deadlock in the application's transaction is not retried", async (given) => {
  const { context, db, stored } = given;
  // A driver without transactions refuses this.
  await db.transaction(() => Promise.resolve());
  const rotate = () => db.transaction((tx) => on(tx).rotateSecret(ID, "new"));
  if (!context.session) {
    // There is no other session to wait for.
    await withDeadlock(given, rotate);
    return assertEquals(await stored(), [["p-abc123", "new"]]);
  }
  const error = await assertRejects(() => withDeadlock(given, rotate), Error);
  // The transaction's driver may throw the error that ended it.
  assertEquals(sqlStateOf(error instanceof StorageError ? error.cause : error), "40P01");
  assertEquals(await stored(), [["p-abc123", "first"]]);
});

test("serialization failures are retried", async ({ context, storage, stored }) => {
  await withSetting(context, "default_transaction_isolation = 'serializable'", async () => {
    await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
    const touch = `UPDATE extension_instance_last_event SET kind = '${ROTATED}'`;
    const rotate = () => storage.rotateSecret(ID, "second", { occurredAt: at(3) });
    await during(context, touch, rotate);
    assertEquals(await stored(), [["p-abc123", "second"]]);
  });
});

test("many events of many instances at once: the newest of each", async ({ storage, stored }) => {
  const ids = ["a", "b", "c", "d"];
  for (const extensionInstanceId of ids) {
    await storage.upsertExtension({ ...INSTANCE, extensionInstanceId, occurredAt: at(0) });
  }
  const results = await Promise.allSettled(
    [5, 2, 9, 1, 7, 3, 8, 4, 6].flatMap((second) =>
      ids.map((id) => storage.rotateSecret(id, `of ${second}`, { occurredAt: at(second) }))
    ),
  );
  for (const result of results) {
    if (result.status === "rejected") assert(result.reason instanceof StaleEventError);
  }
  assertEquals((await stored()).map(([, secret]) => secret), ids.map(() => "of 9"));
});
