/** Rows stored by `PgExtensionStorage`. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { ExtensionStorage } from "@weissaufschwarz/mitthooks/storage/extensionStorage";
import { sql } from "drizzle-orm";
import { integer, text } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  DecryptionError,
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
import { MemoryCache } from "./confidentiality.ts";
import { events, ID, INSTANCE, nextMillisecond, openStorages, UPDATE } from "./instances.ts";
import { sqlStateOf, statementLog, suite } from "./suite.ts";

const { cases, test } = suite(async (context) => {
  const opened = await openStorages(context);
  /**
   * The stored row, with timestamps as text and its secret decrypted past the library's session.
   */
  const storedRow = async () => {
    const rows = await context.sql(
      `SELECT *, "createdAt"::text AS created, "updatedAt"::text AS updated
       FROM extension_instance WHERE id = '${ID}'`,
    );
    const { secret, created, updated, createdAt: _, updatedAt: __, ...rest } = rows[0]!;
    return {
      ...rest as { context: string; active: boolean; variant_key: string | null },
      secret: await encryptionKey.decrypt(String(secret)),
      created: new Date(`${created}Z`),
      updated: new Date(`${updated}Z`),
    };
  };
  return { ...opened, storage: opened.unordered, ordered: opened.storage, storedRow };
});
export { cases as storage };

test("a new instance: the whole row", async ({ storage, storedRow }) => {
  const mitthooks: ExtensionStorage = storage;
  const before = Date.now();
  await mitthooks.upsertExtension({ ...INSTANCE, variantKey: "pro" });
  const { created, updated, ...row } = await storedRow();
  const { contextId, consentedScopes, secret } = INSTANCE;
  const common = { id: ID, contextId, context: "project", active: true, secret };
  assertEquals<unknown>(row, { ...common, variant_key: "pro", consented_scopes: consentedScopes });
  assertEquals(created, updated);
  assert(created.getTime() >= before && created.getTime() <= Date.now());
  assertEquals<unknown>(await storage.getExtension(ID), {
    ...common,
    ...{ variantKey: "pro", consentedScopes, createdAt: created, updatedAt: updated },
  });
});

test("added again: everything is replaced, createdAt stays, the variant key may be removed", async ({ storage, storedRow }) => {
  const first = { ...INSTANCE, variantKey: "pro", context: "customer", enabled: false } as const;
  await storage.upsertExtension(first);
  const before = await storedRow();
  assertEquals([before.context, before.active], ["customer", false]);
  await nextMillisecond();
  const second = { contextId: "c-other", consentedScopes: [], secret: "second" };
  await storage.upsertExtension({ ...second, extensionInstanceId: ID });
  const { updated, ...after } = await storedRow();
  assertEquals<unknown>(after, {
    ...{ id: ID, contextId: "c-other", active: true, variant_key: null, consented_scopes: [] },
    ...{ secret: "second", created: before.created },
    // Not given, so it stays.
    context: "customer",
  });
  assert(updated > before.updated);
  await storage.upsertExtension({ ...INSTANCE, context: "project" });
  assertEquals((await storedRow()).context, "project");
});

test("updated: everything but the secret", async ({ storage, storedRow }) => {
  await storage.upsertExtension({ ...INSTANCE, variantKey: "pro" });
  const first = await storedRow();
  await nextMillisecond();
  const update = { extensionInstanceId: ID, contextId: "c-other", consentedScopes: ["only"] };
  const more = { enabled: false, variantKey: "basic", context: "customer" } as const;
  await storage.updateExtension({ ...update, ...more });
  const second = await storedRow();
  assertEquals<unknown>({ ...second, updated: first.updated }, {
    ...first,
    ...{ contextId: "c-other", context: "customer", active: false, variant_key: "basic" },
    consented_scopes: ["only"],
  });
  assert(second.updated > first.updated);
  await storage.updateExtension({ ...update, enabled: true });
  const { variant_key, context, active, secret } = await storedRow();
  assertEquals([variant_key, context, active, secret], [null, "customer", true, "first"]);
});

