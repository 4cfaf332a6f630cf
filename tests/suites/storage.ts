/** What `PgExtensionStorage` keeps. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { ExtensionStorage } from "@weissaufschwarz/mitthooks/storage/extensionStorage";
import { sql } from "drizzle-orm";
import { Cache } from "drizzle-orm/cache/core";
import { integer, text } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  DecryptionError,
  importEncryptionKey,
  PgExtensionStorage,
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
import { type Case, sqlStateOf, type TestContext } from "./suite.ts";

const INSTANCE = {
  extensionInstanceId: "11111111-1111-4111-8111-111111111111",
  contextId: "p-abc123",
  consentedScopes: ["project:read", 'with "quotes", commas and {braces}'],
  secret: "s3cr3t",
};

const ID = INSTANCE.extensionInstanceId;

async function prepare(context: TestContext) {
  await context.sql(extensionInstanceDdl);
  return new PgExtensionStorage(context.open(), extensionInstances);
}

/** The row as it is stored, its timestamps as text and its secret decrypted past the library's session. */
async function storedRow(context: TestContext, id = ID) {
  const rows = await context.sql(
    `SELECT *, "createdAt"::text AS created, "updatedAt"::text AS updated
     FROM extension_instance WHERE id = '${id}'`,
  );
  if (rows.length === 0) return undefined;
  const { secret, created, updated, createdAt: _, updatedAt: __, ...rest } = rows[0]!;
  return {
    ...rest,
    secret: await encryptionKey.decrypt(String(secret)),
    created: new Date(`${created}Z`),
    updated: new Date(`${updated}Z`),
  } as Record<string, unknown> & { secret: string; created: Date; updated: Date };
}

/** Passes once the client's clock shows a later millisecond, so that two writes cannot look alike. */
async function nextMillisecond(): Promise<void> {
  const start = Date.now();
  while (Date.now() === start) await new Promise((resolve) => setTimeout(resolve, 1));
}

