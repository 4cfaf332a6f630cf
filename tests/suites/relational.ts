/** Relational queries (`db.query`) of a database wrapped by `withEncryption`. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { eq, relations, sql } from "drizzle-orm";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import { DecryptionError, withEncryption } from "../../pg/mod.ts";
import { suite } from "./suite.ts";
import { ADA, BOB, notes, openFilled, people } from "./tables.ts";

const schema = {
  people,
  notes,
  peopleRelations: relations(people, ({ many }) => ({ notes: many(notes) })),
  notesRelations: relations(notes, ({ one }) => ({
    owner: one(people, { fields: [notes.ownerId], references: [people.id] }),
  })),
};

const { cases, test } = suite(async (context) => {
  const { db: filled } = await openFilled(context);
  await filled.insert(notes).values({ id: 8, ownerId: 1, body: "second" });
  const opened = context.open<PgDatabase<PgQueryResultHKT, typeof schema>>({ schema });
  return { sql: context.sql, db: withEncryption(opened) };
});
export { cases as relational };

test("findMany and findFirst with nested relations", async ({ db }) => {
  const many = await db.query.people.findMany({
    orderBy: people.id,
    with: { notes: { orderBy: notes.id, with: { owner: { columns: { phone: true } } } } },
  });
  const owned = { ownerId: 1, owner: { phone: "555" } };
  const first = { ...owned, id: 7, body: "diary", data: { a: [1] } };
  const second = { ...owned, id: 8, body: "second", data: null };
  assertEquals(many, [{ ...ADA, notes: [first, second] }, { ...BOB, notes: [] }]);
  const columns = { body: true } as const;
  const where = eq(notes.id, 8);
  const found = await db.query.notes.findFirst({ columns, where, with: { owner: true } });
  assertEquals(found, { body: "second", owner: ADA });
  assertEquals(await db.query.people.findFirst({ where: eq(people.id, 99) }), undefined);
});

test("conditions, order and extras follow the rule", async ({ db }) => {
  const find = db.query.people;
  const found = await find.findFirst({
    columns: { phone: true },
    where: (table, { isNotNull }) => isNotNull(table.phone),
    extras: (table) => ({ shout: sql<string>`upper(${table.name})`.as("shout") }),
  });
  assertEquals(found, { phone: "555", shout: "ADA" });
  const stored = sql<string>`${people.phone}`.as("stored");
  const mapped = sql<string>`${people.phone}`.mapWith(people.phone).as("stored");
  const queries = [
    () => find.findMany({ where: (table, { eq }) => eq(table.phone, "555") }),
    () => find.findMany({ where: eq(people.phone, "555") }),
    () => find.findMany({ where: sql`${people.phone} <> ${sql.placeholder("x")}` }),
    () => find.findMany({ orderBy: (table, { asc }) => asc(table.phone) }),
    () => find.findMany({ orderBy: people.phone }),
    () => find.findMany({ orderBy: [people.id, people.phone] }),
    () => find.findMany({ extras: { stored } }),
    () => find.findMany({ extras: { stored: mapped } }),
    () => db.query.notes.findMany({ extras: { stored: mapped } }),
    () => find.findMany({ extras: (table) => ({ p: sql`${table.phone}`.as("p") }) }),
    () => db.query.notes.findMany({ with: { owner: { extras: { stored } } } }),
    () => find.findMany({ with: { notes: { where: (table, { ne }) => ne(table.body, "") } } }),
  ];
  for (const query of queries) {
    const { message } = await assertRejects(async () => await query(), TypeError);
    assertMatch(message, /^Building a SELECT: .*the encrypted column "(phone|body)" of table/);
  }
});

test("prepared, and in a transaction", async ({ db }) => {
  const find = db.query.people.findFirst({ where: eq(people.id, sql.placeholder("id")) })
    .prepare("find_first");
  assertEquals(await Promise.all([1, 2].map((id) => find.execute({ id }))), [ADA, BOB]);
  await db.transaction(async (tx) => {
    await tx.update(people).set({ phone: "777" }).where(eq(people.id, 1));
    const where = eq(people.id, 1);
    assertEquals((await tx.query.people.findFirst({ where }))?.token, "t");
    await tx.transaction(async (inner) => {
      assertEquals(await inner.query.people.findMany({ where }), [{ ...ADA, phone: "777" }]);
    });
  });
});

test("a damaged value in a relation is located by its path", async ({ db, sql }) => {
  await sql("UPDATE note SET body = overlay(body placing '!' from 1) WHERE id = 8");
  const many = () =>
    db.query.people.findMany({ orderBy: people.id, with: { notes: { orderBy: notes.id } } });
  assertEquals((await assertRejects(many, DecryptionError)).path, "[0].notes[1].body");
  const single = () => db.query.notes.findFirst({ where: eq(notes.id, 8) });
  assertEquals((await assertRejects(single, DecryptionError)).path, "body");
});
