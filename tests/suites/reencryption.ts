/** What `reencrypt` and `keyStatus` do to what is stored. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { sql } from "drizzle-orm";
import { Cache } from "drizzle-orm/cache/core";
import {
  bigint,
  boolean,
  char,
  customType,
  doublePrecision,
  integer,
  pgSchema,
  pgTable,
  primaryKey,
  serial,
  text,
  timestamp,
  uuid,
  withReplicas,
} from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  DecryptionError,
  type EncryptionKey,
  importEncryptionKey,
  keyStatus,
  reencrypt,
  type ReencryptionProgress,
  StorageError,
  TableMissingError,
  withEncryption,
} from "../../pg/mod.ts";
import { type AnyDatabase, type Case, sqlStateOf, type TestContext } from "./suite.ts";

const raw = (byte: number) => new Uint8Array(32).fill(byte);
const oldest = importEncryptionKey(raw(1));
const old = importEncryptionKey(raw(2));
const unknown = importEncryptionKey(raw(3));
/** The key of step 2 of the procedure. */
const current = importEncryptionKey(raw(9), { alsoReads: [old, oldest] });
/** The current key alone, as after step 4. */
const currentAlone = importEncryptionKey(raw(9));

const secretUnder = (key: EncryptionKey) =>
  pgTable("item", { id: integer().primaryKey(), secret: buildEncryptedTextColumn(key)() });
const items = secretUnder(current);

const ITEM_DDL = "CREATE TABLE item (id int PRIMARY KEY, secret text)";

const quote = (value: string | null) =>
  value === null ? "NULL" : `'${value.replaceAll("'", "''")}'`;

/** Stores rows as given: column values as text. */
async function store(
  { sql }: TestContext,
  table: string,
  rows: readonly (readonly (string | null)[])[],
): Promise<void> {
  if (rows.length === 0) return;
  await sql(
    `INSERT INTO ${table} VALUES ${rows.map((row) => `(${row.map(quote).join(", ")})`).join(", ")}`,
  );
}

/** Rows 1 … count of the table `item`, all under one key, with the secrets `secret 1` …. */
async function storeItems(context: TestContext, count: number, key = old): Promise<void> {
  const ids = Array.from({ length: count }, (_, index) => index + 1);
  await store(
    context,
    "item",
    await Promise.all(ids.map(async (id) => [String(id), await key.encrypt(`secret ${id}`)])),
  );
}

/** What one column holds, read past the library, with the current key alone. */
async function readAlone(
  { sql }: TestContext,
  table: string,
  column: string,
  order: string,
): Promise<(string | null)[]> {
  const rows = await sql(`SELECT ${column} AS stored FROM ${table} ORDER BY ${order}`);
  return await Promise.all(
    rows.map(({ stored }) => stored === null ? null : currentAlone.decrypt(String(stored))),
  );
}

const report = (changes: Record<string, unknown>) => ({
  total: 0,
  scanned: 0,
  reencrypted: 0,
  unreadable: [],
  notWritten: [],
  aborted: false,
  ...changes,
});

/** A key that runs something before it decrypts, in the middle of a batch. */
const beforeDecrypting = (run: (ciphertext: string) => Promise<void>): EncryptionKey => ({
  encrypt: (plaintext) => current.encrypt(plaintext),
  isCurrent: (ciphertext) => current.isCurrent!(ciphertext),
  async decrypt(ciphertext) {
    await run(ciphertext);
    return await current.decrypt(ciphertext);
  },
});

/** A key that counts how many calls of each method are under way at once, at most. */
function countingCalls(key: EncryptionKey) {
  const most = { encrypt: 0, decrypt: 0 };
  const counted = (method: "encrypt" | "decrypt") => {
    let underWay = 0;
    return async (text: string) => {
      most[method] = Math.max(most[method], ++underWay);
      // Long enough for every other call that may begin.
      await new Promise((resolve) => setTimeout(resolve));
      underWay--;
      return await key[method](text);
    };
  };
  return {
    most,
    key: {
      encrypt: counted("encrypt"),
      decrypt: counted("decrypt"),
      // At once, so that every value is waited for at the same place.
      isCurrent: () => Promise.resolve(false),
    },
  };
}

/** Runs something in a transaction with settings of its own, in SQL. */
async function withSettings<T>(
  { open }: TestContext,
  settings: string,
  run: (tx: AnyDatabase) => Promise<T>,
): Promise<T> {
  return await open().transaction(async (tx) => {
    for (const setting of settings.split(";")) await tx.execute(sql.raw(setting));
    return await run(tx);
  });
}

/** Keeps every result, and never finds out that one is out of date. */
class StaleCache extends Cache {
  readonly #entries = new Map<string, unknown[]>();

  override strategy(): "all" {
    return "all";
  }

