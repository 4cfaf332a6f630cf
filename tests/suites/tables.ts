/** Tables for the suites about `withEncryption`, and access to their stored values. */

import { assertEquals, assertMatch } from "@std/assert";
import { integer, jsonb, pgTable, text } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  type EncryptionKey,
  importEncryptionKey,
  withEncryption,
} from "../../pg/mod.ts";
import { statementLog, type TestContext } from "./suite.ts";

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

export const ADA = { id: 1, name: "Ada", phone: "555", token: "t" };
export const BOB = { id: 2, name: "Bob", phone: null, token: null };

/** Fixtures of most cases: both tables empty, the database with and without `withEncryption`. */
export async function open(context: TestContext) {
  await createTables(context);
  const { logger, statements } = statementLog();
  const plain = context.open({ logger });
  return { ...context, context, plain, db: withEncryption(plain), log: statements };
}

/** Like `emptyTables`, with two people, the first of whom has a note. */
export async function openFilled(context: TestContext) {
  const opened = await open(context);
  await opened.db.insert(people).values([ADA, BOB]);
  await opened.db.insert(notes).values({ id: 7, ownerId: 1, body: "diary", data: { a: [1] } });
  opened.log.length = 0;
  return opened;
}

/** Asserts that a stored value is a ciphertext of a plaintext under a key. */
export async function assertStored(
  { sql }: Pick<TestContext, "sql">,
  query: string,
  expected: string,
  key: EncryptionKey = keyA,
): Promise<void> {
  const [row] = await sql(query);
  const stored = String(Object.values(row!)[0]);
  assertMatch(stored, ENVELOPE);
  assertEquals(await key.decrypt(stored), expected);
}

/** All stored values of both tables, to show that a refused query changed nothing. */
export async function dump({ sql }: Pick<TestContext, "sql">): Promise<unknown> {
  return [
    await sql("SELECT * FROM person ORDER BY id"),
    await sql("SELECT * FROM note ORDER BY id"),
  ];
}

/** A key that records the peak of concurrent calls per method. */
export function countingKey(key: EncryptionKey) {
  const most = { encrypt: 0, decrypt: 0 };
  const counted = (method: "encrypt" | "decrypt") => {
    let underWay = 0;
    return async (text: string) => {
      most[method] = Math.max(most[method], ++underWay);
      // Long enough for every other call to start.
      await new Promise((resolve) => setTimeout(resolve));
      underWay--;
      return await key[method](text);
    };
  };
  const counting: EncryptionKey = {
    encrypt: counted("encrypt"),
    decrypt: counted("decrypt"),
    // At once, so that all values wait at the same place.
    isCurrent: () => Promise.resolve(false),
  };
  return { most, key: counting };
}

/** A copy of an object, as many applications make it. */
export const copyOf = <T extends object>(of: T): T =>
  Object.assign(Object.create(Object.getPrototypeOf(of)), of);

/** A deep copy like lodash's: own enumerable properties and the same prototype. */
export function cloneOf<T>(of: T, clones = new Map<unknown, unknown>()): T {
  if (typeof of !== "object" || of === null) return of;
  const known = clones.get(of);
  if (known) return known as T;
  const clone = Array.isArray(of) ? [] : Object.create(Object.getPrototypeOf(of));
  clones.set(of, clone);
  for (const name of Reflect.ownKeys(of)) {
    const { enumerable } = Object.getOwnPropertyDescriptor(of, name)!;
    if (enumerable) clone[name] = cloneOf(of[name as keyof T], clones);
  }
  return clone;
}
