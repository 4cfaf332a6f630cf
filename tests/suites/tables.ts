/** The tables that the suites about `withEncryption` use, and a look at what really is stored in them. */

import { assertEquals, assertMatch } from "@std/assert";
import { integer, jsonb, pgTable, text } from "drizzle-orm/pg-core";
import { buildEncryptedTextColumn, type EncryptionKey, importEncryptionKey } from "../../pg/mod.ts";
import type { TestContext } from "./suite.ts";

export const keyA = importEncryptionKey(new Uint8Array(32).fill(1));
export const keyB = importEncryptionKey(new Uint8Array(32).fill(2));

export const textUnderA = buildEncryptedTextColumn(keyA);
export const textUnderB = buildEncryptedTextColumn(keyB);

export const people = pgTable("person", {
  id: integer().primaryKey(),
  name: text().notNull(),
  phone: textUnderA(),
  token: textUnderB("api_token"),
});

export const notes = pgTable("note", {
  id: integer().primaryKey(),
  ownerId: integer("owner_id"),
  body: textUnderA().notNull(),
  data: jsonb(),
});

const ENVELOPE = /^[A-Za-z0-9+/]{16}:[A-Za-z0-9+/]*={0,2}:[A-Za-z0-9+/]{22}==$/;

export async function createTables({ sql }: TestContext): Promise<void> {
  await sql(
    `CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL, phone text, api_token text)`,
  );
  await sql(`CREATE TABLE note (id int PRIMARY KEY, owner_id int, body text NOT NULL, data jsonb)`);
}

/** Asserts what one stored value is: really a ciphertext, of that plaintext, under that key. */
export async function assertStored(
  { sql }: TestContext,
  query: string,
  expected: string,
  key: EncryptionKey = keyA,
): Promise<void> {
  const [row] = await sql(query);
  const stored = String(Object.values(row!)[0]);
  assertMatch(stored, ENVELOPE);
  assertEquals(await key.decrypt(stored), expected);
}

/** Everything in both tables, as it is stored: to show that a refused query changed nothing. */
export async function dump({ sql }: TestContext): Promise<unknown> {
  return [
    await sql("SELECT * FROM person ORDER BY id"),
    await sql("SELECT * FROM note ORDER BY id"),
  ];
}