  override get(key: string): Promise<unknown[] | undefined> {
    return Promise.resolve(this.#entries.get(key));
  }

  override put(key: string, response: unknown): Promise<void> {
    this.#entries.set(key, response as unknown[]);
    return Promise.resolve();
  }

  override onMutate(): Promise<void> {
    return Promise.resolve();
  }
}

export const reencryption: Case[] = [
  {
    name: "three keys, a corrupted row, an unknown key, null and empty: everything is told exactly",
    async run(context) {
      await context.sql(ITEM_DDL);
      const corrupted = (await old.encrypt("x")).replace(
        /^./,
        (first) => first === "A" ? "B" : "A",
      );
      const stored: [string, string | null][] = [
        ["1", await oldest.encrypt("one")],
        ["2", await old.encrypt("two")],
        ["3", await current.encrypt("three")],
        ["4", corrupted],
        ["5", null],
        ["6", await old.encrypt("")],
        ["7", await current.encrypt("")],
        ["8", await unknown.encrypt("eight")],
        ["9", ""],
      ];
      await store(context, "item", stored);
      const db = context.open();
      assertEquals(await keyStatus(db, items), {
        secret: { current: 2, otherKey: 3, unreadable: 3, null: 1 },
      });
      const progress: ReencryptionProgress[] = [];
      const unreadable = [{ id: 4 }, { id: 8 }, { id: 9 }];
      assertEquals<unknown>(
        await reencrypt(db, items, { onProgress: (now) => progress.push(now) }),
        report({ total: 9, scanned: 9, reencrypted: 3, unreadable }),
      );
      assertEquals(progress, [{ total: 9, scanned: 9, reencrypted: 3, unreadable: 3 }]);
      const after = await context.sql("SELECT id, secret FROM item ORDER BY id");
      for (const [index, plaintext] of ["one", "two", "three", , , "", ""].entries()) {
        if (plaintext === undefined) continue;
        assertEquals(await currentAlone.decrypt(String(after[index]!["secret"])), plaintext);
      }
      // What was current, is null or cannot be read has not been written.
      for (const id of [3, 4, 5, 7, 8, 9]) {
        assertEquals(after[id - 1]!["secret"], stored[id - 1]![1]);
      }
      assertEquals(await keyStatus(db, items), {
        secret: { current: 5, otherKey: 0, unreadable: 3, null: 1 },
      });
      assertEquals<unknown>(
        await reencrypt(db, items),
        report({ total: 9, scanned: 9, unreadable }),
      );
      assertEquals(await context.sql("SELECT id, secret FROM item ORDER BY id"), after);
    },
  },
  {
    name: "an empty table, and batches that end with the table",
    async run(context) {
      await context.sql(ITEM_DDL);
      const db = context.open();
      assertEquals<unknown>(await reencrypt(db, items), report({}));
      assertEquals(await keyStatus(db, items), {
        secret: { current: 0, otherKey: 0, unreadable: 0, null: 0 },
      });
      await storeItems(context, 12);
      for (const batchSize of [1, 5, 6, 12, 13, 100_000]) {
        await context.sql("DELETE FROM item");
        await storeItems(context, 12);
        const scanned: number[] = [];
        assertEquals<unknown>(
          await reencrypt(db, items, {
            batchSize,
            onProgress: (progress) => scanned.push(progress.scanned),
          }),
          report({ total: 12, scanned: 12, reencrypted: 12 }),
        );
        const ends = Array.from(
          { length: Math.ceil(12 / batchSize) },
          (_, index) => Math.min(12, (index + 1) * batchSize),
        );
        assertEquals(scanned, ends);
      }
    },
  },
  {
    name: "one statement reads and at most one writes per batch; the log holds no plaintext",
    async run(context) {
      await context.sql(ITEM_DDL);
      await storeItems(context, 10);
      const log: string[] = [];
      const params: unknown[] = [];
      const db = context.open({
        logger: {
          logQuery: (query, values) => {
            log.push(query.split(" ")[0]!);
            params.push(...values);
          },
        },
      });
      await reencrypt(db, items, { batchSize: 5 });
      // The first one counts; the last one finds the end of the table.
      assertEquals(log, ["select", "select", "update", "select", "update", "select"]);
      assert(!JSON.stringify(params).includes("secret 1"));
      log.length = 0;
      await reencrypt(db, items, { batchSize: 5 });
      assertEquals(log, ["select", "select", "select", "select"]);
    },
  },
  {
    name: "a database wrapped by withEncryption, a transaction, and a rolled back one",
    async run(context) {
      await context.sql(ITEM_DDL);
      await storeItems(context, 3);
      const db = context.open();
      await assertRejects(() =>
        db.transaction(async (tx) => {
          assertEquals((await reencrypt(tx, items)).reencrypted, 3);
          tx.rollback();
        })
      );
      assertEquals((await keyStatus(db, items))["secret"]!.otherKey, 3);
      await db.transaction(async (tx) => void await reencrypt(tx, items, { batchSize: 2 }));
      assertEquals((await keyStatus(withEncryption(db), items))["secret"]!.current, 3);
      await withEncryption(db).transaction(async (tx) => {
        assertEquals((await keyStatus(tx, items))["secret"]!.current, 3);
      });
      await context.sql("DELETE FROM item");
      await storeItems(context, 3);
      assertEquals((await reencrypt(withEncryption(db), items)).reencrypted, 3);
      assertEquals(await readAlone(context, "item", "secret", "id"), [
        "secret 1",
        "secret 2",
        "secret 3",
      ]);
    },
  },
  {
    name:
      "nothing else of the row changes: no updatedAt, no $onUpdate, no other column, no trigger on them",
    async run(context) {
      await context.sql(`
        CREATE TABLE item (
          id int PRIMARY KEY, secret text, note text, "updatedAt" timestamptz NOT NULL, touched int
        );
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN RAISE EXCEPTION 'this column must not be written'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE OF id, note, "updatedAt", touched ON item
          FOR EACH ROW EXECUTE FUNCTION refuse()`);
      await store(context, "item", [
        ["1", await old.encrypt("one"), "a note", "2020-01-01 00:00:00+00", "7"],
      ]);
      let updates = 0;
      const secret = buildEncryptedTextColumn(current);
      const table = pgTable("item", {
        id: integer().primaryKey(),
        secret: secret().$onUpdate(() => `update ${++updates}`),
        note: text(),
        updatedAt: timestamp({ withTimezone: true }).notNull().$onUpdate(() => new Date()),
        touched: integer().$onUpdate(() => ++updates),
      });
      assertEquals((await reencrypt(context.open(), table)).reencrypted, 1);
      assertEquals(updates, 0);
      assertEquals(
        await context.sql(
          `SELECT id, note, extract(year FROM "updatedAt")::int AS y, touched FROM item`,
        ),
        [{ id: 1, note: "a note", y: 2020, touched: 7 }],
      );
      assertEquals(await readAlone(context, "item", "secret", "id"), ["one"]);
    },
  },
  {
    name: "two encrypted columns of which one changes in between: each is decided on its own",
    async run(context) {
      await context.sql("CREATE TABLE pair (id int PRIMARY KEY, first text, second text)");
      await store(context, "pair", [
        ["1", await old.encrypt("a1"), await old.encrypt("b1")],
        ["2", await old.encrypt("a2"), await current.encrypt("b2")],
        ["3", null, await old.encrypt("b3")],
        ["4", "damaged", await old.encrypt("b4")],
      ]);
      const changed = await old.encrypt("written in between");
      let done = false;
      const interfering = beforeDecrypting(async () => {
        if (done) return;
        done = true;
        await context.sql(`UPDATE pair SET second = ${quote(changed)} WHERE id = 1`);
      });
      const table = pgTable("pair", {
        id: integer().primaryKey(),
        first: buildEncryptedTextColumn(interfering)(),
        second: buildEncryptedTextColumn(current)(),
      });
      assertEquals<unknown>(
        await reencrypt(context.open(), table),
        report({ total: 4, scanned: 4, reencrypted: 4, unreadable: [{ id: 4 }] }),
      );
      const rows = await context.sql("SELECT * FROM pair ORDER BY id");
      assertEquals(await currentAlone.decrypt(String(rows[0]!["first"])), "a1");
      assertEquals(rows[0]!["second"], changed);
      assertEquals(await currentAlone.decrypt(String(rows[1]!["first"])), "a2");
      assertEquals(rows[2]!["first"], null);
      assertEquals(await currentAlone.decrypt(String(rows[2]!["second"])), "b3");
      assertEquals(rows[3]!["first"], "damaged");
      assertEquals(await currentAlone.decrypt(String(rows[3]!["second"])), "b4");
      assertEquals<unknown>(await keyStatus(context.open(), table), {
        first: { current: 2, otherKey: 0, unreadable: 1, null: 1 },
        second: { current: 3, otherKey: 1, unreadable: 0, null: 0 },
      });
      assertEquals((await reencrypt(context.open(), table)).reencrypted, 1);
      assertEquals(await readAlone(context, "pair", "second", "id"), [
        "written in between",
        "b2",
        "b3",
        "b4",
      ]);
    },
  },
  {
    name: "rows that are changed, set to null, removed or added while a batch is at work",
    async run(context) {
      await context.sql(ITEM_DDL);
      await storeItems(context, 6);
      const written = await current.encrypt("written");
      let done = false;
      const interfering = beforeDecrypting(async () => {
        if (done) return;
        done = true;
        await context.sql(`
          UPDATE item SET secret = ${quote(written)} WHERE id = 1;
          UPDATE item SET secret = NULL WHERE id = 2;
          DELETE FROM item WHERE id = 3;
          DELETE FROM item WHERE id = 4;
          INSERT INTO item VALUES (4, ${quote(written)}), (7, ${quote(written)})`);
      });
      assertEquals<unknown>(
        await reencrypt(context.open(), secretUnder(interfering), { batchSize: 6 }),
        report({ total: 6, scanned: 7, reencrypted: 2 }),
      );
      assertEquals(await context.sql("SELECT id FROM item WHERE id = 3"), []);
      assertEquals(await readAlone(context, "item", "secret", "id"), [
        "written",
        null,
        "written",
        "secret 5",
        "secret 6",
        "written",
      ]);
    },
  },
  {
    name: "a dry run writes nothing and says what would be done",
    async run(context) {
      await context.sql(ITEM_DDL);
      await storeItems(context, 7);
      await context.sql("INSERT INTO item VALUES (8, 'damaged'), (9, NULL)");
      const before = await context.sql("SELECT * FROM item ORDER BY id");
      assertEquals<unknown>(
        await reencrypt(context.open(), items, { dryRun: true, batchSize: 3 }),
        report({ total: 9, scanned: 9, reencrypted: 7, unreadable: [{ id: 8 }] }),
      );
      assertEquals(await context.sql("SELECT * FROM item ORDER BY id"), before);
    },
  },
  {
    name: "aborted: the report is true, what is done stays done, and another run completes it",
    async run(context) {
      await context.sql(ITEM_DDL);
      await storeItems(context, 10);
      const db = context.open();
      const controller = new AbortController();
      const aborted = await reencrypt(db, items, {
        batchSize: 3,
        signal: controller.signal,
        onProgress: ({ scanned }) => scanned === 6 && controller.abort(),
      });
      assertEquals<unknown>(
        aborted,
        report({ total: 10, scanned: 6, reencrypted: 6, aborted: true }),
      );
      assertEquals(await keyStatus(db, items), {
        secret: { current: 6, otherKey: 4, unreadable: 0, null: 0 },
      });
      assertEquals<unknown>(
        await reencrypt(db, items, { signal: AbortSignal.abort() }),
        report({ total: 10, aborted: true }),
      );
      assertEquals<unknown>(
        await reencrypt(db, items, { batchSize: 3 }),
        report({ total: 10, scanned: 10, reencrypted: 4 }),
      );
      assertEquals((await readAlone(context, "item", "secret", "id")).length, 10);
    },
  },
  {
    name:
      "a key management service that fails for a while: its error, nothing is called unreadable",
    async run(context) {
      await context.sql(ITEM_DDL);
      const db = context.open();
      const outage = new Error("the service is away");
      for (const method of ["encrypt", "decrypt", "isCurrent"] as const) {
        await context.sql("DELETE FROM item");
        await storeItems(context, 9);
        let calls = 0;
        const failing: EncryptionKey = {
          encrypt: (plaintext) => current.encrypt(plaintext),
          decrypt: (ciphertext) => current.decrypt(ciphertext),
          isCurrent: (ciphertext) => current.isCurrent!(ciphertext),
          [method]: (text: string) =>
            ++calls === 5 ? Promise.reject(outage) : current[method]!(text),
        };
        const progress: ReencryptionProgress[] = [];
        const error = await assertRejects(() =>
          reencrypt(db, secretUnder(failing), {
            batchSize: 3,
            onProgress: (now) => progress.push(now),
          })
        );
        assertEquals(error, outage);
        assertEquals(progress.map(({ scanned, unreadable }) => [scanned, unreadable]), [[3, 0]]);
        assertEquals((await keyStatus(db, items))["secret"]!.unreadable, 0);
        if (method === "isCurrent") {
          calls = 0;
          assertEquals(
            await assertRejects(() => keyStatus(db, secretUnder(failing))),
            outage,
          );
        }
      }
      assertEquals((await reencrypt(db, items)).unreadable, []);
      assertEquals(
        await readAlone(context, "item", "secret", "id"),
        Array.from({ length: 9 }, (_, index) => `secret ${index + 1}`),
      );
    },
  },
  {
    name: "a key of one's own that answers isCurrent with a DecryptionError",
    async run(context) {
      await context.sql(ITEM_DDL);
      await storeItems(context, 1);
      const key: EncryptionKey = {
        encrypt: (plaintext) => current.encrypt(plaintext),
        decrypt: () => Promise.reject(new DecryptionError()),
        isCurrent: () => Promise.reject(new DecryptionError()),
      };
      assertEquals<unknown>((await reencrypt(context.open(), secretUnder(key))).unreadable, [{
        id: 1,
      }]);
    },
  },
  {
    name: "refused before anything is read",
    async run(context) {
      const log: string[] = [];
      const db = context.open({ logger: { logQuery: (query) => log.push(query) } });
      const secret = buildEncryptedTextColumn(current);
      const { isCurrent: _, ...withoutIsCurrent } = {
        encrypt: (plaintext: string) => current.encrypt(plaintext),
        decrypt: (ciphertext: string) => current.decrypt(ciphertext),
        isCurrent: 0,
      };
      const cases = {
        'the key of column "secret" has no method isCurrent, so it cannot tell which values are written under it':
          secretUnder(withoutIsCurrent),
        'the table "item" has no primary key': pgTable("item", { id: integer(), secret: secret() }),
        'the table "item" has no encrypted column': pgTable("item", { id: integer().primaryKey() }),
        'the table "item" has an encrypted column in its primary key': pgTable("item", {
          id: integer(),
          secret: secret(),
        }, (table) => [primaryKey({ columns: [table.id, table.secret] })]),
        "table is not a PostgreSQL table": {} as typeof items,
      };
      for (const [found, table] of Object.entries(cases)) {
        assertEquals(
          (await assertRejects(() => reencrypt(db, table), TypeError)).message,
          `Re-encrypting a table: ${found}`,
        );
        assertEquals(
          (await assertRejects(() => keyStatus(db, table), TypeError)).message,
          `Counting the values under each key: ${found}`,
        );
      }
      for (const batchSize of [0, -1, 1.5, NaN, Infinity, "5" as unknown as number]) {
        const error = await assertRejects(() => reencrypt(db, items, { batchSize }), RangeError);
        assertStringIncludes(error.message, "batchSize is not a positive integer");
      }
      await assertRejects(() => reencrypt({} as typeof db, items), TypeError);
      await assertRejects(() => keyStatus({} as typeof db, items), TypeError);
      assertEquals(log, []);
    },
  },
  {
    name: "a missing table or column, a refused write: StorageError with the driver's error",
    async run(context) {
      const db = context.open();
      for (const [operation, run] of Object.entries({ reencrypt, keyStatus })) {
        const error = await assertRejects<StorageError>(() => run(db, items), TableMissingError);
        assertEquals(error.operation, operation);
        assertEquals(sqlStateOf(error.cause), "42P01");
      }
      await context.sql("CREATE TABLE item (id int PRIMARY KEY)");
      const error = await assertRejects<StorageError>(() => keyStatus(db, items), StorageError);
      assertEquals(
        error.message,
        "Running keyStatus: a column of the table does not exist, run the migrations first; " +
          "where drizzle() is given a casing, drizzle.config.ts needs the same",
      );
      const ciphertext = await old.encrypt("a secret");
      await context.sql(`
        ALTER TABLE item ADD secret text;
        INSERT INTO item VALUES (1, ${quote(ciphertext)});
        ALTER TABLE item ADD CHECK (secret = ${quote(ciphertext)})`);
      const refused = await assertRejects<StorageError>(() => reencrypt(db, items), StorageError);
      assertEquals([refused.operation, refused.code], ["reencrypt", "ERR_STORAGE_FAILED"]);
      assertInstanceOf(refused.cause, Error);
      assert(!`${refused.stack}`.includes(ciphertext));
    },
  },
  {
    name: "with Drizzle's casing",
    async run(context) {
      await context.sql(`
        CREATE TABLE some_account (
          account_id int, region_name text, api_token text, other_secret text,
          PRIMARY KEY (account_id, region_name)
        )`);
      await store(context, "some_account", [
        ["1", "eu", await old.encrypt("token"), await old.encrypt("other")],
        ["2", "us", "damaged", null],
      ]);
      const secret = buildEncryptedTextColumn(current);
      const table = pgTable("some_account", {
        accountId: integer(),
        regionName: text(),
        apiToken: secret(),
        otherSecret: secret(),
      }, (columns) => [primaryKey({ columns: [columns.accountId, columns.regionName] })]);
      const db = context.open({ casing: "snake_case" });
      assertEquals<unknown>(
        await reencrypt(db, table),
        report({
          total: 2,
          scanned: 2,
          reencrypted: 2,
          unreadable: [{ accountId: 2, regionName: "us" }],
        }),
      );
      assertEquals<unknown>(await keyStatus(db, table), {
        apiToken: { current: 1, otherKey: 0, unreadable: 1, null: 0 },
        otherSecret: { current: 1, otherKey: 0, unreadable: 0, null: 1 },
      });
    },
  },
  {
    name: "in a schema of its own, beside a table of the same name in public",
    async run(context) {
      await context.sql(`
        DROP SCHEMA IF EXISTS "Tenant" CASCADE;
        CREATE SCHEMA "Tenant";
        CREATE TABLE "Tenant".item (id int PRIMARY KEY, secret text);
        CREATE TABLE item (id int PRIMARY KEY, secret text);
        INSERT INTO item VALUES (1, 'untouched')`);
      await store(context, `"Tenant".item`, [["1", await old.encrypt("one")]]);
      const table = pgSchema("Tenant").table("item", {
        id: integer().primaryKey(),
        secret: buildEncryptedTextColumn(current)(),
      });
      assertEquals((await reencrypt(context.open(), table)).reencrypted, 1);
      assertEquals(await readAlone(context, `"Tenant".item`, "secret", "id"), ["one"]);
      assertEquals(await context.sql("SELECT * FROM item"), [{ id: 1, secret: "untouched" }]);
    },
  },
  {
    name: "primary keys of every kind: none is skipped, none is visited twice",
    async run(context) {
      await context.sql(`
        DROP SCHEMA IF EXISTS "Types" CASCADE; CREATE SCHEMA "Types";
        CREATE TYPE "Types"."Mood" AS ENUM ('sad', 'ok', 'glad')`);
      const secret = buildEncryptedTextColumn(current);
      const mood = pgSchema("Types").enum("Mood", ["sad", "ok", "glad"]);
      const texts = ["a", "B", "ä", "Z", "z", "'", '"', "\\", " ", "", "😀", "a b", "{}", "é"];
      const kinds = {
        serial: [pgTable("kind", { id: serial().primaryKey(), secret: secret() }), [
          "1",
          "-5",
          "2147483647",
        ]],
        uuid: [
          pgTable("kind", { id: uuid().primaryKey(), secret: secret() }),
          Array.from({ length: 20 }, () => crypto.randomUUID() as string),
        ],
        bigint: [
          pgTable("kind", { id: bigint({ mode: "bigint" }).primaryKey(), secret: secret() }),
          [
            "9007199254740993",
            "9007199254740992",
            "-9223372036854775808",
            "9223372036854775807",
            "0",
          ],
        ],
        timestamp: [
          pgTable("kind", { id: timestamp().primaryKey(), secret: secret() }),
          ["2024-01-01 00:00:00.000001", "2024-01-01 00:00:00.000002", "2024-01-01", "infinity"],
        ],
        timestamptz: [
          pgTable("kind", { id: timestamp({ withTimezone: true }).primaryKey(), secret: secret() }),
          ["2024-01-01 00:00:00.000001+05", "2024-01-01 00:00:00.000002+05", "2023-12-31"],
        ],
        boolean: [pgTable("kind", { id: boolean().primaryKey(), secret: secret() }), [
          "true",
          "false",
        ]],
        "char(5)": [pgTable("kind", { id: char({ length: 5 }).primaryKey(), secret: secret() }), [
          "ab",
          "abc",
          "abcde",
        ]],
        text: [pgTable("kind", { id: text().primaryKey(), secret: secret() }), texts],
        'text COLLATE "und-x-icu"': [
          pgTable("kind", { id: text().primaryKey(), secret: secret() }),
          texts,
        ],
        '"Types"."Mood"': [pgTable("kind", { id: mood().primaryKey(), secret: secret() }), [
          "glad",
          "sad",
          "ok",
        ]],
      } as const;
      // PGlite has no ICU before 0.5.
      const icu = await context.sql("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'");
      for (const [type, [table, ids]] of Object.entries(kinds)) {
        if (type.includes("icu") && icu.length === 0) continue;
        await context.sql(
          `DROP TABLE IF EXISTS kind; CREATE TABLE kind (id ${type} PRIMARY KEY, secret text)`,
        );
        await store(
          context,
          "kind",
          await Promise.all(ids.map(async (id) => [id, await old.encrypt(id)])),
        );
        assertEquals<unknown>(
          [type, await reencrypt(context.open(), table, { batchSize: 2 })],
          [type, report({ total: ids.length, scanned: ids.length, reencrypted: ids.length })],
        );
        assertEquals(
          (await readAlone(context, "kind", "secret", "id")).toSorted(),
          ids.toSorted(),
        );
      }
    },
  },
  {
    name: "a primary key of several columns, in an order of its own",
    async run(context) {
      await context.sql(`
        CREATE TABLE part (b text, secret text, a bigint, c uuid, PRIMARY KEY (a, b, c))`);
      const rows: string[][] = [];
      for (const a of ["1", "9007199254740993", "9007199254740992"]) {
        for (const b of ["x", "X", "é"]) {
          for (let c = 0; c < 3; c++) {
            rows.push([b, await old.encrypt(`${a} ${b} ${c}`), a, crypto.randomUUID()]);
          }
        }
      }
      await store(context, "part", rows);
      await context.sql("UPDATE part SET secret = 'damaged' WHERE a = 1 AND b = 'X'");
      const table = pgTable("part", {
        b: text(),
        secret: buildEncryptedTextColumn(current)(),
        a: bigint({ mode: "bigint" }),
        c: uuid(),
      }, (columns) => [primaryKey({ columns: [columns.a, columns.b, columns.c] })]);
      for (const batchSize of [1, 2, 4, 27]) {
        const { unreadable, ...rest } = await reencrypt(context.open(), table, { batchSize });
        assertEquals(rest.scanned, 27);
        assertEquals(
          unreadable.map(({ a, b }) => [a, b]),
          [[1n, "X"], [1n, "X"], [1n, "X"]],
        );
        assertEquals(Object.keys(unreadable[0]!), ["a", "b", "c"]);
      }
      assertEquals<unknown>(await keyStatus(context.open(), table), {
        secret: { current: 24, otherKey: 0, unreadable: 3, null: 0 },
      });
    },
  },
  {
    name: "more values in a batch than a statement can have parameters, and every character",
    async run(context) {
      await context.sql("CREATE TABLE wide (id int PRIMARY KEY, a text, b text, c text)");
      const value = quote(await old.encrypt('quotes " and \\ and \u2028 and 😀 and \u0001'));
      await context.sql(`
        INSERT INTO wide SELECT id, ${value}, ${value}, ${value} FROM generate_series(1, 12000) id`);
      const secret = buildEncryptedTextColumn(current);
      const table = pgTable("wide", {
        id: integer().primaryKey(),
        a: secret(),
        b: secret(),
        c: secret(),
      });
      assertEquals<unknown>(
        await reencrypt(context.open(), table, { batchSize: 12_000 }),
        report({ total: 12_000, scanned: 12_000, reencrypted: 36_000 }),
      );
      const [row] = await withEncryption(context.open()).select().from(table).limit(1);
      assertEquals(row?.b, 'quotes " and \\ and \u2028 and 😀 and \u0001');
    },
  },
  {
    name: "texts that no envelope is made of: a key of one's own may store what it likes",
    async run(context) {
      await context.sql(ITEM_DDL);
      const strange = `{"a": "'\\"}, (1) $1 NULL \u2028 😀 \t\n`;
      const own: EncryptionKey = {
        encrypt: (plaintext) => Promise.resolve(`new${strange}${plaintext}`),
        decrypt: (ciphertext) => Promise.resolve(ciphertext.slice(strange.length + 3)),
        isCurrent: (ciphertext) => Promise.resolve(ciphertext.startsWith("new")),
      };
      await store(context, "item", [["1", `old${strange}one`], ["2", `old${strange}`]]);
      assertEquals((await reencrypt(context.open(), secretUnder(own))).reencrypted, 2);
      assertEquals(await context.sql("SELECT secret FROM item ORDER BY id"), [
        { secret: `new${strange}one` },
        { secret: `new${strange}` },
      ]);
    },
  },
  {
    name: "replicas and caches, which lag behind, are not asked",
    async run(context) {
      await context.sql(ITEM_DDL);
      await storeItems(context, 3);
      const askedReplica: string[] = [];
      const replica = context.open({ logger: { logQuery: (query) => askedReplica.push(query) } });
      const replicated = withReplicas(context.open(), [replica]);
      assertEquals((await reencrypt(replicated, items)).reencrypted, 3);
      assertEquals((await keyStatus(replicated, items))["secret"]!.current, 3);
      assertEquals(askedReplica, []);
      const cached = context.open({ cache: new StaleCache() });
      assertEquals((await keyStatus(cached, items))["secret"]!.current, 3);
      await context.sql("DELETE FROM item");
      await storeItems(context, 2);
      assertEquals((await keyStatus(cached, items))["secret"]!.otherKey, 2);
      assertEquals((await reencrypt(cached, items)).reencrypted, 2);
    },
  },
  {
    name: "several runs at once: nothing is lost, each value is written by one of them",
    async run(context) {
      await context.sql(ITEM_DDL);
      await storeItems(context, 300);
      const db = context.open();
      const reports = await Promise.all(
        [7, 7, 50, 500].map((batchSize) => reencrypt(db, items, { batchSize })),
      );
      assertEquals(reports.reduce((sum, { reencrypted }) => sum + reencrypted, 0), 300);
      assertEquals(
        await readAlone(context, "item", "secret", "id"),
        Array.from({ length: 300 }, (_, index) => `secret ${index + 1}`),
      );
    },
  },
  {
    name: "row-level security that applies to the current user is an error, whoever owns the table",
    async run(context) {
      const roles = ["reader", "owner", "bypassing"].map((role) =>
        `mitthooks_${role}_${crypto.randomUUID().replaceAll("-", "")}`
      );
      const [reader, owner, bypassing] = roles as [string, string, string];
      await context.sql(`
        CREATE ROLE ${reader}; CREATE ROLE ${owner}; CREATE ROLE ${bypassing} BYPASSRLS;
        GRANT USAGE, CREATE ON SCHEMA public TO ${roles.join(", ")};
        ${ITEM_DDL};
        ALTER TABLE item OWNER TO ${owner};
        GRANT ALL ON item TO ${reader}, ${bypassing}`);
      try {
        await storeItems(context, 5);
        await context.sql(`
          CREATE POLICY half ON item USING (id > 3);
          ALTER TABLE item ENABLE ROW LEVEL SECURITY`);
        const as = (role: string) => ({
          reencrypt: () =>
            withSettings(context, `SET LOCAL ROLE ${role}`, (tx) => reencrypt(tx, items)),
          keyStatus: () =>
            withSettings(context, `SET LOCAL ROLE ${role}`, (tx) => keyStatus(tx, items)),
        });
        const assertRefused = async (role: string) => {
          for (const [operation, run] of Object.entries(as(role))) {
            const error = await assertRejects<StorageError>(run, StorageError);
            assertEquals(error.operation, operation);
            assertEquals(
              error.message,
              `Running ${operation}: row-level security of the table "item" applies to the current user ` +
                "and may hide rows, connect as the table's owner (if the table does not force it on the " +
                "owner, too), or as a role with BYPASSRLS",
            );
          }
        };
        assertEquals((await as(owner).keyStatus())["secret"]!.otherKey, 5);
        await assertRefused(reader);
        await context.sql("ALTER TABLE item FORCE ROW LEVEL SECURITY");
        await assertRefused(owner);
        assertEquals((await as(bypassing).reencrypt()).reencrypted, 5);
        assertEquals((await readAlone(context, "item", "secret", "id")).length, 5);
      } finally {
        await context.sql(`DROP OWNED BY ${roles.join(", ")}; DROP ROLE ${roles.join(", ")}`);
      }
    },
  },
  {
    name: "what a trigger keeps from being written is told, and told apart from others' changes",
    async run(context) {
      await context.sql("CREATE TABLE pair (id int PRIMARY KEY, first text, second text)");
      await store(
        context,
        "pair",
        await Promise.all([1, 2, 3, 4, 5, 6].map(async (id) => [
          String(id),
          await old.encrypt(`a${id}`),
          await old.encrypt(`b${id}`),
        ])),
      );
      await context.sql(`
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN
            IF OLD.id = 2 THEN RETURN NULL; END IF;
            IF OLD.id = 5 THEN NEW.second = OLD.second; END IF;
            IF OLD.id = 6 THEN NEW.first = 'altered'; NEW.second = 'altered'; END IF;
            RETURN NEW;
          END $$;
        CREATE TRIGGER keep BEFORE UPDATE ON pair FOR EACH ROW EXECUTE FUNCTION keep()`);
      let done = false;
      const interfering = beforeDecrypting(async () => {
        if (done) return;
        done = true;
        await context.sql(`
          UPDATE pair SET first = ${quote(await current.encrypt("changed"))} WHERE id = 1;
          DELETE FROM pair WHERE id = 3`);
      });
      const tableUnder = (key: EncryptionKey) =>
        pgTable("pair", {
          id: integer().primaryKey(),
          first: buildEncryptedTextColumn(key)(),
          second: buildEncryptedTextColumn(current)(),
        });
      const db = context.open();
      assertEquals<unknown>(
        await reencrypt(db, tableUnder(interfering), { batchSize: 3 }),
        report({
          total: 6,
          scanned: 6,
          // Of the first row the second value, nothing of the second and third, of the fifth the first.
          reencrypted: 1 + 0 + 0 + 2 + 1 + 0,
          notWritten: [{ id: 2 }, { id: 5 }, { id: 6 }],
        }),
      );
      assertEquals<unknown>(
        await reencrypt(db, tableUnder(current), { dryRun: true }),
        report({ total: 5, scanned: 5, reencrypted: 3, unreadable: [{ id: 6 }] }),
      );
      await context.sql("DROP TRIGGER keep ON pair; DELETE FROM pair WHERE id = 6");
      assertEquals<unknown>(
        await reencrypt(db, tableUnder(current)),
        report({ total: 4, scanned: 4, reencrypted: 3 }),
      );
      assertEquals(await readAlone(context, "pair", "first", "id"), ["changed", "a2", "a4", "a5"]);
      assertEquals(await readAlone(context, "pair", "second", "id"), ["b1", "b2", "b4", "b5"]);
    },
  },
  {
    name: "a write that meets somebody else's is tried again, but not for ever",
    async run(context) {
      for (const state of ["40001", "40P01"]) {
        await context.sql(`
          DROP TABLE IF EXISTS item; ${ITEM_DDL};
          DROP SEQUENCE IF EXISTS attempt; CREATE SEQUENCE attempt;
          CREATE TABLE IF NOT EXISTS conflict (attempts int)`);
        await storeItems(context, 3);
        // A sequence goes on when a statement is rolled back.
        await context.sql(`
          DELETE FROM conflict; INSERT INTO conflict VALUES (2);
          CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF nextval('attempt') <= (SELECT attempts FROM conflict) THEN
                RAISE EXCEPTION 'somebody else was faster' USING ERRCODE = '${state}';
              END IF;
              RETURN NULL;
            END $$;
          CREATE TRIGGER refuse BEFORE UPDATE ON item FOR EACH STATEMENT EXECUTE FUNCTION refuse()`);
        const db = context.open();
        assertEquals((await reencrypt(db, items)).reencrypted, 3);
        const attempts = async () => (await context.sql("SELECT last_value::int FROM attempt"))[0];
        assertEquals(await attempts(), { last_value: 3 });
        assertEquals(await readAlone(context, "item", "secret", "id"), [
          "secret 1",
          "secret 2",
          "secret 3",
        ]);

        await context.sql(
          "DELETE FROM item; UPDATE conflict SET attempts = 1000; ALTER SEQUENCE attempt RESTART",
        );
        await storeItems(context, 1);
        const error = await assertRejects<StorageError>(() => reencrypt(db, items), StorageError);
        assertEquals(sqlStateOf(error.cause), state);
        assertEquals(await attempts(), { last_value: 5 });
      }
    },
  },
  {
    name: "in a transaction nothing is tried again, and the reason is told, not the consequence",
    async run(context) {
      await context.sql(ITEM_DDL);
      await storeItems(context, 1);
      await context.sql(`
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN RAISE EXCEPTION 'somebody else was faster' USING ERRCODE = '40001'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON item FOR EACH STATEMENT EXECUTE FUNCTION refuse()`);
      const db = context.open();
      const run = (dryRun: boolean) => db.transaction((tx) => reencrypt(tx, items, { dryRun }));
      assertEquals((await run(true)).reencrypted, 1);
      const error = await assertRejects<StorageError>(() => run(false), StorageError);
      assertEquals(sqlStateOf(error.cause), "40001");
    },
  },
  {
    name: "no more than 256 values are decrypted, or encrypted, at once",
    async run(context) {
      await context.sql("CREATE TABLE wide (id int PRIMARY KEY, a text, b text, c text)");
      const value = quote(await old.encrypt("value"));
      await context.sql(`
        INSERT INTO wide SELECT id, ${value}, ${value}, ${value} FROM generate_series(1, 400) id`);
      const { key, most } = countingCalls(current);
      const secret = buildEncryptedTextColumn(key);
      const table = pgTable("wide", {
        id: integer().primaryKey(),
        a: secret(),
        b: secret(),
        c: secret(),
      });
      assertEquals((await reencrypt(context.open(), table)).reencrypted, 1_200);
      assertEquals(most, { encrypt: 256, decrypt: 256 });
    },
  },
  {
    name: "points in time as keys, whatever the session's way to write them",
    async run(context) {
      const times = Array.from({ length: 9 }, (_, hour) => `2024-02-01 0${hour}:00:00.000001+00`);
      const table = pgTable("moment", {
        at: timestamp({ withTimezone: true }).primaryKey(),
        secret: buildEncryptedTextColumn(current)(),
      });
      // "IST" is written for India, and read as Israel's.
      for (const datestyle of ["ISO", "SQL, DMY", "Postgres, MDY", "German"]) {
        await context.sql(
          "DROP TABLE IF EXISTS moment; CREATE TABLE moment (at timestamptz PRIMARY KEY, secret text)",
        );
        await store(
          context,
          "moment",
          await Promise.all(times.map(async (time) => [time, await old.encrypt(time)])),
        );
        const { scanned, reencrypted, notWritten } = await withSettings(
          context,
          `SET LOCAL datestyle = '${datestyle}'; SET LOCAL timezone = 'Asia/Kolkata'`,
          (tx) => reencrypt(tx, table, { batchSize: 2 }),
        );
        assertEquals([datestyle, scanned, reencrypted, notWritten], [datestyle, 9, 9, []]);
        assertEquals(await readAlone(context, "moment", "secret", "at"), times);
      }
    },
  },
  {
    name: "keys that do not survive the way through text: an error that names the column",
    async run(context) {
      await context.sql("CREATE TABLE measure (at float8 PRIMARY KEY, secret text)");
      const keys = ["0.1", "0.30000000000000004", "0.30000000000000010", "0.4", "0.5"];
      await store(
        context,
        "measure",
        await Promise.all(keys.map(async (key) => [key, await old.encrypt(key)])),
      );
      const table = pgTable("measure", {
        measuredAt: doublePrecision("at").primaryKey(),
        secret: buildEncryptedTextColumn(current)(),
      });
      const imprecise = "SET LOCAL extra_float_digits = 0";
      const runs = {
        reencrypt: (tx: AnyDatabase) =>
          // Without the check, it would never end by itself.
          reencrypt(tx, table, { batchSize: 1, signal: AbortSignal.timeout(20_000) }),
        keyStatus: (tx: AnyDatabase) => keyStatus(tx, table),
      };
      assertEquals(
        (await withSettings(context, "SET LOCAL extra_float_digits = 1", runs.reencrypt))
          .reencrypted,
        5,
      );
      assertEquals(await readAlone(context, "measure", "secret", "at"), keys);
      for (const [operation, run] of Object.entries(runs)) {
        const error = await assertRejects<StorageError>(
          async () => void await withSettings<unknown>(context, imprecise, run),
          StorageError,
        );
        assertStringIncludes(
          error.message,
          `Running ${operation}: values of column "measuredAt" of the primary key change on the way`,
        );
      }
    },
  },
  {
    name:
      "a key that is no key in the database: the rows of one value stay together, null is an error",
    async run(context) {
      await context.sql("CREATE TABLE item (id int, secret text)");
      await storeItems(context, 4);
      await storeItems(context, 4);
      await storeItems(context, 2);
      for (const batchSize of [1, 2, 3]) {
        const { scanned } = await reencrypt(context.open(), items, { batchSize, dryRun: true });
        assertEquals([batchSize, scanned], [batchSize, 10]);
      }
      await context.sql("INSERT INTO item VALUES (NULL, NULL)");
      const error = await assertRejects(() => keyStatus(context.open(), items), StorageError);
      assertStringIncludes(error.message, 'column "id" of the primary key holds null');
    },
  },
  {
    name: "tables that others inherit from, with the same keys, and partitioned ones",
    async run(context) {
      for (const batchSize of [1, 2, 4, 500]) {
        await context.sql(`
          DROP TABLE IF EXISTS item CASCADE; ${ITEM_DDL};
          CREATE TABLE child (PRIMARY KEY (id)) INHERITS (item);
          CREATE TABLE grandchild (more int, PRIMARY KEY (id)) INHERITS (child)`);
        await storeItems(context, 5);
        await context.sql(`
          INSERT INTO child SELECT id + 1, secret FROM ONLY item;
          INSERT INTO grandchild SELECT id, secret, 1 FROM ONLY item`);
        assertEquals<unknown>(
          await reencrypt(context.open(), items, { batchSize }),
          report({ total: 15, scanned: 15, reencrypted: 15 }),
        );
        assertEquals(
          (await readAlone(context, "item", "secret", "id")).toSorted(),
          [1, 2, 3, 4, 5].flatMap((id) => Array(3).fill(`secret ${id}`)),
        );
      }
      await context.sql(`
        DROP TABLE item CASCADE;
        CREATE TABLE item (id int PRIMARY KEY, secret text) PARTITION BY RANGE (id);
        CREATE TABLE item_low PARTITION OF item FOR VALUES FROM (1) TO (3);
        CREATE TABLE item_high PARTITION OF item FOR VALUES FROM (3) TO (100)`);
      await storeItems(context, 5);
      assertEquals<unknown>(
        await reencrypt(context.open(), items, { batchSize: 2 }),
        report({ total: 5, scanned: 5, reencrypted: 5 }),
      );
      assertEquals((await readAlone(context, "item", "secret", "id")).length, 5);
    },
  },
  {
    name: "key columns that are something else in the database than in Drizzle",
    async run(context) {
      const secret = buildEncryptedTextColumn(current);
      const caseless = customType<{ data: string }>({ dataType: () => "text" });
      const kinds = [
        ["bigint", pgTable("kind", { id: integer().primaryKey(), secret: secret() }), [
          "1",
          "9007199254740993",
          "-9007199254740993",
        ]],
        ["smallint", pgTable("kind", { id: serial().primaryKey(), secret: secret() }), [
          "1",
          "-2",
          "32767",
        ]],
        [
          "uuid",
          pgTable("kind", { id: text().primaryKey(), secret: secret() }),
          Array.from({ length: 5 }, () => crypto.randomUUID() as string),
        ],
        ["mood", pgTable("kind", { id: text().primaryKey(), secret: secret() }), [
          "glad",
          "sad",
          "ok",
        ]],
        ["char(5)", pgTable("kind", { id: caseless().primaryKey(), secret: secret() }), [
          "b",
          "ab",
          "B",
        ]],
        ["bit(3)", pgTable("kind", { id: caseless().primaryKey(), secret: secret() }), [
          "101",
          "100",
          "001",
        ]],
        [
          "varchar(3)",
          pgTable("kind", { id: char({ length: 2 }).primaryKey(), secret: secret() }),
          [
            "abc",
            "abd",
            "ab",
          ],
        ],
      ] as const;
      await context.sql("CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')");
      for (const [type, table, ids] of kinds) {
        await context.sql(
          `DROP TABLE IF EXISTS kind; CREATE TABLE kind (id ${type} PRIMARY KEY, secret text)`,
        );
        await store(
          context,
          "kind",
          await Promise.all(ids.map(async (id) => [id, await old.encrypt(id)])),
        );
        assertEquals<unknown>(
          [type, await reencrypt(context.open(), table, { batchSize: 1 })],
          [type, report({ total: ids.length, scanned: ids.length, reencrypted: ids.length })],
        );
        assertEquals(
          (await readAlone(context, "kind", "secret", "id")).toSorted(),
          ids.toSorted(),
        );
      }
    },
  },
  {
    name: "options that do not exist, or are of another type, are refused before anything is read",
    async run(context) {
      const log: string[] = [];
      const db = context.open({ logger: { logQuery: (query) => log.push(query) } });
      const cases: [options: object, message: string][] = [
        [{ batchsize: 1 }, 'Re-encrypting a table: there is no option "batchsize"'],
        [{ dryRun: "false" }, "Reading the option dryRun: it is neither true nor false"],
        [{ onProgress: {} }, "Reading the option onProgress: it is not a function"],
        [{ signal: 1 }, "Reading the option signal: it is not an AbortSignal"],
      ];
      for (const [options, message] of cases) {
        const error = await assertRejects(() => reencrypt(db, items, options), TypeError);
        assertEquals(error.message, message);
      }
      for (const options of [{ dryRun: true }, { onProgress: 1 }]) {
        await assertRejects(() => keyStatus(db, items, options as object), TypeError);
      }
      assertEquals(log, []);
    },
  },
  {
    name: "keyStatus tells how far it is",
    async run(context) {
      await context.sql(ITEM_DDL);
      await context.sql("INSERT INTO item SELECT id, NULL FROM generate_series(1, 1200) id");
      const progress: unknown[] = [];
      await keyStatus(context.open(), items, { onProgress: (now) => progress.push(now) });
      assertEquals(progress, [500, 1_000, 1_200].map((scanned) => ({ total: 1_200, scanned })));
    },
  },
];