test("rotated: only the secret and updatedAt", async ({ storage, storedRow }) => {
  await storage.upsertExtension({ ...INSTANCE, variantKey: "pro" });
  const first = await storedRow();
  await nextMillisecond();
  await storage.rotateSecret(ID, "rotated");
  const second = await storedRow();
  assertEquals({ ...second, updated: first.updated }, { ...first, secret: "rotated" });
  assert(second.updated > first.updated);
});

test("removed, and removed again", async ({ storage, sql }) => {
  await storage.upsertExtension(INSTANCE);
  await storage.upsertExtension({ ...INSTANCE, extensionInstanceId: "other" });
  await storage.removeInstance(ID);
  await storage.removeInstance(ID);
  assertEquals(await storage.getExtension(ID), undefined);
  assertEquals(await sql("SELECT id FROM extension_instance"), [{ id: "other" }]);
});

test("an unknown instance: updates and rotations are errors, nothing is stored", async ({ storage, db, stored }) => {
  const update = () => storage.updateExtension(UPDATE);
  const error = await assertRejects(update, UnknownExtensionInstanceError);
  assertEquals([error.code, error.extensionInstanceId], ["ERR_UNKNOWN_INSTANCE", ID]);
  assertEquals(error.message, `Updating an extension instance: no instance "${ID}" is stored`);
  const ignoring = new PgExtensionStorage(db, extensionInstances, { unknownInstances: "ignore" });
  await ignoring.updateExtension(UPDATE);
  for (const each of [storage, ignoring]) {
    const rotate = () => each.rotateSecret(ID, "n3w s3cr3t");
    const lost = await assertRejects(rotate, UnknownExtensionInstanceError);
    assert(!String(lost.stack).includes("n3w s3cr3t"));
  }
  assertEquals(await stored(), []);
});

test("secrets that are empty, or null in the database", async ({ storage, storedRow, sql }) => {
  await storage.upsertExtension({ ...INSTANCE, secret: "" });
  assertEquals((await storedRow()).secret, "");
  assertEquals((await storage.getExtension(ID))?.secret, "");
  await sql("UPDATE extension_instance SET secret = NULL");
  assertEquals((await storage.getExtension(ID))?.secret, null);
});

test("one upsert encrypts once", async ({ storageWith, storedRow }) => {
  let encryptions = 0;
  const storage = storageWith(buildEncryptedTextColumn({
    encrypt(plaintext) {
      encryptions++;
      return encryptionKey.encrypt(plaintext);
    },
    decrypt: (ciphertext) => encryptionKey.decrypt(ciphertext),
  }));
  await storage.upsertExtension(INSTANCE);
  await storage.upsertExtension(INSTANCE);
  assertEquals([encryptions, (await storedRow()).secret], [2, "first"]);
});

test("one statement per call, two for a removal with last events", async ({ open }) => {
  const { logger, verbs } = statementLog();
  const db = open({ logger });
  const storage = new PgExtensionStorage(db, extensionInstances);
  const ordered = new PgExtensionStorage(db, extensionInstances, { lastEvents });
  await storage.upsertExtension(INSTANCE);
  for (const event of Object.values(events)) await event(storage);
  assertEquals(verbs(), ["insert", "insert", "update", "update", "delete"]);
  for (const event of Object.values(events)) await event(ordered);
  assertEquals(verbs(), ["with", "with", "with", "insert", "delete"]);
  await storage.getExtension(ID);
  assertEquals(verbs(), ["select"]);
});

test("two concurrent upserts of a new instance", async ({ storage, stored }) => {
  await Promise.all([1, 2].map(() => storage.upsertExtension(INSTANCE)));
  assertEquals((await stored()).map(([, secret]) => secret), ["first"]);
});

