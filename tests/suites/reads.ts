/** Reads through `withEncryption`; see `rule.ts` for shapes of queries. */

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { eq, sql } from "drizzle-orm";
import { alias, integer, pgTable, text, withReplicas } from "drizzle-orm/pg-core";
import { buildEncryptedTextColumn, withEncryption } from "../../pg/mod.ts";
import { suite } from "./suite.ts";
import { ADA, BOB, countingKey, keyA, notes, openFilled, people } from "./tables.ts";

const { cases, test } = suite(openFilled);
export { cases as reads };

test("partial and nested shapes, a column twice", async ({ db }) => {
  const shape = {
    who: people.name,
    contact: { phone: people.phone, again: people.phone },
    token: people.token,
  };
  assertEquals(await db.select(shape).from(people).orderBy(people.id), [
    { who: "Ada", contact: { phone: "555", again: "555" }, token: "t" },
    { who: "Bob", contact: { phone: null, again: null }, token: null },
  ]);
  assertEquals(await db.select().from(people).where(eq(people.id, 99)), []);
});

test("all joins, with the missing side null", async ({ db }) => {
  const orphan = { id: 8, ownerId: null, body: "whose?", data: null };
  await db.insert(notes).values(orphan);
  const on = eq(notes.ownerId, people.id);
  const both = { person: ADA, note: { id: 7, ownerId: 1, body: "diary", data: { a: [1] } } };
  const [onlyPerson, onlyNote] = [{ person: BOB, note: null }, { person: null, note: orphan }];
  const joins = [
    [db.select().from(people).innerJoin(notes, on), [both]],
    [db.select().from(people).leftJoin(notes, on).orderBy(people.id), [both, onlyPerson]],
    [db.select().from(people).rightJoin(notes, on).orderBy(notes.id), [both, onlyNote]],
    [db.select().from(people).fullJoin(notes, on).orderBy(people.id), [both, onlyPerson, onlyNote]],
  ] as const;
  for (const [query, rows] of joins) assertEquals<unknown>(await query, rows);
  const other = alias(people, "other");
  assertEquals(
    await db.select({ phone: people.phone, other: other.phone }).from(people)
      .crossJoin(other).where(sql`${people.id} = 1 and ${other.id} = 1`),
    [{ phone: "555", other: "555" }],
  );
});

test("db.execute returns the driver's result, including ciphertext", async ({ db, plain, ...past }) => {
  const query = sql`select ${people.id}, ${people.phone} from ${people} order by 1`;
  const [wrapped, driver] = [await db.execute(query), await plain.execute(query)];
  const rows = (result: unknown) => [
    ...(result as { rows?: unknown[] }).rows ?? result as unknown[],
  ];
  assertEquals(rows(wrapped), await past.sql("SELECT id, phone FROM person ORDER BY 1"));
  assertEquals(rows(wrapped), rows(driver));
  assertStrictEquals(Object.getPrototypeOf(wrapped), Object.getPrototypeOf(driver));
  const update = sql`update ${people} set name = name`;
  const affected = (result: unknown) => {
    const { count, rowCount, affectedRows } = result as Record<string, unknown>;
    return { count, rowCount, affectedRows };
  };
  assertEquals(affected(await db.execute(update)), affected(await plain.execute(update)));
});

test("many rows at once, while other queries run", async ({ db }) => {
  await db.delete(people);
  const rows = Array.from(
    { length: 2_000 },
    (_, id) => ({ id, name: "n", phone: `p${id}`, token: null }),
  );
  await db.insert(people).values(rows);
  const [all, some, names] = await Promise.all([
    db.select().from(people).orderBy(people.id),
    db.select({ phone: people.phone }).from(people).orderBy(people.id).limit(3),
    db.select({ name: people.name }).from(people),
  ]);
  assertEquals(all, rows);
  assertEquals(some, [{ phone: "p0" }, { phone: "p1" }, { phone: "p2" }]);
  assertEquals(names.length, 2_000);
});

test("many values are encrypted and decrypted in limited batches", async ({ db }) => {
  const { key, most } = countingKey(keyA);
  const table = pgTable("person", {
    id: integer().primaryKey(),
    name: text().notNull(),
    phone: buildEncryptedTextColumn(key)(),
  });
  await db.delete(table);
  const rows = Array.from({ length: 1_000 }, (_, id) => ({ id, name: "", phone: `p${id}` }));
  await db.insert(table).values(rows);
  assertEquals(await db.select().from(table).orderBy(table.id), rows);
  assertEquals(most, { encrypt: 256, decrypt: 256 });
});

test("replicas, each wrapped", async ({ open, plain }) => {
  const replica = open();
  const db = withReplicas(withEncryption(plain), [withEncryption(replica)]);
  assertEquals(await db.select().from(people).where(eq(people.id, 1)), [ADA]);
  await db.update(people).set({ phone: "777" }).where(eq(people.id, 1));
  const [row] = await db.$primary.select().from(people).where(eq(people.id, 1));
  assertEquals(row?.phone, "777");
  assertStrictEquals(withEncryption(db), db);
  for (const primary of [plain, withEncryption(plain)]) {
    const replicated = withReplicas(primary, [replica]);
    const { message } = assertThrows(() => withEncryption(replicated), TypeError);
    assertEquals(
      message,
      "Wrapping a database with withEncryption: it has replicas, wrap each of them instead: " +
        "withReplicas(withEncryption(primary), [withEncryption(replica)])",
    );
  }
});
