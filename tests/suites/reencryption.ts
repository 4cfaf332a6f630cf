/** `reencrypt` and `keyStatus`. */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
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
import { type AnyDatabase, sqlStateOf, statementLog, suite, type TestContext } from "./suite.ts";
import { MemoryCache } from "./confidentiality.ts";
import { WRONG_ANSWERS } from "./damage.ts";
import { countingKey } from "./tables.ts";

const raw = (byte: number) => new Uint8Array(32).fill(byte);
const oldest = importEncryptionKey(raw(1));
const old = importEncryptionKey(raw(2));
const unknown = importEncryptionKey(raw(3));
/** The key of step 2 of the procedure. */
const current = importEncryptionKey(raw(9), { alsoReads: [old, oldest] });
/** Only the current key, as after step 4. */
const currentAlone = importEncryptionKey(raw(9));

/** A custom key, like the current one except for some methods. */
const keyWith = (methods: Partial<EncryptionKey>): EncryptionKey => ({
  encrypt: (plaintext) => current.encrypt(plaintext),
  decrypt: (ciphertext) => current.decrypt(ciphertext),
  isCurrent: (ciphertext) => current.isCurrent!(ciphertext),
  ...methods,
});

/** A key that runs a function before its first decryption, in the middle of a batch. */
function interfering(run: () => Promise<unknown>): EncryptionKey {
  let done: Promise<unknown> | undefined;
  return keyWith({
    decrypt: async (ciphertext) => {
      await (done ??= run());
      return await current.decrypt(ciphertext);
    },
  });
}

const id = () => integer().primaryKey();
const secret = buildEncryptedTextColumn(current);
const secretUnder = (key: EncryptionKey) => buildEncryptedTextColumn(key)();
const itemsUnder = (key: EncryptionKey) => pgTable("item", { id: id(), secret: secretUnder(key) });
const pairsUnder = (key: EncryptionKey) =>
  pgTable("pair", { id: id(), first: secretUnder(key), second: secret() });
const items = itemsUnder(current);

const quote = (value: string | null) =>
  value === null ? "NULL" : `'${value.replaceAll("'", "''")}'`;

/** The secrets of a number of items. */
const secrets = (count: number) => Array.from({ length: count }, (_, at) => `secret ${at + 1}`);

/** The empty tables, and helpers. */
async function prepare({ open, sql }: TestContext) {
  await sql(`
    CREATE TABLE item (id int PRIMARY KEY, secret text);
    CREATE TABLE pair (id int PRIMARY KEY, first text, second text);
    CREATE TABLE wide (id int PRIMARY KEY, a text, b text, c text)`);
  const db = open();
  /** Stores rows as given: column values as text. */
  const store = async (table: string, rows: (string | null)[][]): Promise<void> => {
    const values = rows.map((row) => `(${row.map(quote).join(", ")})`);
    await sql(`INSERT INTO ${table} VALUES ${values.join(", ")}`);
  };
  /** Replaces all items by 1 … count, under the old key. */
  const fill = async (count: number): Promise<void> => {
    await sql("DELETE FROM item");
    const ciphertexts = await Promise.all(secrets(count).map((each) => old.encrypt(each)));
    await store("item", ciphertexts.map((each, index) => [`${index + 1}`, each]));
  };
  /** A column's values, read past the library, with the current key only. */
  const read = async (from = "item", column = "secret", order = "id") => {
    const rows = await sql(`SELECT ${column} AS stored FROM ${from} ORDER BY ${order}`);
    return await Promise.all(
      rows.map(({ stored }) => stored === null ? null : currentAlone.decrypt(String(stored))),
    );
  };
  /** Runs SQL in a transaction with its own settings. */
  const withSettings = <T>(settings: string, run: (tx: AnyDatabase) => Promise<T>): Promise<T> =>
    open().transaction(async (tx) => {
      for (const setting of settings.split(";")) await tx.execute(setting);
      return await run(tx);
    });
  return { open, sql, db, store, fill, read, withSettings };
}

type Given = Awaited<ReturnType<typeof prepare>>;

/** The report of a complete run. */
const report = (total: number, reencrypted: number, changes: Record<string, unknown> = {}) => ({
  ...{ total, scanned: total, reencrypted, unreadable: [], notWritten: [], aborted: false },
  ...changes,
});

const counts = (current: number, otherKey = 0, unreadable = 0, none = 0) => ({
  ...{ current, otherKey, unreadable, null: none },
});

/** Fails a number of UPDATEs of a table with an SQLSTATE. */
const failing = (table: string, state: string, times: number) => `
  DROP SEQUENCE IF EXISTS attempt; CREATE SEQUENCE attempt;
  CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      -- A sequence goes on when a statement is rolled back.
      IF nextval('attempt') <= ${times} THEN
        RAISE EXCEPTION 'somebody else was faster' USING ERRCODE = '${state}';
      END IF;
      RETURN NULL;
    END $$;
  CREATE OR REPLACE TRIGGER fail BEFORE UPDATE ON ${table}
    FOR EACH STATEMENT EXECUTE FUNCTION fail()`;

const { cases, slowTest, test } = suite(prepare);
export { cases as reencryption };

