/** What `PgExtensionStorage` does about events that come late, twice, or at the same time. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { pgSchema } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  buildLastEventTable,
  type EncryptionKey,
  PgExtensionStorage,
  type PgExtensionStorageOptions,
  StaleEventError,
  StorageError,
  UnknownExtensionInstanceError,
} from "../../pg/mod.ts";
import {
  encryptionKey,
  extensionInstanceDdl,
  extensionInstances,
  lastEventDdl,
  lastEvents,
} from "../support/extension_instance.ts";
import { type AnyDatabase, type Case, sqlStateOf, type TestContext } from "./suite.ts";

const ID = "11111111-1111-4111-8111-111111111111";
const INSTANCE = {
  extensionInstanceId: ID,
  contextId: "p-abc123",
  consentedScopes: ["project:read"],
  secret: "first",
};

/** A time on the day of the tests; the numbers order events. */
const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 12, 0, second));

async function prepare(context: TestContext, options: Partial<PgExtensionStorageOptions> = {}) {
  await context.sql(extensionInstanceDdl);
  await context.sql(lastEventDdl);
  return open(context, options);
}

function open(context: TestContext, options: Partial<PgExtensionStorageOptions> = {}) {
  return new PgExtensionStorage(context.open(), extensionInstances, {
    lastEvents,
    ...options,
  } as PgExtensionStorageOptions);
}

async function stored(context: TestContext) {
  const rows = await context.sql(`SELECT * FROM extension_instance ORDER BY id`);
  return await Promise.all(rows.map(async (row) => ({
    contextId: row["contextId"],
    secret: await encryptionKey.decrypt(String(row["secret"])),
  })));
}

async function noted(context: TestContext) {
  const rows = await context.sql(
    `SELECT instance_id, kind, extract(epoch FROM created_at)::text AS at
     FROM extension_instance_last_event ORDER BY instance_id`,
  );
  return rows.map((row) => [row["kind"], new Date(Number(row["at"]) * 1000)]);
}

/** Runs all of the statements on a connection of its own, with a function in the middle. */
async function during<T>(
  context: TestContext,
  statement: string,
  run: () => Promise<T>,
): Promise<T> {
  const other = await context.session!();
  try {
    await other.sql(`BEGIN; ${statement}`);
    const running = run();
    running.catch(() => {});
    await other.untilWaiting();
    await other.sql("COMMIT");
    return await running;
  } finally {
    await other.close();
  }
}

/** Sets something for all connections that are opened in between. */
async function withSetting(
  context: TestContext,
  setting: string,
  run: () => Promise<void>,
): Promise<void> {
  const [database] = await context.sql("SELECT current_database() AS name");
  const alter = `ALTER DATABASE "${database!["name"]}"`;
  await context.sql(`${alter} SET ${setting}`);
  try {
    await run();
  } finally {
    await context.sql(`${alter} RESET ${setting.split(" ")[0]}`);
  }
}

/** Has the storage wait for an instance's row whose owner waits for the row of its last event. */
async function withDeadlock(
  context: TestContext,
  run: (db: AnyDatabase) => Promise<void>,
): Promise<void> {
  // The storage is the one that finds the deadlock, and gives up; until then the other one must be waiting, too.
  await withSetting(context, "deadlock_timeout = '3s'", async () => {
    const storage = await prepare(context);
    await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
    const other = await context.session!();
    try {
      await other.sql(
        "SET deadlock_timeout = '60s'; BEGIN; SELECT FROM extension_instance FOR UPDATE",
      );
      const running = run(context.open());
      running.catch(() => {});
      await other.untilWaiting();
      await other.sql("UPDATE extension_instance_last_event SET kind = kind; COMMIT");
      await running;
    } finally {
      await other.close();
    }
  });
}

const concurrent = (name: string, run: (context: TestContext) => Promise<void>): Case => ({
  name,
  async run(context) {
    // PGlite is one session, so nothing in it waits for anything else.
    if (context.session) await run(context);
  },
});

