import { assertEquals } from "@std/assert";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import { integer, pgSchema, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  importEncryptionKey,
  reencrypt,
} from "../mod.ts";
import { reencryption } from "./suites/reencryption.ts";
import { testOnEachDriver } from "./support/drivers.ts";

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