test("three keys, a corrupted row, an unknown key, null and empty: an exact report", async ({ db, sql, store, read }) => {
  const stored: (string | null)[] = [
    await oldest.encrypt("one"),
    await old.encrypt("two"),
    await current.encrypt("three"),
    (await old.encrypt("x")).replace(/^./, (first) => first === "A" ? "B" : "A"),
    null,
    await old.encrypt(""),
    await current.encrypt(""),
    await unknown.encrypt("eight"),
    "",
  ];
  await store("item", stored.map((each, index) => [`${index + 1}`, each]));
  assertEquals(await keyStatus(db, items), { secret: counts(2, 3, 3, 1) });
  const progress: ReencryptionProgress[] = [];
  const unreadable = [{ id: 4 }, { id: 8 }, { id: 9 }];
  const onProgress = (now: ReencryptionProgress) => progress.push(now);
  assertEquals<unknown>(await reencrypt(db, items, { onProgress }), report(9, 3, { unreadable }));
  assertEquals(progress, [{ total: 9, scanned: 9, reencrypted: 3, unreadable: 3 }]);
  const readable = await read("item WHERE id NOT IN (4, 8, 9)");
  assertEquals(readable, ["one", "two", "three", null, "", ""]);
  // Current, null and unreadable values were not written.
  const after = await sql("SELECT secret FROM item ORDER BY id");
  for (const index of [2, 3, 4, 6, 7, 8]) assertEquals(after[index]!["secret"], stored[index]);
  assertEquals(await keyStatus(db, items), { secret: counts(5, 0, 3, 1) });
  assertEquals<unknown>(await reencrypt(db, items), report(9, 0, { unreadable }));
  assertEquals(await sql("SELECT secret FROM item ORDER BY id"), after);
});

test("a key with wrong answers: the run ends, and nothing of its batch is written", async ({ db, sql, store }) => {
  const WHOSE = 'of the encrypted column "secret" of table "item"';
  const values = [await current.encrypt("one"), await old.encrypt("two"), await old.encrypt("3")];
  await store("item", values.map((each, index) => [`${index + 1}`, each]));
  const before = await sql("SELECT * FROM item ORDER BY id");
  for (const [answer, found] of WRONG_ANSWERS) {
    for (const give of [() => answer, () => Promise.resolve(answer)]) {
      const methods = {
        encrypt: [`Encrypting a value ${WHOSE}`, "a string"],
        decrypt: [`Decrypting a value ${WHOSE}`, "a string"],
        isCurrent: [`Checking the key of a value ${WHOSE}`, "a boolean"],
      } as const;
      for (const [method, [attempt, expected]] of Object.entries(methods)) {
        const table = itemsUnder(keyWith({ [method]: give }));
        const runs = method === "encrypt" ? [reencrypt] : [reencrypt, keyStatus];
        for (const run of runs) {
          const { message } = await assertRejects<TypeError>(() => run(db, table), TypeError);
          assertEquals(
            message,
            `${attempt}: ${method} of a key gave ${found} instead of ${expected}`,
          );
        }
      }
    }
  }
  assertEquals(await sql("SELECT * FROM item ORDER BY id"), before);
  // Answers without a promise count.
  const plainly = itemsUnder(keyWith({
    isCurrent: ((stored: string) => stored === "new") as never,
    encrypt: (() => "new") as never,
  }));
  assertEquals((await reencrypt(db, plainly)).notWritten, []);
  assertEquals(await sql("SELECT DISTINCT secret FROM item"), [{ secret: "new" }]);
});

test("an empty table, and batches that end with the table", async ({ db, fill }) => {
  assertEquals<unknown>(await reencrypt(db, items), report(0, 0));
  assertEquals(await keyStatus(db, items), { secret: counts(0) });
  for (const batchSize of [1, 5, 6, 12, 13, 100_000]) {
    await fill(12);
    const scanned: number[] = [];
    const onProgress = (progress: ReencryptionProgress) => scanned.push(progress.scanned);
    const found = await reencrypt(db, items, { batchSize, onProgress });
    assertEquals<unknown>(found, report(12, 12));
    const batches = Array.from({ length: Math.ceil(12 / batchSize) }, (_, index) => index + 1);
    assertEquals(scanned, batches.map((batch) => Math.min(12, batch * batchSize)));
  }
});

test("one read and at most one write per batch; the log contains no plaintext", async ({ open, fill }) => {
  await fill(10);
  const { logger, verbs, params } = statementLog();
  const db = open({ logger });
  await reencrypt(db, items, { batchSize: 5 });
  // The first one counts rows; the last one finds the end of the table.
  assertEquals(verbs(), ["select", "select", "update", "select", "update", "select"]);
  assert(!JSON.stringify(params).includes("secret 1"));
  await reencrypt(db, items, { batchSize: 5 });
  assertEquals(verbs(), ["select", "select", "select", "select"]);
});

test("a database wrapped by withEncryption, a transaction, and a rolled back one", async ({ db, fill, read }) => {
  await fill(3);
  await assertRejects(() =>
    db.transaction(async (tx) => {
      assertEquals((await reencrypt(tx, items)).reencrypted, 3);
      tx.rollback();
    })
  );
  assertEquals(await keyStatus(db, items), { secret: counts(0, 3) });
  await db.transaction(async (tx) => void await reencrypt(tx, items, { batchSize: 2 }));
  const wrapped = withEncryption(db);
  assertEquals(await keyStatus(wrapped, items), { secret: counts(3) });
  await wrapped.transaction(async (tx) => {
    assertEquals(await keyStatus(tx, items), { secret: counts(3) });
  });
  await fill(3);
  assertEquals((await reencrypt(wrapped, items)).reencrypted, 3);
  assertEquals(await read(), secrets(3));
});

