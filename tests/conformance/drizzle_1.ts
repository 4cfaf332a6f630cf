/**
 * Cases that differ on Drizzle 1.0, by their names in `tests/suites`: databases have no `casing`
 * option, and relations use `defineRelations`. Its types are not available in this repository.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import * as drizzle from "drizzle-orm";
import { eq, sql } from "drizzle-orm";
import * as pgCore from "drizzle-orm/pg-core";
import {
  buildExtensionInstanceTable,
  DecryptionError,
  PgExtensionStorage,
  withEncryption,
} from "../../pg/mod.ts";
import { MemoryCache } from "../suites/confidentiality.ts";
import { reencryption as reencryptionOfToday } from "../suites/reencryption.ts";
import { storage as storageOfToday } from "../suites/storage.ts";
import type { AnyDatabase, Case, DrizzleOptions, TestContext } from "../suites/suite.ts";
import { assertStored, createTables, notes, people, textUnderA } from "../suites/tables.ts";
import { extensionInstanceDdl, extensionInstances } from "../support/extension_instance.ts";

/** A suite without one of its cases, which must exist. */
function without(cases: readonly Case[], name: string): Case[] {
  const rest = cases.filter((found) => found.name !== name);
  if (rest.length === cases.length) throw new Error(`Leaving a case out: there is no "${name}"`);
  return rest;
}

export const reencryption: readonly Case[] = without(reencryptionOfToday, "with Drizzle's casing");

const INSTANCE = { contextId: "p-abc123", consentedScopes: ["a"], secret: "first" };

const casing: Case = {
  name: "Drizzle 1.0 has no casing option: the database has the original's names",
  async run(context) {
    await context.sql(extensionInstanceDdl);
    const storage = new PgExtensionStorage(
      context.open({ casing: "snake_case" }),
      extensionInstances,
    );
    await storage.upsertExtension({ ...INSTANCE, extensionInstanceId: "instance" });
    const rows = await context.sql(`SELECT "contextId" FROM extension_instance`);
    assertEquals(rows, [{ contextId: "p-abc123" }]);
  },
};

/** Drizzle 1.0's ways to build a table. */
const { snakeCase, pgTable, pgSchema } = pgCore as unknown as {
  snakeCase: { table: typeof pgCore.pgTable };
  pgTable: { withRLS: typeof pgCore.pgTable };
  pgSchema: typeof pgCore.pgSchema;
};
const tables = [
  ["snakeCase.table", snakeCase.table, '"installed"', ""],
  [
    "pgTable.withRLS",
    pgTable.withRLS,
    '"installed"',
    'ALTER TABLE "installed" ENABLE ROW LEVEL SECURITY',
  ],
  ["pgSchema(…).table", pgSchema("app").table, '"app"."installed"', ""],
] as const;

export const storage: Case[] = [
  ...without(
    storageOfToday,
    "with Drizzle's casing the names in the database follow it, as in the original",
  ),
  casing,
  ...tables.map(([name, table, place, ddl]): Case => ({
    name: `in a table of ${name}, with the original's columns`,
    async run(context) {
      await context.sql("CREATE SCHEMA IF NOT EXISTS app; DROP TABLE IF EXISTS app.installed");
      await context.sql(extensionInstanceDdl.replace('"extension_instance"', place) + ddl);
      const options = { table: table as never, name: "installed" };
      const installed = buildExtensionInstanceTable(textUnderA, {}, options);
      const storage = new PgExtensionStorage(context.open(), installed);
      const id = "22222222-2222-4222-8222-222222222222";
      await storage.upsertExtension({ ...INSTANCE, extensionInstanceId: id });
      await storage.rotateSecret(id, "second");
      await assertStored(context, `SELECT secret FROM ${place}`, "second");
      const found = await storage.getExtension(id);
      assertEquals([found?.contextId, found?.secret], ["p-abc123", "second"]);
      await storage.removeInstance(id);
      assertEquals(await context.sql(`SELECT id FROM ${place}`), []);
    },
  })),
];

interface Found<T> extends Promise<T> {
  prepare(name: string): { execute(values: Record<string, unknown>): Promise<T> };
}

type Row = Record<string, unknown>;

interface Builder {
  findMany(config: unknown): Found<Row[]>;
  findFirst(config: unknown): Found<Row | undefined>;
}

type Database = Omit<AnyDatabase, "query" | "transaction"> & {
  query: { people: Builder; notes: Builder };
  transaction<T>(run: (tx: Database) => Promise<T>): Promise<T>;
};

interface Related {
  through(column: Related): unknown;
}

interface Helpers {
  one: { people(options: unknown): unknown };
  many: Record<"notes" | "people", (options?: unknown) => unknown>;
  people: Record<"id" | "name" | "phone", Related>;
  notes: Record<"ownerId" | "body", Related>;
}

const { defineRelations } = drizzle as unknown as {
  defineRelations(schema: unknown, relate: (helpers: Helpers) => unknown): unknown;
};

function open(context: TestContext, options: Row = {}): Database {
  const relations = defineRelations({ people, notes }, (r) => ({
    people: { notes: r.many.notes() },
    notes: { owner: r.one.people({ from: r.notes.ownerId, to: r.people.id }) },
  }));
  const db = context.open<AnyDatabase>({ relations, ...options } as DrizzleOptions);
  return withEncryption(db) as unknown as Database;
}