test("the application's own columns stay, and are read", async ({ db, sql }) => {
  await sql(`ALTER TABLE extension_instance
    ADD custom_field text, ADD counter int DEFAULT 0, ADD touched int NOT NULL DEFAULT 0`);
  let touches = 0;
  const table = buildExtensionInstanceTable(buildEncryptedTextColumn(encryptionKey), {
    customField: text("custom_field"),
    counter: integer("counter").default(0),
    touched: integer().notNull().$onUpdate(() => ++touches),
  });
  const storage = new PgExtensionStorage(db, table);
  await storage.upsertExtension(INSTANCE);
  await sql("UPDATE extension_instance SET custom_field = 'mine', counter = 7");
  await storage.upsertExtension({ ...INSTANCE, secret: "second" });
  await storage.updateExtension({ ...INSTANCE, enabled: false });
  await storage.rotateSecret(ID, "third");
  const { customField, counter, touched, secret } = (await storage.getExtension(ID))!;
  assertEquals([customField, counter, touched, secret], ["mine", 7, touches, "third"]);
});

test("getInstance: the row without secrets, one statement, no key; named columns are decrypted", async ({ open, storage, sql }) => {
  await sql(`ALTER TABLE extension_instance
    ADD note text, ADD api_token text, ADD pin text DEFAULT 'not a ciphertext'`);
  let decryptions = 0;
  const column = buildEncryptedTextColumn({
    encrypt: (plaintext) => encryptionKey.encrypt(plaintext),
    decrypt(ciphertext) {
      decryptions++;
      return encryptionKey.decrypt(ciphertext);
    },
  });
  const table = buildExtensionInstanceTable(column, {
    note: text(),
    apiToken: column("api_token"),
    pin: column(),
  });
  await storage.upsertExtension({ ...INSTANCE, context: "customer", variantKey: "pro" });
  const token = await encryptionKey.encrypt("t0k3n");
  await sql(`UPDATE extension_instance SET note = 'mine', api_token = '${token}'`);
  const { secret: _, ...row } = (await storage.getExtension(ID))!;

  const { logger, verbs, statements } = statementLog();
  const own = new PgExtensionStorage(open({ logger }), table);
  assertEquals<unknown>(await own.getInstance(ID), { ...row, note: "mine" });
  const [statement] = statements;
  assertEquals([verbs(), decryptions], [["select"], 0]);
  for (const left of ["secret", "api_token", "pin"]) assert(!statement!.includes(left), statement);
  const named = await own.getInstance(ID, { decrypt: ["apiToken"] });
  assertEquals<unknown>(named, { ...row, note: "mine", apiToken: "t0k3n" });
  assertEquals([verbs(), decryptions], [["select"], 1]);
  assertEquals(await own.getInstance("unknown"), undefined);
  assertEquals(await own.getInstance("x".repeat(100)), undefined);
  const damaged = await assertRejects(() => own.getInstance(ID, { decrypt: ["pin"] }));
  assertEquals((damaged as DecryptionError).code, "ERR_INVALID_CIPHERTEXT");
  verbs();
  for (const decrypt of [["secret"], ["note"], ["apiToken", "unknown"], "apiToken", undefined]) {
    await assertRejects(() => own.getInstance(ID, { decrypt: decrypt as ["pin"] }), TypeError);
  }
  assertEquals(verbs(), []);
});

test("Drizzle's cache: reads bypass it, writes invalidate it", async ({ open }) => {
  const asked: string[] = [];
  const mutated: unknown[] = [];
  class EagerCache extends MemoryCache {
    override get(key: string) {
      asked.push(key);
      return Promise.resolve([]);
    }
    override onMutate(mutation?: { tables?: unknown }) {
      mutated.push(mutation?.tables);
      return Promise.resolve();
    }
  }
  const db = open({ cache: new EagerCache(false) });
  const storage = new PgExtensionStorage(db, extensionInstances);
  const ordered = new PgExtensionStorage(db, extensionInstances, { lastEvents });
  for (
    const [each, ...tables] of [
      [storage, "extension_instance"],
      [ordered, "extension_instance", "extension_instance_last_event"],
    ] as const
  ) {
    for (const event of Object.values(events)) {
      await event(each);
      const found = await each.getExtension(ID);
      assertEquals(found === undefined, event === events.removeInstance);
      assertEquals((await each.getInstance(ID))?.id, found?.id);
      await each.verify();
    }
    assertEquals(mutated.splice(0), [tables, tables, tables, tables]);
  }
  assertEquals(asked, []);
});

