/** What `withEncryption` stores. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { eq, sql } from "drizzle-orm";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { withEncryption } from "../../pg/mod.ts";
import type { Case } from "./suite.ts";
import { assertStored, createTables, keyA, keyB, people, textUnderA } from "./tables.ts";

/** A letter of every plane of Unicode that has any, the private ones included, and the edges of each. */
const ALL_PLANES = Array.from({ length: 17 }, (_, plane) => {
  const base = plane * 0x10000;
  return String.fromCodePoint(base + (plane === 0 ? 0x41 : 0), base + 0x1234, base + 0xfffd);
}).join("") + "\u0000\ufeff\ud7ff\ue000\uffff";

export const writes: Case[] = [
  {
    name: "insert one row, two columns under two keys",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      await db.insert(people).values({ id: 1, name: "Ada", phone: "555", token: "t0k3n" });
      await assertStored(context, "SELECT phone FROM person", "555", keyA);
      await assertStored(context, "SELECT api_token FROM person", "t0k3n", keyB);
      assertEquals(await db.select().from(people), [
        { id: 1, name: "Ada", phone: "555", token: "t0k3n" },
      ]);
    },
  },
  {
    name: "insert many rows, equal plaintexts stored differently",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const rows = Array.from({ length: 300 }, (_, id) => ({
        id,
        name: `n${id}`,
        phone: id % 3 === 0 ? null : "same",
        token: `t${id}`,
      }));
      await db.insert(people).values(rows);
      assertEquals(await db.select().from(people).orderBy(people.id), rows);
      const stored = await context.sql("SELECT phone, api_token FROM person ORDER BY id");
      assertEquals(stored.filter(({ phone }) => phone === null).length, 100);
      assertEquals(new Set(stored.map(({ phone }) => phone)).size, 201);
      await assertStored(context, "SELECT api_token FROM person WHERE id = 299", "t299", keyB);
    },
  },
  {
    name: "null, empty, a megabyte, every plane of Unicode",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const values = [null, "", "x".repeat(1 << 20), ALL_PLANES, "\ufeffbyte order mark", "a:b:c"];
      for (const [id, phone] of values.entries()) {
        await db.insert(people).values({ id, name: "", phone });
        if (phone === null) {
          assertEquals(await context.sql(`SELECT phone FROM person WHERE id = ${id}`), [
            { phone: null },
          ]);
        } else await assertStored(context, `SELECT phone FROM person WHERE id = ${id}`, phone);
      }
      const read = await db.select({ phone: people.phone }).from(people).orderBy(people.id);
      assertEquals(read.map(({ phone }) => phone), values);
    },
  },
  {
    name: "returning, of insert, update and delete",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const row = { id: 1, name: "Ada", phone: "555", token: null };
      assertEquals(await db.insert(people).values(row).returning(), [row]);
      assertEquals(
        await db.update(people).set({ phone: "777" }).where(eq(people.id, 1))
          .returning({ deep: { phone: people.phone }, token: people.token }),
        [{ deep: { phone: "777" }, token: null }],
      );
      await assertStored(context, "SELECT phone FROM person", "777");
      assertEquals(await db.delete(people).returning({ phone: people.phone }), [{ phone: "777" }]);
      assertEquals(await context.sql("SELECT * FROM person"), []);
    },
  },
  {
    name: "on conflict do update, with values and with excluded",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const insert = (phone: string, token: string) =>
        db.insert(people).values({ id: 1, name: "Ada", phone, token });
      await insert("1", "a");
      await insert("2", "b").onConflictDoUpdate({ target: people.id, set: { phone: "3" } });
      assertEquals(await db.select().from(people), [
        { id: 1, name: "Ada", phone: "3", token: "a" },
      ]);
      await insert("4", "c").onConflictDoUpdate({
        target: people.id,
        set: { phone: sql`excluded.phone`, token: sql.raw(`excluded.${people.token.name}`) },
      });
      assertEquals(await db.select().from(people), [
        { id: 1, name: "Ada", phone: "4", token: "c" },
      ]);
      await assertStored(context, "SELECT phone FROM person", "4");
      await insert("5", "d").onConflictDoNothing();
      await assertStored(context, "SELECT phone FROM person", "4");
    },
  },
  {
    name: "insert … select moves the ciphertext",
    async run(context) {
      await createTables(context);
      const copies = pgTable("copy", { id: integer(), phone: textUnderA() });
      await context.sql("CREATE TABLE copy (id int, phone text)");
      const db = withEncryption(context.open());
      await db.insert(people).values({ id: 1, name: "Ada", phone: "555" });
      await db.insert(copies).select(
        db.select({ id: people.id, phone: people.phone }).from(people),
      );
      assertEquals(await db.select().from(copies), [{ id: 1, phone: "555" }]);
      const [row] = await context.sql("SELECT p.phone = c.phone AS same FROM person p, copy c");
      assertEquals(row, { same: true });
    },
  },
  {
    name: "in a raw statement, the application hands over ciphertext itself",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const ciphertext = await keyA.encrypt("555");
      await db.execute(sql`with added as (
        insert into ${people} ("id", "name", "phone") values (${1}, ${"Ada"}, ${ciphertext}) returning id
      ) select * from added`);
      await assertStored(context, "SELECT phone FROM person", "555");
      assertEquals((await db.select().from(people))[0]?.phone, "555");
    },
  },
  {
    name: "$default and $onUpdate on an encrypted column",
    async run(context) {
      let calls = 0;
      const table = pgTable("generated", {
        id: integer().primaryKey(),
        label: text(),
        code: textUnderA().$default(() => `default ${++calls}`),
        stamp: textUnderA().$onUpdate(() => `update ${++calls}`),
      });
      await context.sql(
        "CREATE TABLE generated (id int PRIMARY KEY, label text, code text, stamp text)",
      );
      const db = withEncryption(context.open());
      await db.insert(table).values({ id: 1 });
      await assertStored(context, "SELECT code FROM generated", "default 1");
      await assertStored(context, "SELECT stamp FROM generated", "update 2");
      await db.update(table).set({ label: "changed" });
      assertEquals(await db.select().from(table), [
        { id: 1, label: "changed", code: "default 1", stamp: "update 3" },
      ]);
    },
  },
  {
    name: "a prepared statement with placeholders, executed twice and concurrently",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const insert = db.insert(people).values({
        id: sql.placeholder("id"),
        name: sql.placeholder("name"),
        phone: sql.placeholder("phone"),
        token: "fixed",
      }).returning().prepare("insert_person");
      const find = db.select().from(people).where(eq(people.id, sql.placeholder("id")))
        .prepare("find_person");
      const person = (id: number) => ({ id, name: `n${id}`, phone: `p${id}`, token: "fixed" });
      const values = (id: number) => ({ id, name: `n${id}`, phone: `p${id}` });
      assertEquals(await insert.execute(values(1)), [person(1)]);
      assertEquals(await insert.execute({ ...values(2), phone: null }), [
        { ...person(2), phone: null },
      ]);
      const ids = Array.from({ length: 20 }, (_, index) => index + 10);
      assertEquals(
        await Promise.all(ids.map((id) => insert.execute(values(id)))),
        ids.map((id) => [person(id)]),
      );
      assertEquals(
        await Promise.all(ids.map((id) => find.execute({ id }))),
        ids.map((id) => [person(id)]),
      );
      // The value that is part of the statement is encrypted anew for every execution, too.
      const stored = await context.sql("SELECT DISTINCT api_token FROM person");
      assertEquals(stored.length, ids.length + 2);
    },
  },
  {
    name: "the database that was wrapped stays as it was",
    async run(context) {
      await createTables(context);
      const plain = context.open();
      const db = withEncryption(plain);
      assertNotEquals<unknown>(db, plain);
      assert(withEncryption(plain) === db && withEncryption(db) === db);
      await db.insert(people).values({ id: 1, name: "Ada", phone: "555" });
      const [row] = await plain.select().from(people);
      assertEquals(typeof row!.phone, "object");
    },
  },
];