test("nothing else of the row changes: no updatedAt, no $onUpdate, no other column, no trigger on them", async ({ db, sql, store, read }) => {
  await sql(`
    ALTER TABLE item ADD note text, ADD "updatedAt" timestamptz NOT NULL, ADD touched int;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'this column must not be written'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE OF id, note, "updatedAt", touched ON item
      FOR EACH ROW EXECUTE FUNCTION refuse()`);
  await store("item", [["1", await old.encrypt("one"), "a note", "2020-01-01 00:00:00Z", "7"]]);
  let updates = 0;
  const table = pgTable("item", {
    id: id(),
    secret: secret().$onUpdate(() => `update ${++updates}`),
    note: text(),
    updatedAt: timestamp({ withTimezone: true }).notNull().$onUpdate(() => new Date(++updates)),
    touched: integer().$onUpdate(() => ++updates),
  });
  const rest = `SELECT id, note, "updatedAt"::text, touched FROM item`;
  const before = await sql(rest);
  assertEquals((await reencrypt(db, table)).reencrypted, 1);
  assertEquals([updates, await sql(rest), await read()], [0, before, ["one"]]);
});

test("two encrypted columns, one changed in between: each is handled separately", async ({ db, sql, store, read }) => {
  await store("pair", [
    ["1", await old.encrypt("a1"), await old.encrypt("b1")],
    ["2", await old.encrypt("a2"), await current.encrypt("b2")],
    ["3", null, await old.encrypt("b3")],
    ["4", "damaged", await old.encrypt("b4")],
  ]);
  const changed = await old.encrypt("changed");
  const table = pairsUnder(
    interfering(() => sql(`UPDATE pair SET second = ${quote(changed)} WHERE id = 1`)),
  );
  assertEquals<unknown>(await reencrypt(db, table), report(4, 4, { unreadable: [{ id: 4 }] }));
  const rows = await sql("SELECT * FROM pair ORDER BY id");
  assertEquals([rows[0]!["second"], rows[3]!["first"]], [changed, "damaged"]);
  assertEquals(await read("pair WHERE id < 4", "first"), ["a1", "a2", null]);
  assertEquals(await read("pair WHERE id > 1", "second"), ["b2", "b3", "b4"]);
  const status = { first: counts(2, 0, 1, 1), second: counts(3, 1) };
  assertEquals<unknown>(await keyStatus(db, table), status);
  assertEquals((await reencrypt(db, table)).reencrypted, 1);
  assertEquals(await read("pair", "second"), ["changed", "b2", "b3", "b4"]);
});

test("rows that are changed, set to null, removed or added during a batch", async ({ db, sql, fill, read }) => {
  await fill(6);
  const written = quote(await current.encrypt("written"));
  const key = interfering(() =>
    sql(`
      UPDATE item SET secret = ${written} WHERE id = 1;
      UPDATE item SET secret = NULL WHERE id = 2;
      DELETE FROM item WHERE id IN (3, 4);
      INSERT INTO item VALUES (4, ${written}), (7, ${written})`)
  );
  const found = await reencrypt(db, itemsUnder(key), { batchSize: 6 });
  assertEquals<unknown>(found, report(6, 2, { scanned: 7 }));
  assertEquals(await sql("SELECT id FROM item WHERE id = 3"), []);
  assertEquals(await read(), ["written", null, "written", "secret 5", "secret 6", "written"]);
});

test("a dry run writes nothing and reports what would be done", async ({ db, sql, fill }) => {
  await fill(7);
  await sql("INSERT INTO item VALUES (8, 'damaged'), (9, NULL)");
  const before = await sql("SELECT * FROM item ORDER BY id");
  const found = await reencrypt(db, items, { dryRun: true, batchSize: 3 });
  assertEquals<unknown>(found, report(9, 7, { unreadable: [{ id: 8 }] }));
  assertEquals(await sql("SELECT * FROM item ORDER BY id"), before);
});

test("aborted: the report is correct, finished work stays, and another run completes it", async ({ db, fill, read }) => {
  await fill(10);
  const controller = new AbortController();
  const { signal } = controller;
  const onProgress = ({ scanned }: ReencryptionProgress) => scanned === 6 && controller.abort();
  const aborted = await reencrypt(db, items, { batchSize: 3, signal, onProgress });
  assertEquals<unknown>(aborted, report(10, 6, { scanned: 6, aborted: true }));
  assertEquals(await keyStatus(db, items), { secret: counts(6, 4) });
  const nothing = await reencrypt(db, items, { signal });
  assertEquals<unknown>(nothing, report(10, 0, { scanned: 0, aborted: true }));
  assertEquals<unknown>(await reencrypt(db, items, { batchSize: 3 }), report(10, 4));
  assertEquals(await read(), secrets(10));
});

test("a key management service that fails for a while: its error, nothing is unreadable", async ({ db, fill, read }) => {
  const outage = new Error("the service is away");
  for (const method of ["encrypt", "decrypt", "isCurrent"] as const) {
    await fill(9);
    let calls = 0;
    const table = itemsUnder(keyWith({
      [method]: (value: string) => ++calls === 5 ? Promise.reject(outage) : current[method]!(value),
    }));
    const progress: unknown[] = [];
    const onProgress = ({ scanned, unreadable }: ReencryptionProgress) =>
      progress.push([scanned, unreadable]);
    const run = () => reencrypt(db, table, { batchSize: 3, onProgress });
    assertEquals([await assertRejects(run), progress], [outage, [[3, 0]]]);
    assertEquals((await keyStatus(db, items))["secret"]!.unreadable, 0);
    if (method === "isCurrent") {
      calls = 0;
      assertEquals(await assertRejects(() => keyStatus(db, table)), outage);
    }
  }
  assertEquals((await reencrypt(db, items)).unreadable, []);
  assertEquals(await read(), secrets(9));
});