test("Drizzle's cache fails after an event was stored: logged, the event succeeds", async ({ open, storedRow, sql }) => {
  class BrokenCache extends MemoryCache {
    override onMutate(): Promise<void> {
      const error = new Error("connecting to redis://user:passw0rd@cache");
      return Promise.reject(Object.assign(error, { code: "ECONNREFUSED" }));
    }
  }
  const db = open({ cache: new BrokenCache(false) });
  const warnings: string[] = [];
  const logger = { warn: (message: string) => void warnings.push(message) };
  for (const options of [{ logger }, { logger, lastEvents }, {}]) {
    const storage = new PgExtensionStorage(db, extensionInstances, options);
    await storage.upsertExtension(INSTANCE);
    await storage.rotateSecret(ID, "second");
    assertEquals((await storedRow()).secret, "second");
    await storage.removeInstance(ID);
    await sql("DELETE FROM extension_instance_last_event");
  }
  assertEquals(
    warnings,
    Array(6).fill(
      "Telling Drizzle's cache that extension instances changed: it failed (Error, ECONNREFUSED), " +
        "so it may return outdated rows",
    ),
  );
});

test("functions of the application's columns are called for each statement", async ({ db, sql: past }) => {
  await past(`ALTER TABLE extension_instance
    ADD made int, ADD token text, ADD seen text, ADD stamp text`);
  const column = buildEncryptedTextColumn(encryptionKey);
  let calls = 0;
  const table = buildExtensionInstanceTable(column, {
    made: integer().$default(() => ++calls),
    token: column().$default(() => `token ${calls}`),
    seen: column().$onUpdate(() => `seen ${++calls}`),
    stamp: text().$onUpdate(() => sql`'from ' || 'SQL'`),
  });
  const storage = new PgExtensionStorage(db, table);
  const read = async (id: string) => (await storage.getExtension(id))!;
  await storage.upsertExtension(INSTANCE);
  const first = await read(ID);
  assertEquals([first.token, first.stamp], ["token 1", "from SQL"]);
  await storage.upsertExtension({ ...INSTANCE, extensionInstanceId: "other" });
  const second = await read("other");
  assert(second.made! > first.made!);
  assertEquals(second.token, `token ${second.made}`);
  await storage.updateExtension(UPDATE);
  const { made, token, seen } = await read(ID);
  assertEquals([made, token, seen], [first.made, "token 1", `seen ${calls}`]);
  const [row] = await past(`SELECT token, seen FROM extension_instance WHERE id = '${ID}'`);
  assertEquals(await encryptionKey.decrypt(String(row!["seen"])), `seen ${calls}`);
  assertEquals(await encryptionKey.decrypt(String(row!["token"])), "token 1");

  const careless = buildExtensionInstanceTable(column, {
    token: column().$default(() => sql`'plain'`),
  });
  const upsert = () => new PgExtensionStorage(db, careless).upsertExtension(INSTANCE);
  await assertRejects(upsert, TypeError);
});

test("with Drizzle's casing the names in the database follow it, as in the original", async ({ open, sql }) => {
  const names = { contextId: "context_id", createdAt: "created_at", updatedAt: "updated_at" };
  for (const [from, to] of Object.entries(names)) {
    await sql(`ALTER TABLE extension_instance RENAME "${from}" TO ${to}`);
  }
  const db = open({ casing: "snake_case" });
  for (const options of [{}, { lastEvents }]) {
    const storage = new PgExtensionStorage(db, extensionInstances, options);
    for (const contextId of ["p-new", "p-again"]) {
      await storage.upsertExtension({ ...INSTANCE, contextId, context: "customer" });
      assertEquals((await storage.getExtension(ID))?.contextId, contextId);
    }
    await storage.updateExtension({ ...UPDATE, contextId: "p-updated" });
    assertEquals((await storage.getExtension(ID))?.contextId, "p-updated");
  }
});

