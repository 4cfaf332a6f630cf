import { assertEquals, assertRejects } from "@std/assert";
import { integer, pgTable, timestamp, uuid, varchar } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  importEncryptionKey,
  keyStatus,
  reencrypt,
  StorageError,
} from "../mod.ts";
import { reencryption } from "./suites/reencryption.ts";
import { drivers, testOnEachDriver } from "./support/drivers.ts";

testOnEachDriver("re-encryption", reencryption);

const old = importEncryptionKey(new Uint8Array(32));
const secret = buildEncryptedTextColumn(
  importEncryptionKey(new Uint8Array(32).fill(2), { alsoReads: [old] }),
);

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