test("a custom key whose isCurrent rejects with a DecryptionError", async ({ db, fill }) => {
  await fill(1);
  const reject = () => Promise.reject(new DecryptionError());
  const { unreadable } = await reencrypt(
    db,
    itemsUnder(keyWith({ decrypt: reject, isCurrent: reject })),
  );
  assertEquals(unreadable, [{ id: 1 }]);
});

test("refused before anything is read", async ({ open }) => {
  const { logger, statements } = statementLog();
  const db = open({ logger });
  const { isCurrent: _, ...withoutIsCurrent } = keyWith({});
  const tables = {
    'the key of column "secret" has no method isCurrent, so it cannot tell which values are written under it':
      itemsUnder(withoutIsCurrent),
    'the table "item" has no primary key': pgTable("item", { id: integer(), secret: secret() }),
    'the table "item" has no encrypted column': pgTable("item", { id: id() }),
    "table is not a PostgreSQL table": {} as typeof items,
  };
  for (const [found, table] of Object.entries(tables)) {
    for (
      const [attempt, run] of [
        ["Re-encrypting a table", reencrypt],
        ["Counting the values under each key", keyStatus],
      ] as const
    ) {
      const error = await assertRejects(async () => void await run(db, table), TypeError);
      assertEquals(error.message, `${attempt}: ${found}`);
    }
  }
  const options: [object, string][] = [
    [{ batchsize: 1 }, 'Re-encrypting a table: there is no option "batchsize"'],
    [{ dryRun: "false" }, "Reading the option dryRun: it is not a boolean"],
    [{ onProgress: {} }, "Reading the option onProgress: it is not a function"],
    [{ signal: 1 }, "Reading the option signal: it is not an AbortSignal"],
  ];
  for (const [option, message] of options) {
    const error = await assertRejects(() => reencrypt(db, items, option), TypeError);
    assertEquals(error.message, message);
  }
  for (const option of [{ dryRun: true }, { onProgress: 1 }]) {
    await assertRejects(() => keyStatus(db, items, option as object), TypeError);
  }
  for (const batchSize of [0, -1, 1.5, NaN, Infinity, "5" as unknown as number]) {
    const run = () => reencrypt(db, items, { batchSize });
    await assertRejects(run, RangeError, "batchSize is not a positive integer");
  }
  await assertRejects(() => reencrypt({} as typeof db, items), TypeError);
  await assertRejects(() => keyStatus({} as typeof db, items), TypeError);
  assertEquals(statements, []);
});

test("a missing table or column, a refused write: StorageError with the driver's error", async ({ db, sql }) => {
  await sql("DROP TABLE item");
  for (const [operation, run] of Object.entries({ reencrypt, keyStatus })) {
    const error = await assertRejects<StorageError>(() => run(db, items), TableMissingError);
    assertEquals([error.operation, sqlStateOf(error.cause)], [operation, "42P01"]);
  }
  await sql("CREATE TABLE item (id int PRIMARY KEY)");
  const error = await assertRejects(() => keyStatus(db, items), StorageError);
  assertEquals(
    error.message,
    "Running keyStatus: a column of the table does not exist, run the migrations first; " +
      "where drizzle() gets a casing, drizzle.config.ts needs the same",
  );
  const ciphertext = await old.encrypt("a secret");
  await sql(`
    ALTER TABLE item ADD secret text;
    INSERT INTO item VALUES (1, ${quote(ciphertext)});
    ALTER TABLE item ADD CHECK (secret = ${quote(ciphertext)})`);
  const refused = await assertRejects(() => reencrypt(db, items), StorageError);
  assertEquals([refused.operation, refused.code], ["reencrypt", "ERR_STORAGE_FAILED"]);
  assert(refused.cause instanceof Error && !`${refused.stack}`.includes(ciphertext));
});

test("with Drizzle's casing", async ({ open, sql, store }) => {
  await sql(`
    CREATE TABLE some_account (
      account_id int, region_name text, api_token text, other_secret text,
      PRIMARY KEY (account_id, region_name)
    )`);
  await store("some_account", [
    ["1", "eu", await old.encrypt("token"), await old.encrypt("other")],
    ["2", "us", "damaged", null],
  ]);
  const table = pgTable("some_account", {
    accountId: integer(),
    regionName: text(),
    apiToken: secret(),
    otherSecret: secret(),
  }, (columns) => [primaryKey({ columns: [columns.accountId, columns.regionName] })]);
  const db = open({ casing: "snake_case" });
  const unreadable = [{ accountId: 2, regionName: "us" }];
  assertEquals<unknown>(await reencrypt(db, table), report(2, 2, { unreadable }));
  const status = { apiToken: counts(1, 0, 1), otherSecret: counts(1, 0, 0, 1) };
  assertEquals<unknown>(await keyStatus(db, table), status);
});

test("in a separate schema, beside a table of the same name in public", async ({ db, sql, store, read }) => {
  await sql(`
    DROP SCHEMA IF EXISTS "Tenant" CASCADE; CREATE SCHEMA "Tenant";
    CREATE TABLE "Tenant".item (id int PRIMARY KEY, secret text);
    INSERT INTO item VALUES (1, 'untouched')`);
  await store(`"Tenant".item`, [["1", await old.encrypt("one")]]);
  const table = pgSchema("Tenant").table("item", { id: id(), secret: secret() });
  assertEquals((await reencrypt(db, table)).reencrypted, 1);
  assertEquals(await read(`"Tenant".item`), ["one"]);
  assertEquals(await sql("SELECT * FROM item"), [{ id: 1, secret: "untouched" }]);
});