test("a violated constraint: StorageError with the driver's error, nothing half-written", async ({ storage, dump }) => {
  await storage.upsertExtension(INSTANCE);
  const before = await dump();
  const long = "x".repeat(37);
  const attempts: [string, () => Promise<void>][] = [
    ["upsertExtension", () => storage.upsertExtension({ ...INSTANCE, contextId: long })],
    ["upsertExtension", () => storage.upsertExtension({ ...INSTANCE, extensionInstanceId: long })],
    ["updateExtension", () => storage.updateExtension({ ...UPDATE, contextId: long })],
  ];
  for (const [operation, attempt] of attempts) {
    const error = await assertRejects(attempt, StorageError);
    assertEquals([error.code, error.operation], ["ERR_STORAGE_FAILED", operation]);
    // string_data_right_truncation
    assertEquals(sqlStateOf(error.cause), "22001");
    assert(!String(error.stack).includes("first"));
  }
  assertEquals(await dump(), before);
});

test("a missing table: TableMissingError", async ({ storage, ordered, sql }) => {
  const assertMissing = async (operations: Record<string, () => Promise<unknown>>) => {
    for (const [operation, attempt] of Object.entries(operations)) {
      const error = await assertRejects(attempt, StorageError);
      const expected = ["TableMissingError", "ERR_TABLE_MISSING", operation, "42P01"];
      const { name, code, cause } = error;
      assertEquals([name, code, error.operation, sqlStateOf(cause)], expected);
    }
  };
  const applied = (each: PgExtensionStorage) => ({
    ...Object.fromEntries(Object.entries(events).map(([name, event]) => [name, () => event(each)])),
    verify: () => each.verify(),
  });
  await sql("DROP TABLE extension_instance_last_event");
  const forgetRemoved = () => ordered.forgetRemoved(new Date());
  await assertMissing({ ...applied(ordered), forgetRemoved });
  await sql(lastEventDdl);
  await ordered.verify();
  await sql("DROP TABLE extension_instance");
  await assertMissing({
    ...applied(storage),
    getExtension: () => storage.getExtension(ID),
    getInstance: () => storage.getInstance(ID),
  });
});

test("a missing field, or a secret that is not a well-formed string: TypeError, nothing changes", async ({ storage, dump }) => {
  await storage.upsertExtension(INSTANCE);
  const before = await dump();
  for (const secret of ["\ud800", undefined, 7] as string[]) {
    await assertRejects(() => storage.rotateSecret(ID, secret), TypeError);
    await assertRejects(() => storage.upsertExtension({ ...INSTANCE, secret }), TypeError);
  }
  for (const field of ["extensionInstanceId", "contextId", "consentedScopes", "enabled"]) {
    const incomplete = { ...UPDATE, contextId: "p-new", [field]: undefined } as typeof UPDATE;
    const error = await assertRejects(() => storage.updateExtension(incomplete), TypeError);
    assertEquals(error.message, `Updating an extension instance: ${field} is missing`);
    if (field === "enabled") continue;
    await assertRejects(() => storage.upsertExtension(incomplete), TypeError);
  }
  const nobody = undefined as unknown as string;
  await assertRejects(() => storage.removeInstance(nobody), TypeError);
  await assertRejects(() => storage.getExtension(nobody), TypeError);
  await assertRejects(() => storage.getInstance(nobody), TypeError);
  await assertRejects(() => storage.rotateSecret(nobody, "x"), TypeError);
  assertEquals(await dump(), before);
});

