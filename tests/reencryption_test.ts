import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import {
  integer,
  pgSchema,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
  varchar,
} from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  importEncryptionKey,
  keyStatus,
  reencrypt,
  StorageError,
  withEncryption,
} from "../mod.ts";
import { undecorated } from "../pg/internal/database.ts";
import { reencryption } from "./suites/reencryption.ts";
import { copyPackage } from "./support/copied_package.ts";
import { testOnEachDriver } from "./support/drivers.ts";
import { createDatabase } from "./support/postgres.ts";

testOnEachDriver("re-encryption", reencryption);

/** Compiles only if both are the same type. */
type Equal<TFirst, TSecond> = (<T>() => T extends TFirst ? 1 : 2) extends
  (<T>() => T extends TSecond ? 1 : 2) ? true : false;

Deno.test("re-encryption: primary keys are typed", async () => {
  const secret = buildEncryptedTextColumn(importEncryptionKey(new Uint8Array(32)));
  const item = pgTable("item", { id: integer().primaryKey(), secret: secret() });
  const part = pgSchema("tenant").table("part", {
    a: integer(),
    b: text(),
    secret: secret(),
  }, (columns) => [primaryKey({ columns: [columns.a, columns.b] })]);
  const instances = buildExtensionInstanceTable(secret, { note: text() });
  await using client = await PGlite.create();
  await client.exec(`
    CREATE TABLE item (id int PRIMARY KEY, secret text);
    INSERT INTO item VALUES (1, 'damaged')`);
  const db = drizzle(client);
  const { unreadable } = await reencrypt(db, item);
  assertEquals(unreadable.map(({ id }) => id), [1]);
  const typed: [
    Equal<typeof unreadable[number], { id: number }>,
    Equal<
      Awaited<ReturnType<typeof reencrypt<typeof part>>>["unreadable"][number],
      { a?: number | null; b?: string | null; secret?: string | null }
    >,
    Equal<
      Awaited<ReturnType<typeof reencrypt<typeof instances>>>["unreadable"][number],
      { id: string }
    >,
  ] = [true, true, true];
  assertEquals(typed, [true, true, true]);
});

Deno.test("undecorated: what withEncryption has wrapped, transactions included", async () => {
  await using client = await PGlite.create();
  const db = drizzle(client);
  const wrapped = withEncryption(db);
  assertStrictEquals(undecorated(wrapped), db);
  assertStrictEquals(undecorated(db), db);
  await wrapped.transaction(async (tx) => {
    assert(undecorated(tx) !== tx);
    assertStrictEquals(withEncryption(undecorated(tx)), tx);
    await undecorated(tx).transaction((inner) => {
      assertStrictEquals(undecorated(inner), inner);
      return Promise.resolve();
    });
  });
});

Deno.test("re-encryption: a table of which another copy of the package encrypts a column is refused", async () => {
  await using copy = await copyPackage();
  const other = await import(copy.module("pg/mod.ts")) as typeof import("../pg/mod.ts");
  const key = new Uint8Array(32);
  const secret = buildEncryptedTextColumn(importEncryptionKey(key));
  const foreign = other.buildEncryptedTextColumn(other.importEncryptionKey(key));
  await using client = await PGlite.create();
  const db = drizzle(client);
  for (
    const table of [
      pgTable("item", { id: integer().primaryKey(), secret: foreign() }),
      pgTable("item", { id: integer().primaryKey(), ours: secret(), secret: foreign() }),
    ]
  ) {
    for (const run of [reencrypt, keyStatus]) {
      const error = await assertRejects(async () => void await run(db, table), TypeError);
      assertStringIncludes(
        error.message,
        'column "secret" of "item" is encrypted by another copy of this package',
      );
    }
  }
});

Deno.test("re-encryption: a database without functions that PostgreSQL has", async () => {
  await using database = await createDatabase();
  const client = postgres(database.url, { max: 1, onnotice: () => {} });
  try {
    const old = importEncryptionKey(new Uint8Array(32).fill(1));
    const secret = buildEncryptedTextColumn(
      importEncryptionKey(new Uint8Array(32).fill(2), { alsoReads: [old] }),
    );
    const tables = {
      integer: pgTable("item", { id: integer().primaryKey(), secret: secret() }),
      uuid: pgTable("item", { id: uuid().primaryKey(), secret: secret() }),
      varchar: pgTable("item", { id: varchar({ length: 36 }).primaryKey(), secret: secret() }),
      timestamptz: pgTable("item", {
        id: timestamp({ withTimezone: true }).primaryKey(),
        secret: secret(),
      }),
    };
    const ids: Record<keyof typeof tables, string> = {
      integer: "id",
      uuid: "md5(id::text)::uuid",
      varchar: "id",
      timestamptz: "'2024-01-01Z'::timestamptz + id * interval '1 us'",
    };
    await client.unsafe(`
      ALTER FUNCTION row_security_active(text) RENAME TO missing1;
      ALTER FUNCTION row_security_active(oid) RENAME TO missing2`);
    const run = async () => {
      for (const [type, table] of Object.entries(tables)) {
        await client.unsafe(`
          DROP TABLE IF EXISTS item;
          CREATE TABLE item (id ${type} PRIMARY KEY, secret text);
          INSERT INTO item SELECT ${ids[type as keyof typeof tables]}, '${await old.encrypt("x")}'
            FROM generate_series(1, 5) AS id`);
        const db = drizzlePostgresJs(client);
        const { scanned, reencrypted } = await reencrypt(db, table, { batchSize: 2 });
        assertEquals([type, scanned, reencrypted], [type, 5, 5]);
      }
    };
    await run();
    await client.unsafe(`ALTER FUNCTION pg_typeof("any") RENAME TO missing3`);
    await run();
    // What is missing here is needed.
    await client.unsafe("DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY)");
    const error = await assertRejects(
      () => keyStatus(drizzlePostgresJs(client), tables.integer),
      StorageError,
    );
    assertStringIncludes(error.message, "a column of the table does not exist");
  } finally {
    await client.end();
  }
});