const texts = ["a", "B", "ä", "Z", "z", "'", '"', "\\", " ", "", "😀", "a b", "{}", "é"];
const uuids = Array.from(
  "abcdef1234567890",
  (digit) => `${digit.repeat(8)}-0000-4000-8000-${"0".repeat(12)}`,
);
const instants = ["2024-01-01 00:00:00.000001", "2024-01-01 00:00:00.000002", "2024-01-01"];
const caseless = customType<{ data: string }>({ dataType: () => "text" });
const Mood = pgSchema("Types").enum("Mood", ["sad", "ok", "glad"]);
/** Types of keys in the database, their types in Drizzle, and values. */
const kinds = [
  ["serial", serial(), ["1", "-5", "2147483647"]],
  ["uuid", uuid(), uuids],
  ["bigint", bigint({ mode: "bigint" }), ["9007199254740993", "-9223372036854775808", "0"]],
  ["timestamp", timestamp(), [...instants, "infinity"]],
  ["timestamptz", timestamp({ withTimezone: true }), instants.map((each) => `${each}+05`)],
  ["boolean", boolean(), ["true", "false"]],
  ["char(5)", char({ length: 5 }), ["ab", "abc", "abcde"]],
  ["text", text(), texts],
  ['text COLLATE "und-x-icu"', text(), texts],
  ['"Types"."Mood"', Mood(), ["glad", "sad", "ok"]],
  // Different in the database and in Drizzle.
  ["bigint", integer(), ["1", "9007199254740993", "9007199254740992", "-9007199254740993"]],
  ["smallint", serial(), ["1", "-2", "32767"]],
  ["uuid", text(), uuids],
  ['"Types"."Mood"', text(), ["glad", "sad", "ok"]],
  ["char(5)", caseless(), ["b", "ab", "B"]],
  ["bit(3)", caseless(), ["101", "100", "001"]],
  ["varchar(3)", char({ length: 2 }), ["abc", "abd", "ab"]],
] as const;

test("primary keys of every kind: none is skipped, none is visited twice", async ({ db, sql, store, read }) => {
  await sql(`
    DROP SCHEMA IF EXISTS "Types" CASCADE; CREATE SCHEMA "Types";
    CREATE TYPE "Types"."Mood" AS ENUM ('sad', 'ok', 'glad')`);
  // PGlite has no ICU before 0.5.
  const icu = await sql("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'");
  for (const [type, column, ids] of kinds) {
    if (type.includes("icu") && icu.length === 0) continue;
    const table = pgTable("kind", { id: column.primaryKey(), secret: secret() });
    await sql(`DROP TABLE IF EXISTS kind; CREATE TABLE kind (id ${type} PRIMARY KEY, secret text)`);
    await store("kind", await Promise.all(ids.map(async (id) => [id, await old.encrypt(id)])));
    const found = await reencrypt(db, table, { batchSize: 1 });
    assertEquals<unknown>([type, found], [type, report(ids.length, ids.length)]);
    assertEquals((await read("kind")).toSorted(), ids.toSorted());
  }
});

test("a composite primary key, in its own order", async ({ db, sql, store }) => {
  await sql("CREATE TABLE part (b text, secret text, a bigint, c uuid, PRIMARY KEY (a, b, c))");
  const value = await old.encrypt("value");
  for (const a of ["1", "9007199254740993", "9007199254740992"]) {
    for (const b of ["x", "X", "é"]) {
      const stored = a === "1" && b === "X" ? "damaged" : value;
      await store("part", uuids.slice(0, 3).map((c) => [b, stored, a, c]));
    }
  }
  const table = pgTable("part", {
    b: text(),
    secret: secret(),
    a: bigint({ mode: "bigint" }),
    c: uuid(),
  }, (columns) => [primaryKey({ columns: [columns.a, columns.b, columns.c] })]);
  for (const batchSize of [1, 2, 4, 27]) {
    const { scanned, unreadable } = await reencrypt(db, table, { batchSize });
    assertEquals(scanned, 27);
    assertEquals(unreadable.map(({ a, b }) => [a, b]), Array(3).fill([1n, "X"]));
    assertEquals(Object.keys(unreadable[0]!), ["a", "b", "c"]);
  }
  assertEquals<unknown>(await keyStatus(db, table), { secret: counts(24, 0, 3) });
});

/** Many rows with three secrets each. */
async function fillWide({ sql }: Given, rows: number, plaintext: string, key = current) {
  const value = quote(await old.encrypt(plaintext));
  await sql(`
    INSERT INTO wide SELECT id, ${value}, ${value}, ${value} FROM generate_series(1, ${rows}) id`);
  const column = buildEncryptedTextColumn(key);
  return pgTable("wide", { id: id(), a: column(), b: column(), c: column() });
}

slowTest("more values than a statement can have parameters, and every character", async (given) => {
  const plaintext = 'quotes " and \\ and \u2028 and 😀 and \u0001';
  const table = await fillWide(given, 12_000, plaintext);
  const found = await reencrypt(given.db, table, { batchSize: 12_000 });
  assertEquals<unknown>(found, report(12_000, 36_000));
  assertEquals(await given.read("wide WHERE id = 7", "b"), [plaintext]);
});

test("at most 256 values are decrypted or encrypted at once", async (given) => {
  const { key, most } = countingKey(current);
  const table = await fillWide(given, 400, "value", key);
  assertEquals((await reencrypt(given.db, table)).reencrypted, 1_200);
  assertEquals(most, { encrypt: 256, decrypt: 256 });
});

