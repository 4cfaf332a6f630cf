import { assertEquals, assertRejects } from "@std/assert";
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
} from "../mod.ts";
import { reencryption } from "./suites/reencryption.ts";
import { copyPackage } from "./support/copied_package.ts";
import { drivers, testOnEachDriver } from "./support/drivers.ts";

testOnEachDriver("re-encryption", reencryption);

const rawKey = new Uint8Array(32);
const old = importEncryptionKey(rawKey);
const secret = buildEncryptedTextColumn(
  importEncryptionKey(new Uint8Array(32).fill(2), { alsoReads: [old] }),
);

/** Compiles only if both are the same type. */
type Equal<TFirst, TSecond> = (<T>() => T extends TFirst ? 1 : 2) extends
  (<T>() => T extends TSecond ? 1 : 2) ? true : false;
type Unreadable<TTable extends Parameters<typeof reencrypt>[1]> = Awaited<
  ReturnType<typeof reencrypt<TTable>>
>["unreadable"][number];

Deno.test("re-encryption: primary keys are typed", () => {
  const item = pgTable("item", { id: integer().primaryKey(), secret: secret() });
  const part = pgSchema("tenant").table("part", {
    a: integer(),
    b: text(),
    secret: secret(),
  }, (columns) => [primaryKey({ columns: [columns.a, columns.b] })]);
  const instances = buildExtensionInstanceTable(secret, { note: text() });
  const typed: [
    Equal<Unreadable<typeof item>, { id: number }>,
    Equal<
      Unreadable<typeof part>,
      { a?: number | null; b?: string | null; secret?: string | null }
    >,
    Equal<Unreadable<typeof instances>, { id: string }>,
  ] = [true, true, true];
  assertEquals([item, part, instances].length, typed.length);
});

Deno.test("re-encryption: a table of which another copy of the package encrypts a column is refused", async () => {
  await using copy = await copyPackage();
  const other = await import(copy.module("pg/mod.ts")) as typeof import("../pg/mod.ts");
  const foreign = other.buildEncryptedTextColumn(other.importEncryptionKey(rawKey));
  await using context = await drivers["PGlite"]!();
  const db = context.open();
  const id = integer().primaryKey();
  const tables = [
    pgTable("item", { id, secret: foreign() }),
    pgTable("item", { id, ours: secret(), secret: foreign() }),
  ];
  for (const table of tables) {
    for (const run of [reencrypt, keyStatus]) {
      await assertRejects(
        async () => void await run(db, table),
        TypeError,
        'column "secret" of "item" is encrypted by another copy of this package',
      );
    }
  }
});

Deno.test("re-encryption: a database without functions that PostgreSQL has", async () => {
  await using context = await drivers["postgres.js"]!();
  const { sql } = context;
  const db = context.open();
  const ciphertext = await old.encrypt("x");
  const keys = [
    ["integer", integer(), "id"],
    ["uuid", uuid(), "md5(id::text)::uuid"],
    ["varchar", varchar({ length: 36 }), "id"],
    [
      "timestamptz",
      timestamp({ withTimezone: true }),
      "'2024-01-01Z'::timestamptz + id * interval '1 us'",
    ],
  ] as const;
  const without = [
    ["row_security_active(text)", "row_security_active(oid)"],
    [`pg_typeof("any")`],
  ];
  for (const functions of without) {
    for (const each of functions) await sql(`ALTER FUNCTION ${each} RENAME TO missing`);
    for (const [type, column, id] of keys) {
      await sql(`
        DROP TABLE IF EXISTS item; CREATE TABLE item (id ${type} PRIMARY KEY, secret text);
        INSERT INTO item SELECT ${id}, '${ciphertext}' FROM generate_series(1, 5) AS id`);
      const table = pgTable("item", { id: column.primaryKey(), secret: secret() });
      const { scanned, reencrypted } = await reencrypt(db, table, { batchSize: 2 });
      assertEquals([type, scanned, reencrypted], [type, 5, 5]);
    }
  }
  // What is missing here is needed.
  await sql("DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY)");
  const table = pgTable("item", { id: integer().primaryKey(), secret: secret() });
  const run = () => keyStatus(db, table);
  await assertRejects(run, StorageError, "a column of the table does not exist");
});
