/** Writes through `withEncryption`; see `rule.ts` for shapes of queries. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { eq, sql } from "drizzle-orm";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { withEncryption } from "../../pg/mod.ts";
import { suite } from "./suite.ts";
import { ADA, assertStored, keyA, keyB, open, people, textUnderA } from "./tables.ts";

/**
 * Characters of every Unicode plane that has any, including private ones, and the edges of each.
 */
const ALL_PLANES = Array.from({ length: 17 }, (_, plane) => {
  const base = plane * 0x10000;
  return String.fromCodePoint(base + (plane === 0 ? 0x41 : 0), base + 0x1234, base + 0xfffd);
}).join("") + "\u0000\ufeff\ud7ff\ue000\uffff";

const { cases, test } = suite(open);
export { cases as writes };

test("insert many rows with two keys; equal plaintexts are stored differently", async ({ db, context }) => {
  const rows = Array.from({ length: 300 }, (_, id) => ({
    ...{ id, name: `n${id}` },
    phone: id % 3 === 0 ? null : "same",
    token: `t${id}`,
  }));
  await db.insert(people).values(rows);
  assertEquals(await db.select().from(people).orderBy(people.id), rows);
  const stored = await context.sql("SELECT phone, api_token FROM person ORDER BY id");
  assertEquals(stored.filter(({ phone }) => phone === null).length, 100);
  assertEquals(new Set(stored.map(({ phone }) => phone)).size, 201);
  await assertStored(context, "SELECT phone FROM person WHERE id = 1", "same");
  await assertStored(context, "SELECT api_token FROM person WHERE id = 299", "t299", keyB);
});

test("null, empty, a megabyte, every plane of Unicode", async ({ db, context }) => {
  const values = [null, "", "x".repeat(1 << 20), ALL_PLANES, "\ufeffbyte order mark", "a:b:c"];
  for (const [id, phone] of values.entries()) {
    await db.insert(people).values({ id, name: "", phone });
    const query = `SELECT phone FROM person WHERE id = ${id}`;
    if (phone === null) assertEquals(await context.sql(query), [{ phone }]);
    else await assertStored(context, query, phone);
  }
  const read = await db.select({ phone: people.phone }).from(people).orderBy(people.id);
  assertEquals(read.map(({ phone }) => phone), values);
});

test("returning, of insert, update and delete", async ({ db, context }) => {
  assertEquals(await db.insert(people).values(ADA).returning(), [ADA]);
  assertEquals(
    await db.update(people).set({ phone: "777" })
      .returning({ deep: { phone: people.phone }, token: people.token }),
    [{ deep: { phone: "777" }, token: "t" }],
  );
  await assertStored(context, "SELECT phone FROM person", "777");
  assertEquals(await db.delete(people).returning({ phone: people.phone }), [{ phone: "777" }]);
  assertEquals(await context.sql("SELECT * FROM person"), []);
});

test("$default and $onUpdate on an encrypted column", async ({ db, context }) => {
  let calls = 0;
  const table = pgTable("generated", {
    id: integer().primaryKey(),
    label: text(),
    code: textUnderA().$default(() => `default ${++calls}`),
    stamp: textUnderA().$onUpdate(() => `update ${++calls}`),
  });
  await context.sql("CREATE TABLE generated (id int, label text, code text, stamp text)");
  await db.insert(table).values({ id: 1 });
  await assertStored(context, "SELECT code FROM generated", "default 1");
  await assertStored(context, "SELECT stamp FROM generated", "update 2");
  await db.update(table).set({ label: "changed" });
  assertEquals(
    await db.select().from(table),
    [{ id: 1, label: "changed", code: "default 1", stamp: "update 3" }],
  );
});

test("a prepared statement with placeholders, executed twice and concurrently", async ({ db, ...past }) => {
  const insert = db.insert(people).values({
    id: sql.placeholder("id"),
    name: sql.placeholder("name"),
    phone: sql.placeholder("phone"),
    token: "fixed",
  }).returning().prepare("insert_person");
  const find = db.select().from(people).where(eq(people.id, sql.placeholder("id")))
    .prepare("find_person");
  const values = (id: number) => ({ id, name: `n${id}`, phone: `p${id}` });
  const person = (id: number) => [{ ...values(id), token: "fixed" }];
  assertEquals(await insert.execute(values(1)), person(1));
  const without = { ...values(2), phone: null };
  assertEquals(await insert.execute(without), [{ ...without, token: "fixed" }]);
  const ids = Array.from({ length: 20 }, (_, index) => index + 10);
  const inserted = await Promise.all(ids.map((id) => insert.execute(values(id))));
  assertEquals(inserted, ids.map(person));
  assertEquals(await Promise.all(ids.map((id) => find.execute({ id }))), ids.map(person));
  // A literal value of the statement is encrypted anew for every execution, too.
  const stored = await past.sql("SELECT DISTINCT api_token FROM person");
  assertEquals(stored.length, ids.length + 2);
});

test("values of placeholders are read before execute returns, however many", async ({ db, context }) => {
  const ids = Array.from({ length: 600 }, (_, id) => id);
  const insert = db.insert(people).values(
    ids.map((id) => ({ id, name: sql.placeholder(`n${id}`), phone: sql.placeholder(`p${id}`) })),
  ).prepare("insert_many");
  const names = ids.flatMap((id) => [`n${id}`, `p${id}`]);
  const values = Object.fromEntries(names.map((name) => [name, "first"]));
  const inserting = insert.execute(values);
  for (const name of names) values[name] = "second";
  await inserting;
  const stored = await context.sql("SELECT name, phone FROM person");
  const phones = await Promise.all(stored.map(({ phone }) => keyA.decrypt(String(phone))));
  assertEquals(new Set(phones), new Set(["first"]));
  assertEquals(new Set(stored.map(({ name }) => name)), new Set(["first"]));
});

test("values of placeholders can be inherited, and be getters", async ({ db, context }) => {
  const insert = db.insert(people).values({
    id: sql.placeholder("id"),
    name: sql.placeholder("name"),
    phone: sql.placeholder("phone"),
  }).prepare("insert_inherited");
  class Person {
    readonly #id = 1;
    get id() {
      return this.#id;
    }
    get phone() {
      return `phone ${this.#id}`;
    }
  }
  await insert.execute(
    Object.assign(new Person(), { name: "Ada" }) as object as Record<string, unknown>,
  );
  assertEquals(await context.sql("SELECT id, name FROM person"), [{ id: 1, name: "Ada" }]);
  await assertStored(context, "SELECT phone FROM person", "phone 1");
});

test("the database that was wrapped is unchanged", async ({ db, plain }) => {
  assertNotEquals<unknown>(db, plain);
  assert(withEncryption(plain) === db && withEncryption(db) === db);
  await db.insert(people).values(ADA);
  const [row] = await plain.select().from(people);
  assertEquals(typeof row!.phone, "object");
});