test("texts that are not envelopes: a custom key may store any text", async ({ db, sql, store }) => {
  const strange = `{"a": "'\\"}, (1) $1 NULL \u2028 😀 \t\n`;
  const own: EncryptionKey = {
    encrypt: (plaintext) => Promise.resolve(`new${strange}${plaintext}`),
    decrypt: (ciphertext) => Promise.resolve(ciphertext.slice(strange.length + 3)),
    isCurrent: (ciphertext) => Promise.resolve(ciphertext.startsWith("new")),
  };
  await store("item", [["1", `old${strange}one`], ["2", `old${strange}`]]);
  assertEquals((await reencrypt(db, itemsUnder(own))).reencrypted, 2);
  assertEquals(
    await sql("SELECT secret FROM item ORDER BY id"),
    [{ secret: `new${strange}one` }, { secret: `new${strange}` }],
  );
});

test("replicas and caches, which may lag, are not read", async ({ open, db, fill }) => {
  await fill(3);
  const { logger, statements } = statementLog();
  const replicated = withReplicas(db, [open({ logger })]);
  assertEquals((await reencrypt(replicated, items)).reencrypted, 3);
  assertEquals(await keyStatus(replicated, items), { secret: counts(3) });
  assertEquals(statements, []);
  const cached = open({ cache: new MemoryCache(false) });
  assertEquals(await keyStatus(cached, items), { secret: counts(3) });
  // Past Drizzle, so that the cache is not invalidated.
  await fill(2);
  assertEquals(await keyStatus(cached, items), { secret: counts(0, 2) });
  assertEquals((await reencrypt(cached, items)).reencrypted, 2);
});

test("several runs at once: nothing is lost, each value is written by one of them", async ({ db, fill, read }) => {
  await fill(300);
  const reports = await Promise.all(
    [7, 7, 50, 500].map((batchSize) => reencrypt(db, items, { batchSize })),
  );
  assertEquals(reports.reduce((sum, { reencrypted }) => sum + reencrypted, 0), 300);
  assertEquals(await read(), secrets(300));
});

test("row-level security that applies to the current user is an error, regardless of the owner", async ({ sql, fill, read, withSettings }) => {
  const names = ["reader", "owner", "bypassing"].map((role) =>
    `mitthooks_${role}_${crypto.randomUUID().replaceAll("-", "")}`
  );
  const [reader, owner, bypassing] = names as [string, string, string];
  await sql(`
    CREATE ROLE ${reader}; CREATE ROLE ${owner}; CREATE ROLE ${bypassing} BYPASSRLS;
    GRANT USAGE, CREATE ON SCHEMA public TO ${names.join(", ")};
    ALTER TABLE item OWNER TO ${owner};
    GRANT ALL ON item TO ${reader}, ${bypassing}`);
  try {
    await fill(5);
    await sql(`
      CREATE POLICY half ON item USING (id > 3);
      ALTER TABLE item ENABLE ROW LEVEL SECURITY`);
    const as = <T>(role: string, run: (db: AnyDatabase, table: typeof items) => Promise<T>) =>
      withSettings(`SET LOCAL ROLE ${role}`, (tx) => run(tx, items));
    const assertRefused = async (role: string) => {
      for (const [operation, run] of Object.entries({ reencrypt, keyStatus })) {
        const error = await assertRejects(() => as<unknown>(role, run), StorageError);
        assertEquals(error.operation, operation);
        assertEquals(
          error.message,
          `Running ${operation}: row-level security of the table "item" applies to the current user ` +
            "and may hide rows, connect as the table's owner (if the table does not force it on the " +
            "owner, too), or as a role with BYPASSRLS",
        );
      }
    };
    assertEquals((await as(owner, keyStatus))["secret"]!.otherKey, 5);
    const seen = await as(reader, (db) => db.select({ id: items.id }).from(items));
    if (seen.length === 5) {
      // PGlite 0.2 accepts policies but ignores them: all rows are visible.
      assertEquals((await as(reader, keyStatus))["secret"]!.otherKey, 5);
      return;
    }
    await assertRefused(reader);
    await sql("ALTER TABLE item FORCE ROW LEVEL SECURITY");
    await assertRefused(owner);
    assertEquals((await as(bypassing, reencrypt)).reencrypted, 5);
    assertEquals(await read(), secrets(5));
  } finally {
    await sql(`DROP OWNED BY ${names.join(", ")}; DROP ROLE ${names.join(", ")}`);
  }
});

test("values that a trigger keeps from being written are reported, unlike others' changes", async ({ db, sql, store, read }) => {
  const rows = [1, 2, 3, 4, 5, 6].map(async (id) => [
    `${id}`,
    await old.encrypt(`a${id}`),
    await old.encrypt(`b${id}`),
  ]);
  await store("pair", await Promise.all(rows));
  await sql(`
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF OLD.id = 2 THEN RETURN NULL; END IF;
        IF OLD.id = 5 THEN NEW.second = OLD.second; END IF;
        IF OLD.id = 6 THEN NEW.first = 'altered'; NEW.second = 'altered'; END IF;
        RETURN NEW;
      END $$;
    CREATE TRIGGER keep BEFORE UPDATE ON pair FOR EACH ROW EXECUTE FUNCTION keep()`);
  const changed = quote(await current.encrypt("changed"));
  const key = interfering(() =>
    sql(`UPDATE pair SET first = ${changed} WHERE id = 1; DELETE FROM pair WHERE id = 3`)
  );
  assertEquals<unknown>(
    await reencrypt(db, pairsUnder(key), { batchSize: 3 }),
    // The second value of row 1, nothing of rows 2 and 3, the first value of row 5.
    report(6, 1 + 0 + 0 + 2 + 1 + 0, { notWritten: [{ id: 2 }, { id: 5 }, { id: 6 }] }),
  );
  const table = pairsUnder(current);
  assertEquals<unknown>(
    await reencrypt(db, table, { dryRun: true }),
    report(5, 3, { unreadable: [{ id: 6 }] }),
  );
  await sql("DROP TRIGGER keep ON pair; DELETE FROM pair WHERE id = 6");
  assertEquals<unknown>(await reencrypt(db, table), report(4, 3));
  assertEquals(await read("pair", "first"), ["changed", "a2", "a4", "a5"]);
  assertEquals(await read("pair", "second"), ["b1", "b2", "b4", "b5"]);
});