async function fill(context: TestContext): Promise<Database> {
  await createTables(context);
  const db = open(context);
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

const byId = { orderBy: { id: "asc" } };

export const relational: Case[] = [
  {
    name: "findMany and findFirst with nested relations",
    async run(context) {
      const { query } = await fill(context);
      const many = await query.people.findMany({
        ...byId,
        with: { notes: { ...byId, with: { owner: { columns: { phone: true } } } } },
      });
      const owner = { phone: "555" };
      const notesOfAda = [
        { id: 7, ownerId: 1, body: "first", data: { a: 1 }, owner },
        { id: 8, ownerId: 1, body: "second", data: null, owner },
      ];
      const ada = { id: 1, name: "Ada", phone: "555", token: "t" };
      assertEquals(many, [
        { ...ada, notes: notesOfAda },
        { id: 2, name: "Bob", phone: null, token: null, notes: [] },
      ]);
      const first = await query.notes.findFirst({
        columns: { body: true },
        where: { id: 8 },
        with: { owner: true },
      });
      assertEquals(first, { body: "second", owner: ada });
      assertEquals(await query.people.findFirst({ where: { id: 99 } }), undefined);
      const found = await query.people.findMany({ where: { phone: { isNull: true } } });
      assertEquals(found.length, 1);
    },
  },
  {
    name: "filters, also of relations, and extras follow the rule",
    async run(context) {
      const { query } = await fill(context);
      const refused = [
        { where: { phone: "555" } },
        { where: { phone: { ne: "x" } } },
        { where: { notes: { body: "first" } } },
        { where: { OR: [{ id: 1 }, { token: { in: ["t"] } }] } },
        { extras: { stored: () => sql`${people.phone}`.mapWith(people.phone) } },
        { extras: { stored: () => sql`${people.phone} || ''` } },
      ];
      for (const config of refused) {
        await assertRejects(async () => await query.people.findMany(config), TypeError);
      }
      const relations = defineRelations({ people, notes }, (r) => ({
        people: { twins: r.many.notes({ from: r.people.phone, to: r.notes.body }) },
        notes: { owner: r.one.people({ from: r.notes.ownerId, to: r.people.id }) },
      }));
      const { query: twins } = open(context, { relations });
      for (const config of [{ with: { twins: true } }, { where: { twins: true } }]) {
        const find = async () => await twins.people.findMany(config);
        await assertRejects(find, TypeError, "uses the encrypted column");
      }
      // Reached by another table's filter.
      const find = async () => await twins.notes.findMany({ where: { owner: { twins: true } } });
      await assertRejects(find, TypeError, "uses the encrypted column");
      const through = defineRelations({ people, notes }, (r) => ({
        people: {
          twins: r.many.people({
            from: r.people.name.through(r.notes.body),
            to: r.people.id.through(r.notes.ownerId),
          }),
        },
      }));
      const many = open(context, { relations: through }).query.people;
      const findTwins = async () => await many.findMany({ with: { twins: true } });
      await assertRejects(findTwins, TypeError, "uses the encrypted column");
      // A view with an expression, which relational queries write by its alias.
      const shouts = pgCore.pgView("shout").as((qb) =>
        qb.select({ id: people.id, shout: sql`upper(${people.phone})`.as("shout") }).from(people)
      );
      const views = defineRelations({ people: shouts }, () => ({}));
      const findShouts = async () =>
        await open(context, { relations: views }).query.people.findMany({});
      await assertRejects(findShouts, TypeError, "uses the encrypted column");
    },
  },
  {
    name: "a column with an alias is decrypted, and named nowhere else",
    async run(context) {
      const db = await fill(context);
      const { phone } = people as unknown as { phone: { as(alias: string): typeof people.phone } };
      const aliased = phone.as("phone");
      const found = await db.select({ aliased }).from(people).where(eq(people.id, 1));
      assertEquals(found, [{ aliased: "555" }]);
      const joining = pgCore.customType<{ data: string }>({
        dataType: () => "text",
        toDriver: (value) => sql`concat(${aliased}, ${value}::text)`,
      });
      const joined = pgCore.pgTable("person", { name: joining() });
      await assertRejects(
        async () => await db.update(joined).set({ name: "x" }),
        TypeError,
        "uses the encrypted column",
      );
    },
  },
  {
    name: "compiled mappers, and an object cache without plaintext",
    async run(context) {
      await fill(context);
      const selection = { phone: people.phone, body: notes.body };
      for (const jit of [false, true]) {
        const cache = new MemoryCache(false);
        const db = open(context, { cache, jit });
        for (let run = 0; run < 3; run++) {
          const found = await db.query.people.findMany({
            ...byId,
            columns: { phone: true },
            with: { notes: { columns: { body: true }, ...byId } },
          });
          assertEquals(found, [
            { phone: "555", notes: [{ body: "first" }, { body: "second" }] },
            { phone: null, notes: [] },
          ]);
          const kept = JSON.stringify([...cache.entries]);
          for (const plaintext of ["555", "first", "second"]) assert(!kept.includes(plaintext));
        }
        assertEquals([cache.entries.size, cache.hits], [1, 2]);
        const rows = await open(context, { jit }).select(selection).from(people)
          .leftJoin(notes, eq(notes.ownerId, people.id)).orderBy(people.id, notes.id);
        assertEquals<unknown>(rows, [
          { phone: "555", body: "first" },
          { phone: "555", body: "second" },
          { phone: null, body: null },
        ]);
      }
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
        await tx.update(people).set({ phone: "777" }).where(eq(people.id, 1));
        assertEquals((await tx.query.people.findFirst({ where: { id: 1 } }))?.["token"], "t");
        await tx.transaction(async (inner) => {
          const found = await inner.query.people.findMany({ where: { id: 1 } });
          assertEquals(found[0]?.["phone"], "777");
        });
      });
    },
  },
  {
    name: "a damaged value in a relation is located by its path",
    async run(context) {
      const db = await fill(context);
      await context.sql("UPDATE note SET body = overlay(body placing '!' from 1) WHERE id = 8");
      const error = await assertRejects(
        () => db.query.people.findMany({ ...byId, with: { notes: byId } }),
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
