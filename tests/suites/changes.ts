/** What `PgExtensionStorage` does with handlers for changes. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  type ChangeHandlers,
  DecryptionError,
  type EncryptionKey,
  HandlerFailedError,
  importEncryptionKey,
  PgExtensionStorage,
  StaleEventError,
  StorageError,
  UnknownExtensionInstanceError,
} from "../../pg/mod.ts";
import {
  encryptionKey,
  extensionInstanceDdl,
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
type Seen = [name: string, change: Record<string, unknown>];

async function createTables(context: TestContext): Promise<void> {
  key.current = encryptionKey;
  await context.sql(extensionInstanceDdl);
  await context.sql(lastEventDdl);
  await context.sql(`
    ALTER TABLE extension_instance ADD note text, ADD hidden text, ADD touched int;
    CREATE TABLE site (
      instance_id text NOT NULL REFERENCES extension_instance ON DELETE CASCADE, token text
    )`);
}

function open(context: TestContext, on: Handlers, db = context.open()) {
  return new PgExtensionStorage(db, instances, { lastEvents, on });
}

/** Handlers that note what they get, the transaction left out. */
function watch(seen: Seen[]): Handlers {
  const note = (name: string) => ({ tx: _, ...change }: { tx: unknown }) => {
    seen.push([name, change]);
  };
  return {
    added: note("added"),
    updated: note("updated"),
    secretRotated: note("secretRotated"),
    removed: note("removed"),
  };
}

const names = (seen: Seen[]) => seen.splice(0).map(([name]) => name);

async function count(context: TestContext, table: string): Promise<number> {
  return (await context.sql(`SELECT 1 FROM ${table}`)).length;
}