test("a write that conflicts with another is retried, but not forever", async ({ db, sql, fill, read }) => {
  const attempts = async () => (await sql("SELECT last_value::int AS n FROM attempt"))[0]!["n"];
  for (const state of ["40001", "40P01"]) {
    await fill(3);
    await sql(failing("item", state, 2));
    assertEquals((await reencrypt(db, items)).reencrypted, 3);
    assertEquals([await attempts(), await read()], [3, secrets(3)]);
    await fill(1);
    await sql(failing("item", state, 1_000));
    const error = await assertRejects(() => reencrypt(db, items), StorageError);
    assertEquals([sqlStateOf(error.cause), await attempts()], [state, 5]);
  }
});

test("in a transaction nothing is retried, and the cause is reported, not the consequence", async ({ db, sql, fill }) => {
  await fill(1);
  await sql(failing("item", "40001", 1));
  const run = (dryRun: boolean) => db.transaction((tx) => reencrypt(tx, items, { dryRun }));
  assertEquals((await run(true)).reencrypted, 1);
  const error = await assertRejects(() => run(false), StorageError);
  assertEquals(sqlStateOf(error.cause), "40001");
});

test("times as keys, in any format of the session", async ({ sql, store, read, withSettings }) => {
  const times = Array.from({ length: 9 }, (_, hour) => `2024-02-01 0${hour}:00:00.000001+00`);
  const table = pgTable("moment", {
    at: timestamp({ withTimezone: true }).primaryKey(),
    secret: secret(),
  });
  await sql("CREATE TABLE moment (at timestamptz PRIMARY KEY, secret text)");
  for (const datestyle of ["ISO", "SQL, DMY", "Postgres, MDY", "German"]) {
    await sql("DELETE FROM moment");
    await store("moment", await Promise.all(times.map(async (at) => [at, await old.encrypt(at)])));
    // "IST" is written for India, but read as Israel's.
    const found = await withSettings(
      `SET LOCAL datestyle = '${datestyle}'; SET LOCAL timezone = 'Asia/Kolkata'`,
      (tx) => reencrypt(tx, table, { batchSize: 2 }),
    );
    assertEquals<unknown>([datestyle, found], [datestyle, report(9, 9)]);
    assertEquals(await read("moment", "secret", "at"), times);
  }
});

test("keys that change when converted to text: an error that names the column", async ({ sql, store, read, withSettings }) => {
  await sql("CREATE TABLE measure (at float8 PRIMARY KEY, secret text)");
  const keys = ["0.1", "0.30000000000000004", "0.30000000000000010", "0.4", "0.5"];
  await store("measure", await Promise.all(keys.map(async (at) => [at, await old.encrypt(at)])));
  const table = pgTable("measure", {
    measuredAt: doublePrecision("at").primaryKey(),
    secret: secret(),
  });
  const runs = {
    reencrypt: (tx: AnyDatabase) =>
      // Without the check, it would never end.
      reencrypt(tx, table, { batchSize: 1, signal: AbortSignal.timeout(20_000) }),
    keyStatus: (tx: AnyDatabase) => keyStatus(tx, table),
  };
  const precise = await withSettings("SET LOCAL extra_float_digits = 1", runs.reencrypt);
  assertEquals(precise.reencrypted, 5);
  assertEquals(await read("measure", "secret", "at"), keys);
  for (const [operation, run] of Object.entries(runs)) {
    await assertRejects(
      () => withSettings<unknown>("SET LOCAL extra_float_digits = 0", run),
      StorageError,
      `Running ${operation}: values of column "measuredAt" of the primary key change when converted to text`,
    );
  }
});

test("a key that is not one in the database: rows with one value stay together, null is an error", async ({ db, sql }) => {
  await sql(`
    DROP TABLE item; CREATE TABLE item (id int, secret text);
    INSERT INTO item SELECT id FROM unnest('{1, 2, 3, 4, 1, 2, 3, 4, 1, 2}'::int[]) id`);
  for (const batchSize of [1, 2, 3]) {
    const { scanned } = await reencrypt(db, items, { batchSize, dryRun: true });
    assertEquals([batchSize, scanned], [batchSize, 10]);
  }
});

test("rows with a null key, in any position: an error, and nothing is written", async ({ db, sql, fill }) => {
  await sql("ALTER TABLE item DROP CONSTRAINT item_pkey, ALTER id DROP NOT NULL");
  await fill(5);
  await sql("INSERT INTO item SELECT NULL, secret FROM item WHERE id = 1");
  const before = await sql("SELECT * FROM item ORDER BY id");
  const runs = [() => keyStatus(db, items), () => reencrypt(db, items, { batchSize: 2 })];
  for (const run of runs) {
    const { message } = await assertRejects(run, StorageError);
    assertStringIncludes(message, 'column "id" of the primary key is null in 1 row, which');
  }
  assertEquals(await sql("SELECT * FROM item ORDER BY id"), before);
  await sql("CREATE TABLE part (a int, b text, secret text)");
  const pair = pgTable("part", { a: integer(), b: text(), secret: secret() }, (columns) => [
    primaryKey({ columns: [columns.a, columns.b] }),
  ]);
  await sql("INSERT INTO part SELECT 1, CASE WHEN id < 3 THEN id::text END FROM item");
  const { message } = await assertRejects(() => keyStatus(db, pair), StorageError);
  assertStringIncludes(message, 'column "b" of the primary key is null in 4 rows, which');
});

