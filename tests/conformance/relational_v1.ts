/**
 * Relational queries of Drizzle 1.0, which describes relations with `defineRelations`. Stands in for the
 * suite of the same name where that line is installed; its types are not those that this repository has.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import * as drizzle from "drizzle-orm";
import { sql } from "drizzle-orm";
import { DecryptionError, withEncryption } from "../../pg/mod.ts";
import { MemoryCache } from "../suites/confidentiality.ts";
import type { AnyDatabase, Case, TestContext } from "../suites/suite.ts";
import { createTables, notes, people } from "../suites/tables.ts";

interface Prepared {
  execute(values: Record<string, unknown>): Promise<Record<string, unknown> | undefined>;
}

interface Found<T> extends Promise<T> {
  prepare(name: string): Prepared;
}

interface Builder {
  findMany(config: unknown): Found<Record<string, unknown>[]>;
  findFirst(config: unknown): Found<Record<string, unknown> | undefined>;
}

type Database = Omit<AnyDatabase, "query" | "transaction"> & {
  query: { people: Builder; notes: Builder };
  transaction<T>(run: (tx: Database) => Promise<T>): Promise<T>;
};

interface Helpers {
  one: { people(options: unknown): unknown };
  many: { notes(): unknown };
  people: { id: unknown };
  notes: { ownerId: unknown };
}

const { defineRelations } = drizzle as unknown as {
  defineRelations(schema: unknown, relate: (helpers: Helpers) => unknown): unknown;
};

const relations = () =>
  defineRelations({ people, notes }, (r) => ({
    people: { notes: r.many.notes() },
    notes: { owner: r.one.people({ from: r.notes.ownerId, to: r.people.id }) },
  }));

async function fill(context: TestContext): Promise<Database> {
  await createTables(context);
  const options = { relations: relations() } as Record<string, unknown>;
  const db = withEncryption(context.open<AnyDatabase>(options)) as unknown as Database;
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
        orderBy: { id: "asc" },
        with: { notes: { orderBy: { id: "asc" }, with: { owner: { columns: { phone: true } } } } },
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
        where: { id: 8 },
        with: { owner: true },
      });
      assertEquals(first, {
        body: "second",
        owner: { id: 1, name: "Ada", phone: "555", token: "t" },
      });
      assertEquals(await db.query.people.findFirst({ where: { id: 99 } }), undefined);
    },
  },
  {
    name: "an encrypted column in a filter is refused, in the filter of a relation too",
    async run(context) {
      const db = await fill(context);
      for (
        const where of [
          { phone: "555" },
          { phone: { ne: "x" } },
          { notes: { body: "first" } },
          { OR: [{ id: 1 }, { token: { in: ["t"] } }] },
        ]
      ) {
        await assertRejects(() => db.query.people.findMany({ where }), TypeError);
      }
      assertEquals(
        (await db.query.people.findMany({ where: { phone: { isNull: true } } })).length,
        1,
      );
    },
  },
  {
    name: "extras hold to the rule",
    async run(context) {
      const db = await fill(context);
      for (
        const expression of [
          sql`${people.phone}`.mapWith(people.phone),
          sql`${people.phone} || ''`,
        ]
      ) {
        const find = () =>
          db.query.people.findFirst({
            where: { id: 1 },
            extras: { stored: () => expression },
          });
        await assertRejects(async () => await find(), TypeError);
      }
    },
  },
  {
    name: "a cache that keeps objects never holds plaintext, also where Drizzle maps them in place",
    async run(context) {
      await fill(context);
      for (const jit of [false, true]) {
        const cache = new MemoryCache(false);
        const options = { relations: relations(), cache, jit } as Record<string, unknown>;
        const db = withEncryption(context.open<AnyDatabase>(options)) as unknown as Database;
        for (let run = 0; run < 3; run++) {
          const found = await db.query.people.findMany({
            orderBy: { id: "asc" },
            columns: { phone: true },
            with: { notes: { columns: { body: true }, orderBy: { id: "asc" } } },
          });
          assertEquals<unknown>(found, [
            { phone: "555", notes: [{ body: "first" }, { body: "second" }] },
            { phone: null, notes: [] },
          ]);
          const kept = JSON.stringify([...cache.entries]);
          for (const plaintext of ["555", "first", "second"]) assert(!kept.includes(plaintext));
        }
        assertEquals([cache.entries.size, cache.hits], [1, 2]);
      }
    },
  },
  {
    name: "with compiled mappers",
    async run(context) {
      await fill(context);
      const options = { relations: relations(), jit: true } as Record<string, unknown>;
      const db = withEncryption(context.open<AnyDatabase>(options)) as unknown as Database;
      const found = await db.query.people.findMany({
        orderBy: { id: "asc" },
        columns: { phone: true },
        with: { notes: { columns: { body: true }, orderBy: { id: "asc" } } },
      });
      assertEquals<unknown>(found, [
        { phone: "555", notes: [{ body: "first" }, { body: "second" }] },
        { phone: null, notes: [] },
      ]);
      const rows = await db.select({ phone: people.phone, body: notes.body }).from(people)
        .leftJoin(notes, drizzle.eq(notes.ownerId, people.id)).orderBy(people.id, notes.id);
      assertEquals<unknown>(rows, [
        { phone: "555", body: "first" },
        { phone: "555", body: "second" },
        { phone: null, body: null },
      ]);
    },
  },
  {
    name: "prepared, and in a transaction",
    async run(context) {
      const db = await fill(context);
      const find = db.query.people.findFirst({ where: { id: sql.placeholder("id") } })
        .prepare("find_first");
      const [ada, bob] = await Promise.all([find.execute({ id: 1 }), find.execute({ id: 2 })]);
      assertEquals([ada?.["phone"], bob?.["phone"]], ["555", null]);
      await db.transaction(async (tx) => {
        await tx.update(people).set({ phone: "777" }).where(drizzle.eq(people.id, 1));
        assertEquals((await tx.query.people.findFirst({ where: { id: 1 } }))?.["token"], "t");
        await tx.transaction(async (inner) => {
          const found = await inner.query.people.findMany({ where: { id: 1 } });
          assertEquals(found[0]?.["phone"], "777");
        });
      });
    },
  },
  {
    name: "a damaged value in a relation is named by its path",
    async run(context) {
      const db = await fill(context);
      await context.sql("UPDATE note SET body = overlay(body placing '!' from 1) WHERE id = 8");
      const error = await assertRejects(
        () =>
          db.query.people.findMany({
            orderBy: { id: "asc" },
            with: { notes: { orderBy: { id: "asc" } } },
          }),
        DecryptionError,
      );
      assertEquals(error.path, "[0].notes[1].body");
      const single = await assertRejects(
        () => db.query.notes.findFirst({ where: { id: 8 } }),
        DecryptionError,
      );
      assertEquals(single.path, "body");
    },
  },
];