export const changes: Case[] = [
  {
    name: "each change once, with its rows; what changes nothing calls nothing",
    async run(context) {
      await createTables(context);
      const seen: Seen[] = [];
      const storage = open(context, watch(seen));
      await storage.upsertExtension({ ...INSTANCE, context: "customer" });
      const first = await storage.getExtension(ID);
      assertEquals(first?.hidden, "made");
      assertEquals(seen.splice(0), [["added", { instance: first }]]);

      await storage.upsertExtension({ ...INSTANCE });
      await storage.updateExtension({ ...INSTANCE, enabled: true });
      await storage.rotateSecret(ID, "first");
      assertEquals(seen, []);

      const before = await storage.getExtension(ID);
      const update = { ...INSTANCE, enabled: false, variantKey: "pro", consentedScopes: ["other"] };
      await storage.updateExtension(update);
      await storage.updateExtension(update);
      const instance = await storage.getExtension(ID);
      assertEquals([instance?.secret, instance?.touched], ["first", 7]);
      assertEquals(seen.splice(0).map(([name, change]) => [name, change["before"]]), [
        ["updated", before],
      ]);

      await storage.rotateSecret(ID, "second");
      await storage.rotateSecret(ID, "second");
      assertEquals(seen.map(([, { instance }]) => (instance as { secret: string }).secret), [
        "second",
      ]);
      assertEquals(names(seen), ["secretRotated"]);

      // A repeated addition can make both.
      await storage.upsertExtension({ ...INSTANCE, secret: "third" });
      assertEquals(names(seen), ["updated", "secretRotated"]);

      const last = await storage.getExtension(ID);
      assertEquals([last?.secret, last?.hidden], ["third", "made"]);
      await storage.removeInstance(ID);
      await storage.removeInstance(ID);
      assertEquals(seen.splice(0), [["removed", { instance: last }]]);
      assertEquals(await count(context, "extension_instance"), 0);
    },
  },
  {
    name: "each difference of state is an update, the order of scopes included",
    async run(context) {
      await createTables(context);
      const seen: Seen[] = [];
      const storage = open(context, watch(seen));
      const state = { ...INSTANCE, consentedScopes: ["a", "b"], enabled: true };
      await storage.upsertExtension(state);
      names(seen);
      for (
        const change of [
          { contextId: "p-other" },
          { context: "customer" as const },
          { enabled: false },
          { variantKey: "pro" },
          { consentedScopes: ["b", "a"] },
          { consentedScopes: [] },
        ]
      ) {
        Object.assign(state, change);
        await storage.updateExtension(state);
        await storage.updateExtension(state);
        assertEquals(names(seen), ["updated"], JSON.stringify(change));
      }
    },
  },
  {
    name: "what a handler writes through tx is there once; removed comes before the row goes",
    async run(context) {
      await createTables(context);
      const removed: unknown[] = [];
      const storage = open(context, {
        added: async ({ instance, tx }) => {
          await tx.insert(sites).values({ instanceId: instance.id, token: instance.secret });
        },
        removed: async ({ instance, tx }) => {
          removed.push(instance.secret, await tx.select().from(sites));
        },
      });
      await storage.upsertExtension(INSTANCE);
      await storage.upsertExtension(INSTANCE);
      const rows = await context.sql("SELECT token FROM site");
      assertEquals(rows.length, 1);
      assertEquals(await encryptionKey.decrypt(String(rows[0]!["token"])), "first");
      await storage.rotateSecret(ID, "second");
      await storage.removeInstance(ID);
      assertEquals(removed, ["second", [{ instanceId: ID, token: "first" }]]);
      assertEquals(await count(context, "site"), 0);
    },
  },
  {
    name: "a handler that throws: nothing of it is stored, the next attempt is, once",
    async run(context) {
      await createTables(context);
      const failure = new Error("the quota is used up");
      let failing = true;
      const write = async ({ tx }: { tx: AnyDatabase }) => {
        await tx.insert(sites).values({ instanceId: ID, token: "t" });
        if (failing) throw failure;
      };
      const storage = open(context, {
        added: write,
        updated: write,
        secretRotated: write,
        removed: write,
      });
      let before = await dump(context);
      for (
        const attempt of [
          () => storage.upsertExtension(INSTANCE),
          () => storage.updateExtension({ ...INSTANCE, enabled: false }),
          () => storage.rotateSecret(ID, "second"),
          () => storage.removeInstance(ID),
        ]
      ) {
        failing = true;
        const error = await assertRejects(attempt, HandlerFailedError);
        assertEquals([error.code, error.cause], ["ERR_HANDLER_FAILED", failure]);
        assertEquals(await dump(context), before);
        failing = false;
        await attempt();
        assertEquals(before === await dump(context), false);
        before = await dump(context);
      }
      assertEquals(await count(context, "extension_instance"), 0);
    },
  },
  {
    name: "a handler that hides an error of the database: an error all the same",
    async run(context) {
      await createTables(context);
      const storage = open(context, {
        added: async ({ tx }) => {
          await tx.insert(sites).values({ instanceId: "unheard of" }).catch(() => {});
        },
      });
      await assertRejects(() => storage.upsertExtension(INSTANCE), HandlerFailedError);
      assertEquals(await count(context, "extension_instance"), 0);
      assertEquals(await count(context, "extension_instance_last_event"), 0);
    },
  },
  {
    name: "stale and unknown: refused as without handlers, which are not called",
    async run(context) {
      await createTables(context);
      const seen: Seen[] = [];
      const storage = open(context, watch(seen));
      const now = Date.now();
      await assertRejects(() => storage.rotateSecret(ID, "x"), UnknownExtensionInstanceError);
      await assertRejects(
        () => storage.updateExtension({ ...INSTANCE, enabled: true }),
        UnknownExtensionInstanceError,
      );
      await new PgExtensionStorage(context.open(), instances, {
        lastEvents,
        on: watch(seen),
        unknownInstances: "ignore",
      }).updateExtension({ ...INSTANCE, enabled: true });
      assertEquals(await count(context, "extension_instance_last_event"), 0);
      await storage.upsertExtension({ ...INSTANCE, occurredAt: new Date(now) });
      names(seen);
      const before = await dump(context);
      await assertRejects(
        () => storage.rotateSecret(ID, "old", { occurredAt: new Date(now - 1) }),
        StaleEventError,
      );
      assertEquals(await dump(context), before);
      await storage.removeInstance(ID, { occurredAt: new Date(now - 1) });
      assertEquals(names(seen), ["removed"]);
      await assertRejects(() => storage.upsertExtension(INSTANCE), StaleEventError);
      await storage.removeInstance("never stored");
      assertEquals(seen, []);
    },
  },
  {
    name: "without a handler for an event there is no transaction, and no further statement",
    async run(context) {
      await createTables(context);
      const log: string[] = [];
      const db = context.open({ logger: { logQuery: (query) => log.push(query) } });
      const storage = open(context, { removed: () => {} }, db);
      await storage.upsertExtension(INSTANCE);
      await storage.updateExtension({ ...INSTANCE, enabled: false });
      await storage.rotateSecret(ID, "x");
      assertEquals(log.map((query) => query.split(" ")[0]), ["with", "with", "with"]);
      const others = open(context, { secretRotated: () => {} }, db);
      log.length = 0;
      await others.updateExtension({ ...INSTANCE, enabled: true });
      await others.removeInstance(ID);
      assertEquals(log.map((query) => query.split(" ")[0]), ["with", "insert", "delete"]);
    },
  },
  {
    name: "in a transaction of the application: a handler's error rolls back to where it began",
    async run(context) {
      await createTables(context);
      await context.open().transaction(async (tx) => {
        const storage = open(context, {
          added: async ({ instance, tx: inner }) => {
            await inner.insert(sites).values({ instanceId: instance.id });
            if (instance.contextId === "fails") throw new Error("no");
          },
        }, tx);
        await storage.upsertExtension(INSTANCE);
        await assertRejects(
          () =>
            storage.upsertExtension({
              ...INSTANCE,
              extensionInstanceId: "another",
              contextId: "fails",
            }),
          HandlerFailedError,
        );
      });
      assertEquals(await context.sql("SELECT id FROM extension_instance"), [{ id: ID }]);
      assertEquals(await count(context, "site"), 1);
      assertEquals(await count(context, "extension_instance_last_event"), 1);
    },
  },
  {
    name: "a stored secret that cannot be read: replaced, but not handed out",
    async run(context) {
      await createTables(context);
      const seen: Seen[] = [];
      const storage = open(context, watch(seen));
      await storage.upsertExtension(INSTANCE);
      names(seen);
      await context.sql("UPDATE extension_instance SET secret = 'damaged'");
      const before = await dump(context);
      await assertRejects(() => storage.removeInstance(ID), DecryptionError);
      await assertRejects(
        () => storage.updateExtension({ ...INSTANCE, enabled: false }),
        DecryptionError,
      );
      assertEquals(await dump(context), before);
      assertEquals(seen, []);
      await storage.rotateSecret(ID, "second");
      assertEquals(names(seen), ["secretRotated"]);
      await context.sql("UPDATE extension_instance SET secret = NULL");
      await storage.upsertExtension({ ...INSTANCE, secret: "third" });
      assertEquals(names(seen), ["secretRotated"]);
    },
  },
  {
    name: "a slow key service holds no lock: all of it is asked before the transaction begins",
    async run(context) {
      await createTables(context);
      const log: string[] = [];
      const db = context.open({ logger: { logQuery: (query) => log.push(query.split(" ")[0]!) } });
      const storage = open(context, watch([]), db);
      key.current = {
        encrypt(plaintext) {
          log.push("encrypt");
          return encryptionKey.encrypt(plaintext);
        },
        decrypt(ciphertext) {
          log.push("decrypt");
          return encryptionKey.decrypt(ciphertext);
        },
      };
      for (
        const [attempt, expected] of [
          [() => storage.upsertExtension(INSTANCE), 2],
          [() => storage.rotateSecret(ID, "second"), 3],
          [() => storage.updateExtension({ ...INSTANCE, enabled: false }), 2],
          [() => storage.removeInstance(ID), 2],
        ] as const
      ) {
        log.length = 0;
        await attempt();
        // The first row that a transaction writes is that of the last event.
        const [before, after] = [
          log.slice(0, log.indexOf("insert")),
          log.slice(log.indexOf("insert")),
        ];
        const asked = (entry: string) => entry.endsWith("crypt");
        assertEquals([before.filter(asked).length, after.filter(asked)], [expected, []]);
      }
    },
  },
  {
    name: "a secret that changes after it was decrypted ahead: decrypted again, outside",
    async run(context) {
      await createTables(context);
      const seen: Seen[] = [];
      await open(context, {}).upsertExtension(INSTANCE);
      const storage = open(context, watch(seen));
      const other = importEncryptionKey(new Uint8Array(32).fill(9));
      let decryptions = 0;
      key.current = {
        encrypt: (plaintext) => encryptionKey.encrypt(plaintext),
        async decrypt(ciphertext) {
          // Somebody else writes the same secret under another ciphertext, between reading and locking.
          if (decryptions++ === 0) {
            const again = await encryptionKey.encrypt("second");
            await context.sql(`UPDATE extension_instance SET secret = '${again}'`);
          }
          return await encryptionKey.decrypt(ciphertext).catch(() => other.decrypt(ciphertext));
        },
      };
      await storage.rotateSecret(ID, "second");
      assertEquals(seen, []);
      await storage.removeInstance(ID);
      assertEquals(
        seen.map(([name, { instance }]) => [name, (instance as { secret: string }).secret]),
        [["removed", "second"]],
      );
    },
  },
  {
    name: "a key that cannot be had: its own error, nothing is stored",
    async run(context) {
      await createTables(context);
      const storage = open(context, watch([]));
      await storage.upsertExtension(INSTANCE);
      const before = await dump(context);
      const outage = new Error("the service is away");
      key.current = {
        encrypt: () => Promise.reject(outage),
        decrypt: () => Promise.reject(outage),
      };
      for (
        const attempt of [
          () => storage.upsertExtension(INSTANCE),
          () => storage.updateExtension({ ...INSTANCE, enabled: false }),
          () => storage.rotateSecret(ID, "second"),
          () => storage.removeInstance(ID),
        ]
      ) assertEquals(await assertRejects(attempt), outage);
      assertEquals(await dump(context), before);
    },
  },
  {
    name: "an error of the database in the transaction: StorageError with the driver's error",
    async run(context) {
      await createTables(context);
      const storage = open(context, watch([]));
      const error = await assertRejects(
        () => storage.upsertExtension({ ...INSTANCE, contextId: "x".repeat(37) }),
        StorageError,
      );
      assertEquals([error.operation, sqlStateOf(error.cause)], ["upsertExtension", "22001"]);
      assertEquals(await count(context, "extension_instance_last_event"), 0);
      await context.sql("DROP TABLE extension_instance_last_event");
      const missing = await assertRejects<StorageError>(
        () => storage.removeInstance(ID),
        StorageError,
      );
      assertEquals(missing.code, "ERR_TABLE_MISSING");
    },
  },
  {
    name:
      "a constraint that is checked at the end of the transaction: StorageError, nothing stored",
    async run(context) {
      await createTables(context);
      await context.sql(`
        CREATE TABLE late (id text REFERENCES extension_instance DEFERRABLE INITIALLY DEFERRED)`);
      const late = pgTable("late", { id: text() });
      const storage = open(context, {
        added: ({ tx }) => tx.insert(late).values({ id: "unheard of" }),
      });
      const error = await assertRejects(() => storage.upsertExtension(INSTANCE), StorageError);
      assertEquals(sqlStateOf(error.cause), "23503");
      assertEquals(await count(context, "extension_instance"), 0);
    },
  },
  {
    name: "the same event many times at once: added once, rotated once, removed once",
    async run(context) {
      await createTables(context);
      const seen: Seen[] = [];
      const storages = Array.from({ length: 4 }, () => open(context, watch(seen)));
      const occurredAt = new Date();
      const all = (run: (storage: typeof storages[number]) => Promise<void>) =>
        Promise.all(storages.map(run));
      await all((storage) => storage.upsertExtension({ ...INSTANCE, occurredAt }));
      assertEquals(names(seen), ["added"]);
      await all((storage) => storage.rotateSecret(ID, "second", { occurredAt }));
      assertEquals(names(seen), ["secretRotated"]);
      await all((storage) => storage.updateExtension({ ...INSTANCE, enabled: false, occurredAt }));
      assertEquals(names(seen), ["updated"]);
      await all((storage) => storage.removeInstance(ID, { occurredAt }));
      assertEquals(names(seen), ["removed"]);
    },
  },
  {
    name: "a conflict in a handler is tried again, with the handler; five times in all",
    async run(context) {
      await createTables(context);
      let calls = 0;
      let conflicts = 2;
      const storage = open(context, {
        added: async ({ tx }) => {
          calls++;
          await tx.insert(sites).values({ instanceId: ID });
          if (conflicts-- > 0) {
            await tx.execute(`DO $$ BEGIN RAISE SQLSTATE '40001'; END $$`);
          }
        },
      });
      await storage.upsertExtension(INSTANCE);
      assertEquals([calls, await count(context, "site")], [3, 1]);
      await context.sql("DELETE FROM extension_instance");
      [calls, conflicts] = [0, 99];
      const error = await assertRejects(
        () => storage.upsertExtension(INSTANCE),
        HandlerFailedError,
      );
      assert(error.cause instanceof Error);
      assertEquals([calls, await count(context, "extension_instance")], [5, 0]);
    },
  },
];

/** Everything that is stored, as text. */
async function dump(context: TestContext): Promise<string> {
  return JSON.stringify([
    await context.sql("SELECT * FROM extension_instance ORDER BY id"),
    await context.sql("SELECT * FROM extension_instance_last_event ORDER BY instance_id"),
    await context.sql("SELECT * FROM site"),
  ]);
}