test("reported keys are exact, as text if JavaScript's type cannot represent them", async ({ db, sql }) => {
  const key = { name: "key" } as const;
  const times = timestamp("key", { withTimezone: true });
  const kinds = [
    [bigint("key", { mode: "number" }), "bigint", "9007199254740993", "9007199254740993"],
    [bigint("key", { mode: "number" }), "bigint", "-9007199254740991", -9007199254740991],
    [bigint("key", { mode: "bigint" }), "bigint", "9007199254740993", 9007199254740993n],
    [doublePrecision("key"), "float8", "1e+30", 1e30],
    [times, "timestamptz", "2026-01-01 01:02:03.123456+00", "2026-01-01T01:02:03.123456+00:00"],
    [times, "timestamptz", "2026-01-01 01:02:03.12+00", new Date("2026-01-01T01:02:03.120Z")],
    [
      timestamp("key"),
      "timestamp",
      "2026-01-01 01:02:03.1000001",
      new Date("2026-01-01T01:02:03.100Z"),
    ],
  ] as const;
  for (const [column, type, value, told] of kinds) {
    await sql(`
      SET TIME ZONE 'UTC';
      DROP TABLE IF EXISTS kind; CREATE TABLE kind (key ${type} PRIMARY KEY, secret text);
      INSERT INTO kind VALUES ('${value}', 'no ciphertext')`);
    const table = pgTable("kind", { key: column.primaryKey(), secret: secret() });
    const { unreadable } = await reencrypt(db, table);
    assertEquals<unknown>([type, unreadable], [type, [{ [key.name]: told }]]);
  }
});

test("a key whose type in the database differs from the table's definition", async ({ db, sql, store, read }) => {
  const kinds = [
    [uuid(), "text", uuids],
    [text(), "uuid", uuids],
    [integer(), "text", ["1", "10", "2"]],
    [integer(), "numeric", ["1", "2", "10"]],
    [text(), "bigint", ["1", "2", "9007199254740993"]],
  ] as const;
  for (const [column, type, ids] of kinds) {
    await sql(`DROP TABLE IF EXISTS kind; CREATE TABLE kind (id ${type} PRIMARY KEY, secret text)`);
    await store("kind", await Promise.all(ids.map(async (id) => [id, await old.encrypt(id)])));
    const table = pgTable("kind", { id: column.primaryKey(), secret: secret() });
    const found = await reencrypt(db, table, { batchSize: 1 });
    assertEquals<unknown>([type, found], [type, report(ids.length, ids.length)]);
    assertEquals((await read("kind")).toSorted(), ids.toSorted());
  }
});

slowTest("long values: batches become smaller automatically", async ({ open, sql, read }) => {
  const { logger, statements, params } = statementLog();
  const db = open({ logger });
  const MIB = 1024 * 1024;
  const long = "x".repeat(MIB);
  const stored = await old.encrypt(long);
  const longest = () => Math.max(...params.map((param) => String(param).length));
  const count = (verb: string) => statements.filter((text) => text.startsWith(verb)).length;
  // Short values first: only the first batch has the given size.
  for (const [short, updates, most] of [[0, 4, 5], [2_000, 2, 500]] as const) {
    await sql("DELETE FROM item");
    await sql(`INSERT INTO item SELECT id, '${await current.encrypt("short")}'
      FROM generate_series(1, ${short}) id`);
    await sql(`INSERT INTO item SELECT 2000 + id, '${stored}' FROM generate_series(1, 20) id`);
    statements.length = params.length = 0;
    const scanned = [0];
    const onProgress = (progress: ReencryptionProgress) => scanned.push(progress.scanned);
    assertEquals((await reencrypt(db, items, { onProgress })).reencrypted, 20);
    const batches = scanned.slice(1).map((rows, index) => rows - scanned[index]!);
    assertEquals(Math.max(...batches), most);
    assert(count("update") >= updates, `${count("update")} updates`);
    assert(longest() < 20 * MIB, `${longest()} characters`);
    assertEquals(new Set(await read("item WHERE id > 2000")), new Set([long]));
  }
});

test("tables with inheritance and equal keys, and partitioned ones", async ({ db, sql, fill, read }) => {
  await sql(`
    CREATE TABLE child (PRIMARY KEY (id)) INHERITS (item);
    CREATE TABLE grandchild (more int, PRIMARY KEY (id)) INHERITS (child)`);
  for (const batchSize of [1, 2, 4, 500]) {
    await fill(5);
    await sql(`
      INSERT INTO child SELECT id + 1, secret FROM ONLY item;
      INSERT INTO grandchild SELECT id, secret, 1 FROM ONLY item`);
    assertEquals<unknown>(await reencrypt(db, items, { batchSize }), report(15, 15));
    assertEquals(
      (await read()).toSorted(),
      [1, 2, 3, 4, 5].flatMap((id) => Array(3).fill(`secret ${id}`)),
    );
  }
  await sql(`
    DROP TABLE item CASCADE;
    CREATE TABLE item (id int PRIMARY KEY, secret text) PARTITION BY RANGE (id);
    CREATE TABLE item_low PARTITION OF item FOR VALUES FROM (1) TO (3);
    CREATE TABLE item_high PARTITION OF item FOR VALUES FROM (3) TO (100)`);
  await fill(5);
  assertEquals<unknown>(await reencrypt(db, items, { batchSize: 2 }), report(5, 5));
  assertEquals(await read(), secrets(5));
});