export const storage: Case[] = [
  {
    name: "a new instance: the whole row",
    async run(context) {
      const storage: ExtensionStorage & PgExtensionStorage = await prepare(context);
      const before = Date.now();
      await storage.upsertExtension({ ...INSTANCE, variantKey: "pro" });
      const { created, updated, ...row } = (await storedRow(context))!;
      assertEquals<unknown>(row, {
        id: ID,
        contextId: "p-abc123",
        context: "project",
        active: true,
        variant_key: "pro",
        consented_scopes: INSTANCE.consentedScopes,
        secret: "s3cr3t",
      });
      assertEquals(created, updated);
      assert(created.getTime() >= before && created.getTime() <= Date.now());
      assertEquals(await storage.getExtension(ID), {
        id: ID,
        contextId: "p-abc123",
        context: "project",
        active: true,
        variantKey: "pro",
        consentedScopes: INSTANCE.consentedScopes,
        secret: "s3cr3t",
        createdAt: created,
        updatedAt: updated,
      });
    },
  },
  {
    name: "added again: everything is replaced, createdAt stays, the variant key can go",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension({
        ...INSTANCE,
        variantKey: "pro",
        context: "customer",
        enabled: false,
      });
      const first = (await storedRow(context))!;
      assertEquals([first.context, first.active], ["customer", false]);
      await nextMillisecond();
      await storage.upsertExtension({
        extensionInstanceId: ID,
        contextId: "c-other",
        consentedScopes: [],
        secret: "second",
      });
      const { created, updated, ...second } = (await storedRow(context))!;
      assertEquals<unknown>(second, {
        id: ID,
        contextId: "c-other",
        // Not told, so it stays.
        context: "customer",
        active: true,
        variant_key: null,
        consented_scopes: [],
        secret: "second",
      });
      assertEquals(created, first.created);
      assert(updated > first.updated);
      await storage.upsertExtension({ ...INSTANCE, context: "project" });
      assertEquals((await storedRow(context))?.context, "project");
    },
  },
  {
    name: "updated: everything but the secret",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, variantKey: "pro" });
      const first = (await storedRow(context))!;
      await nextMillisecond();
      await storage.updateExtension({
        extensionInstanceId: ID,
        contextId: "c-other",
        consentedScopes: ["only"],
        enabled: false,
        variantKey: "basic",
        context: "customer",
      });
      const second = (await storedRow(context))!;
      assertEquals<unknown>({ ...second, updated: first.updated }, {
        ...first,
        contextId: "c-other",
        context: "customer",
        active: false,
        variant_key: "basic",
        consented_scopes: ["only"],
      });
      assert(second.updated > first.updated);
      await storage.updateExtension({
        extensionInstanceId: ID,
        contextId: "c-other",
        consentedScopes: [],
        enabled: true,
      });
      const third = (await storedRow(context))!;
      assertEquals([third.variant_key, third.context, third.active, third.secret], [
        null,
        "customer",
        true,
        "s3cr3t",
      ]);
    },
  },
  {
    name: "rotated: only the secret and updatedAt",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, variantKey: "pro" });
      const first = (await storedRow(context))!;
      await nextMillisecond();
      await storage.rotateSecret(ID, "rotated");
      const second = (await storedRow(context))!;
      assertEquals<unknown>({ ...second, updated: first.updated }, { ...first, secret: "rotated" });
      assert(second.updated > first.updated);
    },
  },
  {
    name: "removed, and removed again",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension(INSTANCE);
      await storage.upsertExtension({ ...INSTANCE, extensionInstanceId: "other" });
      await storage.removeInstance(ID);
      await storage.removeInstance(ID);
      assertEquals(await storage.getExtension(ID), undefined);
      assertEquals(
        (await context.sql("SELECT id FROM extension_instance")).map(({ id }) => id),
        ["other"],
      );
    },
  },
  {
    name: "an unknown instance: an error for updates and rotations, nothing is stored",
    async run(context) {
      const storage = await prepare(context);
      const update = { ...INSTANCE, enabled: true };
      const error = await assertRejects(
        () => storage.updateExtension(update),
        UnknownExtensionInstanceError,
      );
      assertEquals([error.code, error.extensionInstanceId], ["ERR_UNKNOWN_INSTANCE", ID]);
      assertEquals(
        error.message,
        `Updating an extension instance: no instance "${ID}" is stored`,
      );
      await assertRejects(() => storage.rotateSecret(ID, "new"), UnknownExtensionInstanceError);
      const ignoring = new PgExtensionStorage(context.open(), extensionInstances, {
        unknownInstances: "ignore",
      });
      await ignoring.updateExtension(update);
      const lost = await assertRejects(
        () => ignoring.rotateSecret(ID, "n3w s3cr3t"),
        UnknownExtensionInstanceError,
      );
      assert(!String(lost.stack).includes("n3w s3cr3t"));
      assertEquals(await context.sql("SELECT * FROM extension_instance"), []);
    },
  },
  {
    name: "an empty secret can be read again",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension({ ...INSTANCE, secret: "" });
      assertEquals((await storedRow(context))?.secret, "");
      assertEquals((await storage.getExtension(ID))?.secret, "");
    },
  },
  {
    name: "a secret that is null in the database",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension(INSTANCE);
      await context.sql("UPDATE extension_instance SET secret = NULL");
      assertEquals((await storage.getExtension(ID))?.secret, null);
    },
  },
  {
    name: "a secret under another key",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension(INSTANCE);
      const otherTable = buildExtensionInstanceTable(
        buildEncryptedTextColumn(importEncryptionKey(new Uint8Array(32))),
      );
      const error = await assertRejects(
        () => new PgExtensionStorage(context.open(), otherTable).getExtension(ID),
        DecryptionError,
      );
      assertEquals([error.code, error.path], ["ERR_DECRYPTION_FAILED", "[0].secret"]);
    },
  },
  {
    name: "one upsert encrypts once",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      let encryptions = 0;
      const table = buildExtensionInstanceTable(buildEncryptedTextColumn({
        encrypt(plaintext) {
          encryptions++;
          return encryptionKey.encrypt(plaintext);
        },
        decrypt: (ciphertext) => encryptionKey.decrypt(ciphertext),
      }));
      const storage = new PgExtensionStorage(context.open(), table);
      await storage.upsertExtension(INSTANCE);
      await storage.upsertExtension(INSTANCE);
      assertEquals(encryptions, 2);
      assertEquals((await storedRow(context))?.secret, "s3cr3t");
    },
  },
  {
    name: "one statement per call",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      const log: string[] = [];
      const db = context.open({ logger: { logQuery: (query) => log.push(query) } });
      const storage = new PgExtensionStorage(db, extensionInstances);
      await storage.upsertExtension(INSTANCE);
      await storage.upsertExtension(INSTANCE);
      await storage.updateExtension({ ...INSTANCE, enabled: true });
      await storage.rotateSecret(ID, "x");
      await storage.getExtension(ID);
      await storage.removeInstance(ID);
      assertEquals(log.map((query) => query.split(" ")[0]), [
        "insert",
        "insert",
        "update",
        "update",
        "select",
        "delete",
      ]);
    },
  },
  {
    name: "two upserts of one new instance at the same time, and many of many",
    async run(context) {
      const storage = await prepare(context);
      await Promise.all([
        storage.upsertExtension(INSTANCE),
        storage.upsertExtension({ ...INSTANCE, contextId: "p-other" }),
      ]);
      assertEquals((await context.sql("SELECT id FROM extension_instance")).length, 1);
      assertEquals((await storage.getExtension(ID))?.secret, "s3cr3t");
      const ids = Array.from({ length: 40 }, (_, index) => `instance ${index % 10}`);
      await Promise.all(ids.map((extensionInstanceId) =>
        storage.upsertExtension({
          ...INSTANCE,
          extensionInstanceId,
          secret: `of ${extensionInstanceId}`,
        })
      ));
      for (const id of new Set(ids)) {
        assertEquals((await storage.getExtension(id))?.secret, `of ${id}`);
      }
    },
  },
  {
    name: "columns of the application's own stay, and are read",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      await context.sql(
        "ALTER TABLE extension_instance ADD custom_field text, ADD counter int DEFAULT 0, ADD touched int NOT NULL DEFAULT 0",
      );
      let touches = 0;
      const table = buildExtensionInstanceTable(buildEncryptedTextColumn(encryptionKey), {
        customField: text("custom_field"),
        counter: integer("counter").default(0),
        touched: integer().notNull().$onUpdate(() => ++touches),
      });
      const storage = new PgExtensionStorage(context.open(), table);
      await storage.upsertExtension(INSTANCE);
      await context.sql("UPDATE extension_instance SET custom_field = 'mine', counter = 7");
      await storage.upsertExtension({ ...INSTANCE, secret: "second" });
      await storage.updateExtension({ ...INSTANCE, enabled: false });
      await storage.rotateSecret(ID, "third");
      const row = await storage.getExtension(ID);
      assertEquals([row?.customField, row?.counter, row?.touched, row?.secret], [
        "mine",
        7,
        touches,
        "third",
      ]);
    },
  },
  {
    name: "Drizzle's cache: reads do not come from it, writes tell it",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      await context.sql(lastEventDdl);
      const asked: string[] = [];
      const mutated: unknown[] = [];
      class EagerCache extends Cache {
        override strategy() {
          return "all" as const;
        }
        override get(key: string) {
          asked.push(key);
          return Promise.resolve([]);
        }
        override put() {
          return Promise.resolve();
        }
        override onMutate(mutation: { tables?: unknown }) {
          mutated.push(mutation.tables);
          return Promise.resolve();
        }
      }
      const db = context.open({ cache: new EagerCache() });
      const storage = new PgExtensionStorage(db, extensionInstances);
      const ordered = new PgExtensionStorage(db, extensionInstances, { lastEvents });
      for (
        const [each, tables] of [
          [storage, ["extension_instance"]],
          [ordered, ["extension_instance", "extension_instance_last_event"]],
        ] as const
      ) {
        mutated.length = 0;
        await each.upsertExtension(INSTANCE);
        await each.updateExtension({ ...INSTANCE, enabled: true });
        await each.rotateSecret(ID, "second");
        assertEquals((await each.getExtension(ID))?.secret, "second");
        await each.verify();
        await each.removeInstance(ID);
        assertEquals(mutated, [tables, tables, tables, tables]);
      }
      assertEquals(asked, []);
    },
  },
  {
    name: "functions of columns of the application's own are called for each statement",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      await context.sql(
        "ALTER TABLE extension_instance ADD made int, ADD token text, ADD seen text, ADD stamp text",
      );
      const column = buildEncryptedTextColumn(encryptionKey);
      let calls = 0;
      const table = buildExtensionInstanceTable(column, {
        made: integer().$default(() => ++calls),
        token: column().$default(() => `token ${calls}`),
        seen: column().$onUpdate(() => `seen ${++calls}`),
        stamp: text().$onUpdate(() => sql`'from ' || 'SQL'`),
      });
      const storage = new PgExtensionStorage(context.open(), table);
      const other = "22222222-2222-4222-8222-222222222222";
      await storage.upsertExtension(INSTANCE);
      const first = (await storage.getExtension(ID))!;
      assertEquals([first.token, first.stamp], ["token 1", "from SQL"]);
      await storage.upsertExtension({ ...INSTANCE, extensionInstanceId: other });
      const second = (await storage.getExtension(other))!;
      assert(second.made! > first.made!);
      assertEquals(second.token, `token ${second.made}`);
      await storage.updateExtension({ ...INSTANCE, enabled: false });
      const updated = (await storage.getExtension(ID))!;
      assertEquals([updated.made, updated.token, updated.seen], [
        first.made,
        first.token,
        `seen ${calls}`,
      ]);
      const rows = await context.sql(
        `SELECT token, seen FROM extension_instance WHERE id = '${ID}'`,
      );
      assertEquals(await encryptionKey.decrypt(String(rows[0]!["seen"])), `seen ${calls}`);
      assertEquals(await encryptionKey.decrypt(String(rows[0]!["token"])), "token 1");

      const careless = buildExtensionInstanceTable(column, {
        token: column().$default(() => sql`'plain'`),
      });
      await assertRejects(
        () => new PgExtensionStorage(context.open(), careless).upsertExtension(INSTANCE),
        TypeError,
      );
    },
  },
  {
    name: "in a transaction of the application: rolled back with it, committed with it",
    async run(context) {
      const storage = await prepare(context);
      const db = context.open();
      await assertRejects(() =>
        db.transaction(async (tx) => {
          const inner = new PgExtensionStorage(tx, extensionInstances);
          await inner.upsertExtension(INSTANCE);
          assertEquals((await inner.getExtension(ID))?.secret, "s3cr3t");
          tx.rollback();
        })
      );
      assertEquals(await storage.getExtension(ID), undefined);
      await db.transaction((tx) =>
        tx.transaction((nested) =>
          new PgExtensionStorage(nested, extensionInstances).upsertExtension(INSTANCE)
        )
      );
      assertEquals((await storage.getExtension(ID))?.secret, "s3cr3t");
    },
  },
  {
    name: "with Drizzle's casing the names in the database follow it, as in the original",
    async run(context) {
      const snakeCase = extensionInstanceDdl.replaceAll("contextId", "context_id")
        .replaceAll("createdAt", "created_at").replaceAll("updatedAt", "updated_at");
      await context.sql(snakeCase);
      const storage = new PgExtensionStorage(
        context.open({ casing: "snake_case" }),
        extensionInstances,
      );
      await storage.upsertExtension(INSTANCE);
      await storage.upsertExtension({ ...INSTANCE, contextId: "p-second" });
      await storage.updateExtension({ ...INSTANCE, contextId: "p-third", enabled: true });
      assertEquals((await storage.getExtension(ID))?.contextId, "p-third");
      await context.sql(lastEventDdl);
      const ordered = new PgExtensionStorage(
        context.open({ casing: "snake_case" }),
        extensionInstances,
        { lastEvents },
      );
      await ordered.updateExtension({ ...INSTANCE, contextId: "p-fourth", enabled: true });
      await ordered.upsertExtension({ ...INSTANCE, contextId: "p-fifth", context: "customer" });
      assertEquals((await storage.getExtension(ID))?.contextId, "p-fifth");
    },
  },
  {
    name: "a violated constraint: StorageError with the driver's error, nothing half-written",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension(INSTANCE);
      const before = await storedRow(context);
      const attempts: [string, () => Promise<void>][] = [
        [
          "upsertExtension",
          () => storage.upsertExtension({ ...INSTANCE, contextId: "x".repeat(37) }),
        ],
        [
          "upsertExtension",
          () => storage.upsertExtension({ ...INSTANCE, extensionInstanceId: "x".repeat(37) }),
        ],
        [
          "updateExtension",
          () => storage.updateExtension({ ...INSTANCE, contextId: "x".repeat(37), enabled: true }),
        ],
      ];
      for (const [operation, attempt] of attempts) {
        const error = await assertRejects(attempt, StorageError);
        assertEquals([error.code, error.operation], ["ERR_STORAGE_FAILED", operation]);
        // string_data_right_truncation
        assertEquals(sqlStateOf(error.cause), "22001");
        assert(!String(error.stack).includes("s3cr3t"));
      }
      assertEquals(await storedRow(context), before);
    },
  },
  {
    name: "a missing table: TableMissingError",
    async run(context) {
      const storage = new PgExtensionStorage(context.open(), extensionInstances);
      const attempts = {
        upsertExtension: () => storage.upsertExtension(INSTANCE),
        updateExtension: () => storage.updateExtension({ ...INSTANCE, enabled: true }),
        rotateSecret: () => storage.rotateSecret(ID, "x"),
        removeInstance: () => storage.removeInstance(ID),
        getExtension: () => storage.getExtension(ID),
        verify: () => storage.verify(),
      };
      for (const [operation, attempt] of Object.entries(attempts)) {
        const error = await assertRejects<StorageError>(attempt, StorageError);
        assertEquals([error.name, error.code, error.operation], [
          "TableMissingError",
          "ERR_TABLE_MISSING",
          operation,
        ]);
        assertEquals(sqlStateOf(error.cause), "42P01");
      }
    },
  },
  {
    name: "a missing field, or a secret that is no well-formed string: TypeError, nothing changes",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension(INSTANCE);
      const before = await storedRow(context);
      for (const secret of ["\ud800", undefined, 7] as string[]) {
        await assertRejects(() => storage.rotateSecret(ID, secret), TypeError);
        await assertRejects(() => storage.upsertExtension({ ...INSTANCE, secret }), TypeError);
      }
      const state = { ...INSTANCE, enabled: false, contextId: "p-new", consentedScopes: ["new"] };
      for (const field of ["extensionInstanceId", "contextId", "consentedScopes", "enabled"]) {
        const incomplete = { ...state, [field]: undefined } as unknown as typeof state;
        const error = await assertRejects(() => storage.updateExtension(incomplete), TypeError);
        assertEquals(error.message, `Updating an extension instance: ${field} is missing`);
        if (field !== "enabled") {
          await assertRejects(() => storage.upsertExtension(incomplete), TypeError);
        }
      }
      const nobody = undefined as unknown as string;
      await assertRejects(() => storage.removeInstance(nobody), TypeError);
      await assertRejects(() => storage.getExtension(nobody), TypeError);
      await assertRejects(() => storage.rotateSecret(nobody, "x"), TypeError);
      assertEquals(await storedRow(context), before);
    },
  },
  {
    name: "verify: all is well without a row, without a secret, and with a secret that can be read",
    async run(context) {
      const storage = await prepare(context);
      await storage.verify();
      await storage.upsertExtension(INSTANCE);
      const before = await storedRow(context);
      await storage.verify();
      assertEquals(await storedRow(context), before);
      await context.sql("UPDATE extension_instance SET secret = NULL");
      await storage.verify();
    },
  },
  {
    name: "verify: a missing column, of the application's own, too",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension(INSTANCE);
      const table = buildExtensionInstanceTable(buildEncryptedTextColumn(encryptionKey), {
        customField: text("custom_field"),
      });
      const own = new PgExtensionStorage(context.open(), table);
      const found = async (attempt: () => Promise<void>) => {
        const error = await assertRejects<StorageError>(attempt, StorageError);
        assertEquals(
          [error.operation, error.message],
          [
            "verify",
            "Running verify: a column of the table does not exist, run the migrations first; " +
            "where drizzle() is given a casing, drizzle.config.ts needs the same",
          ],
        );
        // undefined_column
        assertEquals(sqlStateOf(error.cause), "42703");
      };
      await found(() => own.verify());
      await storage.verify();
      await context.sql("ALTER TABLE extension_instance DROP variant_key");
      await found(() => storage.verify());
    },
  },
  {
    name: "verify: a secret of another master password: the error names the likely cause",
    async run(context) {
      const storage = await prepare(context);
      await storage.upsertExtension(INSTANCE);
      for (const [password, salt] of [["another", "salt"], ["password", "another"]] as const) {
        const table = buildExtensionInstanceTable(
          buildEncryptedTextColumn(buildEncryptionKey(password, salt)),
        );
        const error = await assertRejects(
          () => new PgExtensionStorage(context.open(), table).verify(),
          DecryptionError,
        );
        assertEquals(error.code, "ERR_DECRYPTION_FAILED");
        assertMatch(error.message, /another master password or salt/);
      }
    },
  },
  {
    name: "verify: a key that cannot be had, without a row as well",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      const outage = new Error("the service is away");
      const table = buildExtensionInstanceTable(buildEncryptedTextColumn({
        encrypt: () => Promise.reject(outage),
        decrypt: () => Promise.reject(outage),
      }));
      const storage = new PgExtensionStorage(context.open(), table);
      assertEquals(await assertRejects(() => storage.verify()), outage);
      await new PgExtensionStorage(context.open(), extensionInstances).upsertExtension(INSTANCE);
      assertEquals(await assertRejects(() => storage.verify()), outage);
    },
  },
  {
    name: "nothing is printed",
    async run(context) {
      const printed: unknown[] = [];
      const methods = ["log", "info", "warn", "error", "debug", "trace"] as const;
      const originals = methods.map((method) => console[method]);
      for (const method of methods) console[method] = (...args: unknown[]) => printed.push(args);
      try {
        const storage = new PgExtensionStorage(context.open(), extensionInstances);
        await assertRejects(() => storage.upsertExtension(INSTANCE));
        await context.sql(extensionInstanceDdl);
        await storage.upsertExtension(INSTANCE);
        await assertRejects(() => storage.rotateSecret("unknown", "x"));
      } finally {
        for (const [index, method] of methods.entries()) console[method] = originals[index]!;
      }
      assertEquals(printed, []);
    },
  },
];
