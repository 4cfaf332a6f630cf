/** Relational queries (`db.query`) of a database wrapped by `withEncryption`. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { eq, sql } from "drizzle-orm";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import { DecryptionError, withEncryption } from "../../pg/mod.ts";
import type { Case, TestContext } from "./suite.ts";
import { schema } from "./relations.ts";
import { createTables, notes, people } from "./tables.ts";

type Database = PgDatabase<PgQueryResultHKT, typeof schema>;

async function fill(context: TestContext): Promise<Database> {
  await createTables(context);
  const db = withEncryption(context.open<Database>({ schema }));
  await db.insert(people).values([
    { id: 1, name: "Ada", phone: "555", token: "t" },
    { id: 2, name: "Bob" },
  ]);
  await db.insert(notes).values([
    { id: 7, ownerId: 1, body: "first", data: { a: 1 } },
    { id: 8, ownerId: 1, body: "second" },
  ]);
  return db;
}

export const relational: Case[] = [
  {
    name: "findMany and findFirst with nested relations",
    async run(context) {
      const db = await fill(context);
      const many = await db.query.people.findMany({
        orderBy: people.id,
        with: { notes: { orderBy: notes.id, with: { owner: { columns: { phone: true } } } } },
      });
      assertEquals(many, [
        {
          id: 1,
          name: "Ada",
          phone: "555",
          token: "t",
          notes: [
            { id: 7, ownerId: 1, body: "first", data: { a: 1 }, owner: { phone: "555" } },
            { id: 8, ownerId: 1, body: "second", data: null, owner: { phone: "555" } },
          ],
        },
        { id: 2, name: "Bob", phone: null, token: null, notes: [] },
      ]);
      const first = await db.query.notes.findFirst({
        columns: { body: true },
        where: eq(notes.id, 8),
        with: { owner: true },
      });
      assertEquals(first, {
        body: "second",
        owner: { id: 1, name: "Ada", phone: "555", token: "t" },
      });
      assertEquals(await db.query.people.findFirst({ where: eq(people.id, 99) }), undefined);
    },
  },
  {
    name: "conditions, order and extras hold to the rule",
    async run(context) {
      const db = await fill(context);
      const find = db.query.people;
      assertEquals(
        await find.findFirst({
          columns: { phone: true },
          where: (table, { isNotNull }) => isNotNull(table.phone),
          extras: (table) => ({ shout: sql<string>`upper(${table.name})`.as("shout") }),
        }),
        { phone: "555", shout: "ADA" },
      );
      const queries = [
        () => find.findMany({ where: (table, { eq }) => eq(table.phone, "555") }),
        () => find.findMany({ where: eq(people.phone, "555") }),
        () => find.findMany({ where: sql`${people.phone} <> ${sql.placeholder("x")}` }),
        () => find.findMany({ orderBy: (table, { asc }) => asc(table.phone) }),
        () => find.findMany({ orderBy: people.phone }),
        () => find.findMany({ orderBy: [people.id, people.phone] }),
        () =>
          find.findMany({
            extras: (table) => ({ stored: sql<string>`${table.phone}`.as("stored") }),
          }),
        () =>
          find.findMany({
            extras: (table) => ({
              stored: sql<string>`${table.phone}`.mapWith(people.phone).as("stored"),
            }),
          }),
        () =>
          db.query.notes.findMany({
            with: { owner: { extras: { stored: sql<string>`${people.phone}`.as("stored") } } },
          }),
        () => find.findMany({ with: { notes: { where: (table, { ne }) => ne(table.body, "") } } }),
      ];
      for (const query of queries) {
        const error = await assertRejects(async () => await query(), TypeError);
        assertMatch(
          error.message,
          /^Building a SELECT: .*the encrypted column "(phone|body)" of table/,
        );
      }
    },
  },
  {
    name: "prepared, and in a transaction",
    async run(context) {
      const db = await fill(context);
      const find = db.query.people.findFirst({ where: eq(people.id, sql.placeholder("id")) })
        .prepare("find_first");
      const [ada, bob] = await Promise.all([find.execute({ id: 1 }), find.execute({ id: 2 })]);
      assertEquals([ada?.phone, bob?.phone], ["555", null]);
      await db.transaction(async (tx) => {
        await tx.update(people).set({ phone: "777" }).where(eq(people.id, 1));
        assertEquals((await tx.query.people.findFirst({ where: eq(people.id, 1) }))?.token, "t");
        await tx.transaction(async (inner) => {
          const found = await inner.query.people.findMany({ where: eq(people.id, 1) });
          assertEquals(found[0]?.phone, "777");
        });
      });
    },
  },
  {
    name: "a damaged value in a relation is named by its path",
    async run(context) {
      const db = await fill(context);
      await context.sql("UPDATE note SET body = overlay(body placing '!' from 1) WHERE id = 8");
      const query = () =>
        db.query.people.findMany({ orderBy: people.id, with: { notes: { orderBy: notes.id } } });
      const error = await assertRejects(query, DecryptionError);
      assertEquals(error.path, "[0].notes[1].body");
      const single = await assertRejects(
        () => db.query.notes.findFirst({ where: eq(notes.id, 8) }),
        DecryptionError,
      );
      assertEquals(single.path, "body");
    },
  },
];