test("an id that cannot be stored is an unknown instance's", async ({ storage, ordered, sql, dump }) => {
  await storage.upsertExtension(INSTANCE);
  const before = await dump();
  const ids = ["x".repeat(37), "\u{1f680}".repeat(37), `${ID.slice(1)}\0`, "\ud800"];
  for (const id of ids) {
    for (const each of [storage, ordered]) {
      await each.removeInstance(id);
      await assertRejects(() => each.rotateSecret(id, "lost"), UnknownExtensionInstanceError);
      const update = { ...UPDATE, extensionInstanceId: id };
      await assertRejects(() => each.updateExtension(update), UnknownExtensionInstanceError);
      assertEquals(await each.getExtension(id), undefined);
      assertEquals(await each.getInstance(id), undefined);
    }
  }
  assertEquals(await dump(), before);
  // The longest possible.
  const longest = "\u{1f680}".repeat(36);
  await ordered.upsertExtension({ ...INSTANCE, extensionInstanceId: longest });
  await ordered.rotateSecret(longest, "second");
  assertEquals((await ordered.getExtension(longest))?.secret, "second");
  await ordered.removeInstance(longest);
  // Columns lengthened in the database.
  await sql(`ALTER TABLE extension_instance ALTER id TYPE varchar(64);
    ALTER TABLE extension_instance_last_event ALTER instance_id TYPE varchar(64)`);
  const long = "x".repeat(64);
  await ordered.upsertExtension({ ...INSTANCE, extensionInstanceId: long });
  await ordered.rotateSecret(long, "second");
  assertEquals((await ordered.getExtension(long))?.secret, "second");
  await ordered.removeInstance(long);
  const again = () => ordered.upsertExtension({ ...INSTANCE, extensionInstanceId: long });
  await assertRejects(again, StaleEventError);
});

test("a state that the columns cannot store unchanged: TypeError that names the field", async ({ ordered, storage, dump }) => {
  await ordered.upsertExtension(INSTANCE);
  const before = await dump();
  const refused: [object, string][] = [
    [{ consentedScopes: "a" }, "consentedScopes is not an array"],
    [{ consentedScopes: { 0: "a" } }, "consentedScopes is not an array"],
    [{ consentedScopes: ["a", 1] }, "a scope in consentedScopes is not a string"],
    [{ consentedScopes: ["a", null] }, "a scope in consentedScopes is not a string"],
    [{ consentedScopes: ["\0"] }, "a scope in consentedScopes has a character that PostgreSQL"],
    [{ variantKey: "pro\0" }, "variantKey has a character that PostgreSQL cannot store"],
    [{ variantKey: "\udc00" }, "variantKey has a character that PostgreSQL cannot store"],
    [{ variantKey: 7 }, "variantKey is not a string"],
    [{ contextId: "p\0" }, "contextId has a character that PostgreSQL cannot store"],
    [{ contextId: 7 }, "contextId is not a string"],
    [{ context: "server" }, 'context is neither "customer" nor "project"'],
    [{ enabled: "yes" }, "enabled is not a boolean"],
    [{ extensionInstanceId: 7 }, "extensionInstanceId is not a string"],
  ];
  for (const [field, message] of refused) {
    for (const each of [storage, ordered]) {
      const upsert = () => each.upsertExtension({ ...INSTANCE, ...field } as typeof INSTANCE);
      await assertRejects(upsert, TypeError, `Storing an extension instance: ${message}`);
      const update = () => each.updateExtension({ ...UPDATE, ...field } as typeof UPDATE);
      await assertRejects(update, TypeError, `Updating an extension instance: ${message}`);
    }
  }
  const unstorable = { ...INSTANCE, extensionInstanceId: "\0" };
  await assertRejects(
    () => ordered.upsertExtension(unstorable),
    TypeError,
    "extensionInstanceId has",
  );
  assertEquals(await dump(), before);
});