export const order: Case[] = [
  {
    name: "an instance's whole life in order: each event is applied, and noted",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
      assertEquals(await noted(context), [["ExtensionAddedToContext", at(1)]]);
      await storage.updateExtension({
        ...INSTANCE,
        contextId: "p-new",
        enabled: true,
        occurredAt: at(2),
      });
      assertEquals(await noted(context), [["InstanceUpdated", at(2)]]);
      await storage.rotateSecret(ID, "second", { occurredAt: at(3) });
      assertEquals(await noted(context), [["SecretRotated", at(3)]]);
      assertEquals(await stored(context), [{ contextId: "p-new", secret: "second" }]);
      await storage.removeInstance(ID, { occurredAt: at(4) });
      assertEquals(await noted(context), [["InstanceRemovedFromContext", at(4)]]);
      assertEquals(await stored(context), []);
    },
  },
  {
    name: "an older event is refused, one of the same time is applied",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(5) });
      const late = { occurredAt: new Date(at(5).getTime() - 1) };
      const attempts = {
        "Storing an extension instance": () =>
          storage.upsertExtension({ ...INSTANCE, secret: "old", ...late }),
        "Updating an extension instance": () =>
          storage.updateExtension({ ...INSTANCE, contextId: "old", enabled: false, ...late }),
        "Rotating the secret of an extension instance": () => storage.rotateSecret(ID, "old", late),
      };
      for (const [attempt, run] of Object.entries(attempts)) {
        const error = await assertRejects(run, StaleEventError);
        assertEquals(error.extensionInstanceId, ID);
        assert(error.message.startsWith(`${attempt}: `));
      }
      assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "first" }]);
      assertEquals(await noted(context), [["ExtensionAddedToContext", at(5)]]);
      await storage.rotateSecret(ID, "same time", { occurredAt: at(5) });
      await storage.updateExtension({
        ...INSTANCE,
        contextId: "p-same",
        enabled: true,
        occurredAt: at(5),
      });
      assertEquals(await stored(context), [{ contextId: "p-same", secret: "same time" }]);
      await storage.upsertExtension({ ...INSTANCE, secret: "again", occurredAt: at(5) });
      assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "again" }]);
    },
  },
  {
    name: "after a removal nothing is applied, however new, but a removal",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(5) });
      // Older than what was applied, and applied all the same. The time noted does not go back.
      await storage.removeInstance(ID, { occurredAt: at(1) });
      assertEquals(await stored(context), []);
      assertEquals(await noted(context), [["InstanceRemovedFromContext", at(5)]]);
      const later = { occurredAt: at(9) };
      for (
        const run of [
          () => storage.upsertExtension({ ...INSTANCE, ...later }),
          () => storage.updateExtension({ ...INSTANCE, enabled: true, ...later }),
          () => storage.rotateSecret(ID, "x", later),
        ]
      ) await assertRejects(run, StaleEventError);
      assertEquals(await stored(context), []);
      await storage.removeInstance(ID, { occurredAt: at(7) });
      assertEquals(await noted(context), [["InstanceRemovedFromContext", at(7)]]);
      // Also of an instance that was never stored: what was given up may still come.
      await storage.removeInstance("never", { occurredAt: at(3) });
      await assertRejects(
        () =>
          storage.upsertExtension({
            ...INSTANCE,
            extensionInstanceId: "never",
            occurredAt: at(4),
          }),
        StaleEventError,
      );
    },
  },
  {
    name: "an update or a new secret of an unknown instance: not applied, not noted",
    async run(context) {
      const storage = await prepare(context);
      const ignoring = open(context, { unknownInstances: "ignore" });
      const update = { ...INSTANCE, enabled: true, occurredAt: at(9) };
      await assertRejects(() => storage.updateExtension(update), UnknownExtensionInstanceError);
      await ignoring.updateExtension(update);
      for (const each of [storage, ignoring]) {
        await assertRejects(
          () => each.rotateSecret(ID, "lost", { occurredAt: at(9) }),
          UnknownExtensionInstanceError,
        );
      }
      assertEquals(await noted(context), []);
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
      assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "first" }]);
      // A row that somebody deleted past the storage.
      await context.sql("DELETE FROM extension_instance");
      await assertRejects(
        () => storage.rotateSecret(ID, "lost", { occurredAt: at(9) }),
        UnknownExtensionInstanceError,
      );
      assertEquals(await noted(context), [["ExtensionAddedToContext", at(1)]]);
      await assertRejects(
        () => storage.rotateSecret(ID, "lost", { occurredAt: at(0) }),
        StaleEventError,
      );
    },
  },
  {
    name: "without a time it is the time of the call; a time in the future is refused",
    async run(context) {
      const storage = await prepare(context);
      const before = Date.now();
      await storage.upsertExtension(INSTANCE);
      const [[, time]] = await noted(context) as [[string, Date]];
      assert(time.getTime() >= before && time.getTime() <= Date.now());
      await assertRejects(
        () => storage.rotateSecret(ID, "late", { occurredAt: new Date(before - 1) }),
        StaleEventError,
      );
      await storage.rotateSecret(ID, "new");
      const row = await context.sql("SELECT * FROM extension_instance");
      const event = await noted(context);
      const withoutFence = new PgExtensionStorage(context.open(), extensionInstances);
      for (const each of [storage, withoutFence]) {
        for (
          const [occurredAt, expected] of [
            [new Date(Date.now() + 301_000), RangeError],
            [new Date(Date.UTC(9999, 0)), RangeError],
            [new Date(NaN), TypeError],
            ["2026-01-01" as unknown as Date, TypeError],
            [null as unknown as Date, TypeError],
          ] as const
        ) {
          const time = { occurredAt };
          await assertRejects(() => each.upsertExtension({ ...INSTANCE, ...time }), expected);
          await assertRejects(
            () => each.updateExtension({ ...INSTANCE, enabled: true, ...time }),
            expected,
          );
          await assertRejects(() => each.rotateSecret(ID, "x", time), expected);
          await assertRejects(() => each.removeInstance(ID, time), expected);
        }
        const typo = { occuredAt: new Date() } as unknown as { occurredAt: Date };
        await assertRejects(() => each.rotateSecret(ID, "x", typo), TypeError);
        await assertRejects(() => each.removeInstance(ID, typo), TypeError);
      }
      assertEquals(await context.sql("SELECT * FROM extension_instance"), row);
      assertEquals(await noted(context), event);
      // Clocks may differ a little.
      await storage.rotateSecret(ID, "ahead", { occurredAt: new Date(Date.now() + 200_000) });
    },
  },
  {
    name: "forgetRemoved: only removed instances, only those from before",
    async run(context) {
      const storage = await prepare(context);
      for (const [index, id] of ["a", "b", "c", "d"].entries()) {
        await storage.upsertExtension({
          ...INSTANCE,
          extensionInstanceId: id,
          occurredAt: at(index),
        });
        if (id !== "d") await storage.removeInstance(id, { occurredAt: at(index) });
      }
      assertEquals(await storage.forgetRemoved(at(2)), 2);
      assertEquals(await noted(context), [
        ["InstanceRemovedFromContext", at(2)],
        ["ExtensionAddedToContext", at(3)],
      ]);
      assertEquals(await storage.forgetRemoved(at(2)), 0);
      assertEquals(await storage.forgetRemoved(new Date()), 1);
      assertEquals((await stored(context)).length, 1);
      await assertRejects(() => storage.forgetRemoved(new Date(NaN)), TypeError);
      await assertRejects(
        () => new PgExtensionStorage(context.open(), extensionInstances).forgetRemoved(at(1)),
        TypeError,
      );
    },
  },
  {
    name: "one statement for an event, two for a removal, none of them named",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      await context.sql(lastEventDdl);
      const log: string[] = [];
      const db = context.open({ logger: { logQuery: (query) => log.push(query) } });
      const storage = new PgExtensionStorage(db, extensionInstances, { lastEvents });
      await storage.upsertExtension(INSTANCE);
      await storage.updateExtension({ ...INSTANCE, enabled: true });
      await storage.rotateSecret(ID, "x");
      assertEquals(log.map((query) => query.split(" ")[0]), ["with", "with", "with"]);
      await storage.removeInstance(ID);
      assertEquals(log.slice(3).map((query) => query.split(" ")[0]), ["insert", "delete"]);
    },
  },
  {
    name: "in a transaction of the application: with it, and rolled back with it",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
      await assertRejects(() =>
        context.open().transaction(async (tx) => {
          const inner = new PgExtensionStorage(tx, extensionInstances, { lastEvents });
          await inner.removeInstance(ID, { occurredAt: at(5) });
          await assertRejects(
            () => inner.upsertExtension({ ...INSTANCE, occurredAt: at(6) }),
            StaleEventError,
          );
          tx.rollback();
        })
      );
      assertEquals(await noted(context), [["ExtensionAddedToContext", at(1)]]);
      assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "first" }]);
      await context.open().transaction((tx) =>
        new PgExtensionStorage(tx, extensionInstances, { lastEvents })
          .removeInstance(ID, { occurredAt: at(5) })
      );
      assertEquals(await noted(context), [["InstanceRemovedFromContext", at(5)]]);
      assertEquals(await stored(context), []);
    },
  },
  {
    name: "a table of last events that is missing: TableMissingError, verify finds it",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      const storage = open(context);
      const attempts = {
        upsertExtension: () => storage.upsertExtension(INSTANCE),
        updateExtension: () => storage.updateExtension({ ...INSTANCE, enabled: true }),
        rotateSecret: () => storage.rotateSecret(ID, "x"),
        removeInstance: () => storage.removeInstance(ID),
        forgetRemoved: () => storage.forgetRemoved(at(1)),
        verify: () => storage.verify(),
      };
      for (const [operation, attempt] of Object.entries(attempts)) {
        const error = await assertRejects<StorageError>(attempt, StorageError);
        assertEquals([error.code, error.operation], ["ERR_TABLE_MISSING", operation]);
      }
      await context.sql(lastEventDdl);
      await storage.verify();
    },
  },
  {
    name: "with a name of the application's own, in a schema of its own",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      await context.sql(
        `CREATE SCHEMA ours; ` +
          lastEventDdl.replace('"extension_instance_last_event"', 'ours."our last event"'),
      );
      const storage = new PgExtensionStorage(context.open(), extensionInstances, {
        lastEvents: buildLastEventTable({ table: pgSchema("ours").table, name: "our last event" }),
      });
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
      await storage.upsertExtension({ ...INSTANCE, context: "customer", occurredAt: at(2) });
      await storage.updateExtension({ ...INSTANCE, contextId: "p-3", enabled: true });
      assertEquals((await storage.getExtension(ID))?.contextId, "p-3");
      await storage.removeInstance(ID);
      await assertRejects(() => storage.upsertExtension(INSTANCE), StaleEventError);
      assertEquals(await storage.forgetRemoved(new Date(Date.now() + 1000)), 1);
      await context.sql("DROP SCHEMA ours CASCADE");
    },
  },
  {
    name: "a trigger that keeps a row from being written is an error, nothing is lost silently",
    async run(context) {
      const storage = await prepare(context);
      await context.sql(
        `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON extension_instance
         FOR EACH ROW EXECUTE FUNCTION refuse()`,
      );
      const without = new PgExtensionStorage(context.open(), extensionInstances);
      for (const each of [storage, without]) {
        const error = await assertRejects(() => each.upsertExtension(INSTANCE), StorageError);
        assertEquals(
          error.message,
          "Running upsertExtension: a trigger or a policy kept the row from being written",
        );
      }
    },
  },
  concurrent(
    "added, waiting for a removal that then is committed: stays removed",
    async (context) => {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
      await assertRejects(
        () =>
          during(
            context,
            `UPDATE extension_instance_last_event SET kind = 'InstanceRemovedFromContext';
           DELETE FROM extension_instance`,
            () => storage.upsertExtension({ ...INSTANCE, occurredAt: at(9) }),
          ),
        StaleEventError,
      );
      assertEquals(await stored(context), []);
    },
  ),
  concurrent(
    "removed, waiting for one that adds it: sees the row, and deletes it",
    async (context) => {
      const storage = await prepare(context);
      await during(
        context,
        `INSERT INTO extension_instance_last_event VALUES ('${ID}', 'ExtensionAddedToContext', now());
       INSERT INTO extension_instance (id, "contextId", active, consented_scopes)
       VALUES ('${ID}', 'p-late', true, '{}')`,
        () => storage.removeInstance(ID, { occurredAt: at(1) }),
      );
      assertEquals(await stored(context), []);
      assertEquals((await noted(context))[0]?.[0], "InstanceRemovedFromContext");
    },
  ),
  concurrent("an old secret, waiting for a newer one: the newest stays", async (context) => {
    const storage = await prepare(context);
    await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
    const newest = await encryptionKey.encrypt("newest");
    const rotate = `UPDATE extension_instance_last_event
        SET kind = 'SecretRotated', created_at = '2026-01-01 12:00:05Z';
      UPDATE extension_instance SET secret = '${newest}'`;
    await assertRejects(
      () => during(context, rotate, () => storage.rotateSecret(ID, "old", { occurredAt: at(4) })),
      StaleEventError,
    );
    assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "newest" }]);
    // A newer one changes the row that the other one has left.
    await during(context, rotate, () => storage.rotateSecret(ID, "newer", { occurredAt: at(6) }));
    assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "newer" }]);
  }),
  concurrent(
    "a row that the application has locked or changes: waited for, then changed",
    async (context) => {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
      const attempts: (() => Promise<void>)[] = [
        () => storage.upsertExtension({ ...INSTANCE, contextId: "p-2", occurredAt: at(2) }),
        () => storage.updateExtension({ ...INSTANCE, contextId: "p-3", enabled: true }),
        () => storage.rotateSecret(ID, "third"),
      ];
      for (const attempt of attempts) {
        await during(
          context,
          "UPDATE extension_instance SET variant_key = 'theirs'",
          attempt,
        );
      }
      assertEquals(await stored(context), [{ contextId: "p-3", secret: "third" }]);
      const [row] = await context.sql("SELECT variant_key FROM extension_instance");
      assertEquals(row, { variant_key: "theirs" });
      await during(
        context,
        "SELECT FROM extension_instance FOR UPDATE",
        () => storage.removeInstance(ID),
      );
      assertEquals(await stored(context), []);
    },
  ),
  concurrent("a row that the application deletes meanwhile: unknown", async (context) => {
    const storage = await prepare(context);
    await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
    await assertRejects(
      () =>
        during(context, "DELETE FROM extension_instance", () => storage.rotateSecret(ID, "second")),
      UnknownExtensionInstanceError,
    );
  }),
  concurrent("a competing insert that is rolled back: the other is stored", async (context) => {
    const storage = await prepare(context);
    const other = await context.session!();
    try {
      await other.sql(
        `BEGIN; INSERT INTO extension_instance_last_event
         VALUES ('${ID}', 'InstanceRemovedFromContext', now())`,
      );
      const adding = storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
      adding.catch(() => {});
      await other.untilWaiting();
      await other.sql("ROLLBACK");
      await adding;
    } finally {
      await other.close();
    }
    assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "first" }]);
    assertEquals(await noted(context), [["ExtensionAddedToContext", at(1)]]);
  }),
  {
    name:
      "two storages, one stalled by its key service: removed stays removed, the newest secret stays",
    async run(context) {
      const storage = await prepare(context);
      let release = () => {};
      let asked = () => {};
      const isAsked = new Promise<void>((resolve) => asked = resolve);
      const stalled = new Promise<void>((resolve) => release = resolve);
      const slowKey: EncryptionKey = {
        async encrypt(plaintext) {
          asked();
          await stalled;
          return await encryptionKey.encrypt(plaintext);
        },
        decrypt: (ciphertext) => encryptionKey.decrypt(ciphertext),
      };
      const slow = new PgExtensionStorage(
        context.open(),
        buildExtensionInstanceTable(buildEncryptedTextColumn(slowKey)),
        { lastEvents },
      );
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
      const late = [
        slow.rotateSecret(ID, "old", { occurredAt: at(2) }),
        slow.upsertExtension({ ...INSTANCE, extensionInstanceId: "gone", occurredAt: at(2) }),
      ];
      for (const each of late) each.catch(() => {});
      await isAsked;
      // Nobody waits for those: they hold neither a lock nor a connection.
      await storage.rotateSecret(ID, "newest", { occurredAt: at(3) });
      await storage.removeInstance("gone", { occurredAt: at(3) });
      release();
      for (const each of late) await assertRejects(() => each, StaleEventError);
      assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "newest" }]);
    },
  },
  concurrent("a deadlock with the application is tried again", async (context) => {
    await withDeadlock(
      context,
      (db) =>
        new PgExtensionStorage(db, extensionInstances, { lastEvents }).rotateSecret(ID, "new"),
    );
    assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "new" }]);
  }),
  concurrent(
    "a deadlock with the application is not tried again in its own transaction",
    async (context) => {
      // Where the driver has no transactions, this is what it refuses.
      await context.open().transaction(() => Promise.resolve());
      const error = await assertRejects(
        () =>
          withDeadlock(
            context,
            (db) =>
              db.transaction((tx) =>
                new PgExtensionStorage(tx, extensionInstances, { lastEvents }).rotateSecret(
                  ID,
                  "new",
                )
              ),
          ),
        Error,
      );
      // The driver of a transaction may throw what ended it.
      assertEquals(sqlStateOf(error instanceof StorageError ? error.cause : error), "40P01");
      assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "first" }]);
    },
  ),
  concurrent("serialization failures are tried again", async (context) => {
    await withSetting(context, "default_transaction_isolation = 'serializable'", async () => {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
      await during(
        context,
        "UPDATE extension_instance_last_event SET kind = 'SecretRotated'",
        () => storage.rotateSecret(ID, "second", { occurredAt: at(3) }),
      );
      assertEquals(await stored(context), [{ contextId: "p-abc123", secret: "second" }]);
    });
  }),
  {
    name: "many events of many instances at once: the newest of each",
    async run(context) {
      const storage = await prepare(context);
      const ids = ["a", "b", "c", "d"];
      for (const id of ids) {
        await storage.upsertExtension({
          ...INSTANCE,
          extensionInstanceId: id,
          occurredAt: at(0),
        });
      }
      const results = await Promise.allSettled(
        [5, 2, 9, 1, 7, 3, 8, 4, 6].flatMap((second) =>
          ids.map((id) => storage.rotateSecret(id, `of ${second}`, { occurredAt: at(second) }))
        ),
      );
      for (const result of results) {
        if (result.status === "rejected") assert(result.reason instanceof StaleEventError);
      }
      assertEquals((await stored(context)).map(({ secret }) => secret), ids.map(() => "of 9"));
    },
  },
];