test("verify: succeeds without a row, without a secret, and with a readable secret", async ({ storage, sql, dump }) => {
  await storage.verify();
  await storage.upsertExtension(INSTANCE);
  const before = await dump();
  await storage.verify();
  assertEquals(await dump(), before);
  await sql("UPDATE extension_instance SET secret = NULL");
  await storage.verify();
});

test("verify: a missing column, also of the application", async ({ storage, db, sql }) => {
  await storage.upsertExtension(INSTANCE);
  const table = buildExtensionInstanceTable(buildEncryptedTextColumn(encryptionKey), {
    customField: text("custom_field"),
  });
  const assertFound = async (each: { verify(): Promise<unknown> }) => {
    const error = await assertRejects(() => each.verify(), StorageError);
    // undefined_column
    assertEquals([error.operation, sqlStateOf(error.cause)], ["verify", "42703"]);
    assertEquals(
      error.message,
      "Running verify: a column of the table does not exist, run the migrations first; " +
        "where drizzle() gets a casing, drizzle.config.ts needs the same",
    );
  };
  await assertFound(new PgExtensionStorage(db, table));
  await storage.verify();
  await sql("ALTER TABLE extension_instance DROP variant_key");
  await assertFound(storage);
});

test("verify: a secret under another master password: the error names the likely cause", async ({ storage, storageWith }) => {
  await storage.upsertExtension(INSTANCE);
  for (const [password, salt] of [["another", "salt"], ["password", "another"]] as const) {
    const other = storageWith(buildEncryptedTextColumn(buildEncryptionKey(password, salt)));
    const { code, message } = await assertRejects(() => other.verify(), DecryptionError);
    assertEquals(code, "ERR_DECRYPTION_FAILED");
    assertMatch(message, /another master password or salt/);
    const read = await assertRejects(() => other.getExtension(ID), DecryptionError);
    assertEquals([read.code, read.path], ["ERR_DECRYPTION_FAILED", "[0].secret"]);
  }
});

test("a key that does not return a string: nothing is stored, and table and column are named", async ({ storage, storageWith, dump }) => {
  await storage.upsertExtension(INSTANCE);
  const before = await dump();
  const nothing = () => Promise.resolve(undefined as unknown as string);
  const wrong = storageWith(buildEncryptedTextColumn({ encrypt: nothing, decrypt: nothing }));
  const SECRET = 'a value of the encrypted column "secret" of table "extension_instance"';
  for (const event of [events.upsertExtension, events.rotateSecret]) {
    await assertRejects(
      () => event(wrong),
      TypeError,
      `Encrypting ${SECRET}: encrypt of a key gave`,
    );
  }
  await assertRejects(
    () => wrong.getExtension(ID),
    TypeError,
    `Decrypting ${SECRET}: decrypt of a key gave undefined instead of a string`,
  );
  assertEquals(await dump(), before);
});

test("verify: an unavailable key, also without a row", async ({ storage, storageWith }) => {
  const outage = new Error("the service is away");
  const fail = () => Promise.reject(outage);
  const keyless = storageWith(buildEncryptedTextColumn({ encrypt: fail, decrypt: fail }));
  assertEquals(await assertRejects(() => keyless.verify()), outage);
  await storage.upsertExtension(INSTANCE);
  assertEquals(await assertRejects(() => keyless.verify()), outage);
});

test("nothing is printed", async ({ storage, sql }) => {
  const printed: unknown[] = [];
  const methods = ["log", "info", "warn", "error", "debug", "trace"] as const;
  const originals = methods.map((method) => console[method]);
  for (const method of methods) console[method] = (...args: unknown[]) => printed.push(args);
  try {
    await storage.upsertExtension(INSTANCE);
    await assertRejects(() => storage.rotateSecret("unknown", "x"));
    await sql("DROP TABLE extension_instance");
    await assertRejects(() => storage.upsertExtension(INSTANCE));
  } finally {
    for (const [index, method] of methods.entries()) console[method] = originals[index]!;
  }
  assertEquals(printed, []);
});
