/** What `withEncryption` reads. */

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { count, eq, sql } from "drizzle-orm";
import { alias, integer, pgTable, pgView, text, unionAll, withReplicas } from "drizzle-orm/pg-core";
import { buildEncryptedTextColumn, type EncryptionKey, withEncryption } from "../../pg/mod.ts";
import type { AnyDatabase, Case, TestContext } from "./suite.ts";
import { createTables, keyA, notes, people } from "./tables.ts";

const ADA = { id: 1, name: "Ada", phone: "555", token: "t0k3n" };
const BOB = { id: 2, name: "Bob", phone: null, token: "" };
const NOTE = { id: 7, ownerId: 1, body: "dear diary", data: { deep: ["json"] } };
const ORPHAN = { id: 8, ownerId: null, body: "whose?", data: null };

async function fill(context: TestContext): Promise<AnyDatabase> {
  await createTables(context);
  const db = withEncryption(context.open());
  await db.insert(people).values([ADA, BOB]);
  await db.insert(notes).values([NOTE, ORPHAN]);
  return db;
}

export const reads: Case[] = [
  {
    name: "partial and nested shapes, a column twice",
    async run(context) {
      const db = await fill(context);
      assertEquals(
        await db.select({
          who: people.name,
          contact: { phone: people.phone, again: people.phone },
          token: people.token,
        }).from(people).orderBy(people.id),
        [
          { who: "Ada", contact: { phone: "555", again: "555" }, token: "t0k3n" },
          { who: "Bob", contact: { phone: null, again: null }, token: "" },
        ],
      );
      assertEquals(
        await db.selectDistinct({ id: people.id, token: people.token }).from(people)
          .where(eq(people.id, 2)),
        [{ id: 2, token: "" }],
      );
      assertEquals(await db.select().from(people).where(eq(people.id, 99)), []);
    },
  },
  {
    name: "all joins, with the missing side null",
    async run(context) {
      const db = await fill(context);
      const on = eq(notes.ownerId, people.id);
      const both = { person: ADA, note: NOTE };
      const onlyPerson = { person: BOB, note: null };
      const onlyNote = { person: null, note: ORPHAN };
      assertEquals<unknown>(await db.select().from(people).innerJoin(notes, on), [both]);
      assertEquals<unknown>(
        await db.select().from(people).leftJoin(notes, on).orderBy(people.id),
        [both, onlyPerson],
      );
      assertEquals<unknown>(
        await db.select().from(people).rightJoin(notes, on).orderBy(notes.id),
        [both, onlyNote],
      );
      assertEquals<unknown>(
        await db.select().from(people).fullJoin(notes, on).orderBy(people.id),
        [both, onlyPerson, onlyNote],
      );
      const other = alias(people, "other");
      assertEquals(
        await db.select({ phone: people.phone, other: other.phone }).from(people)
          .crossJoin(other).where(sql`${people.id} = 1 and ${other.id} = 1`),
        [{ phone: "555", other: "555" }],
      );
    },
  },
  {
    name: "CTE, subquery, union, view",
    async run(context) {
      const db = await fill(context);
      const cte = db.$with("cte").as(db.select().from(people).where(eq(people.id, 1)));
      assertEquals(await db.with(cte).select().from(cte), [ADA]);

      const subquery = db.select({ id: people.id, phone: people.phone }).from(people).as("sub");
      assertEquals(
        await db.select({ phone: subquery.phone, body: notes.body }).from(subquery)
          .innerJoin(notes, eq(notes.ownerId, subquery.id)),
        [{ phone: "555", body: "dear diary" }],
      );

      const texts = unionAll(
        db.select({ text: people.phone }).from(people).where(eq(people.id, 1)),
        db.select({ text: notes.body }).from(notes).where(eq(notes.id, 7)),
      );
      assertEquals((await texts).map(({ text }) => text).sort(), ["555", "dear diary"]);

      await context.sql("CREATE VIEW contact AS SELECT id, phone FROM person");
      const contacts = pgView("contact").as((qb) =>
        qb.select({ id: people.id, phone: people.phone }).from(people)
      );
      assertEquals(await db.select().from(contacts).where(eq(contacts.id, 1)), [
        { id: 1, phone: "555" },
      ]);
    },
  },
  {
    name: "a column inside of sql, mapped with the column",
    async run(context) {
      const db = await fill(context);
      const phone = sql<string | null>`coalesce(${people.phone}, null)`.mapWith(people.phone);
      assertEquals(await db.select({ phone: phone.as("p") }).from(people).orderBy(people.id), [
        { phone: "555" },
        { phone: null },
      ]);
    },
  },
  {
    name: "$count and aggregates",
    async run(context) {
      const db = await fill(context);
      assertEquals(await db.$count(people), 2);
      assertEquals(await db.$count(people, eq(people.id, 1)), 1);
      assertEquals(await db.select({ phones: count(people.phone) }).from(people), [{ phones: 1 }]);
      assertEquals(
        await db.select({
          phone: people.phone,
          notes: db.$count(notes, eq(notes.ownerId, people.id)),
        }).from(people).where(eq(people.id, 1)),
        [{ phone: "555", notes: 1 }],
      );
    },
  },
  {
    name: "db.execute gives what the driver gave, ciphertext included",
    async run(context) {
      const db = await fill(context);
      const query = sql`select ${people.id}, ${people.phone} from ${people} order by 1`;
      const wrappedResult = await db.execute(query);
      const plainResult = await context.open().execute(query);
      const rows = (
        result: unknown,
      ) => [...(result as { rows?: unknown[] }).rows ?? result as unknown[]];
      assertEquals(
        rows(wrappedResult),
        await context.sql("SELECT id, phone FROM person ORDER BY 1"),
      );
      assertEquals(rows(wrappedResult), rows(plainResult));
      assertStrictEquals(Object.getPrototypeOf(wrappedResult), Object.getPrototypeOf(plainResult));
      const update = sql`update ${people} set name = name`;
      const affected = (result: unknown) => {
        const { count, rowCount, affectedRows } = result as Record<string, unknown>;
        return { count, rowCount, affectedRows };
      };
      assertEquals(
        affected(await db.execute(update)),
        affected(await context.open().execute(update)),
      );
    },
  },
  {
    name: "many rows at once, while other queries run",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const rows = Array.from({ length: 2_000 }, (_, id) => ({
        id,
        name: "n",
        phone: `p${id}`,
        token: null,
      }));
      await db.insert(people).values(rows);
      const [all, some, names] = await Promise.all([
        db.select().from(people).orderBy(people.id),
        db.select({ phone: people.phone }).from(people).where(sql`${people.id} < 3`)
          .orderBy(people.id),
        db.select({ name: people.name }).from(people),
      ]);
      assertEquals(all, rows);
      assertEquals(some, [{ phone: "p0" }, { phone: "p1" }, { phone: "p2" }]);
      assertEquals(names.length, 2_000);
    },
  },
  {
    name: "many values are not encrypted or decrypted all at once",
    async run(context) {
      await createTables(context);
      let atWork = 0;
      let most = 0;
      const counted = async <T>(work: () => Promise<T>): Promise<T> => {
        most = Math.max(most, ++atWork);
        try {
          // Long enough for all others to begin that may.
          await new Promise((resolve) => setTimeout(resolve));
          return await work();
        } finally {
          atWork--;
        }
      };
      const key: EncryptionKey = {
        encrypt: (plaintext) => counted(() => keyA.encrypt(plaintext)),
        decrypt: (ciphertext) => counted(() => keyA.decrypt(ciphertext)),
      };
      const table = pgTable("person", {
        id: integer().primaryKey(),
        name: text().notNull(),
        phone: buildEncryptedTextColumn(key)(),
      });
      const db = withEncryption(context.open());
      const rows = Array.from({ length: 1_000 }, (_, id) => ({ id, name: "", phone: `p${id}` }));
      await db.insert(table).values(rows);
      assertEquals(most, 256);
      most = 0;
      assertEquals(await db.select().from(table).orderBy(table.id), rows);
      assertEquals(most, 256);
    },
  },
  {
    name: "replicas, each of them wrapped",
    async run(context) {
      await fill(context);
      const primary = context.open();
      const replica = context.open();
      const db = withReplicas(withEncryption(primary), [withEncryption(replica)]);
      assertEquals(await db.select().from(people).where(eq(people.id, 1)), [ADA]);
      await db.update(people).set({ phone: "777" }).where(eq(people.id, 1));
      assertEquals(
        await db.$primary.select({ phone: people.phone }).from(people).where(eq(people.id, 1)),
        [
          { phone: "777" },
        ],
      );
      const error = await assertRejects(
        // deno-lint-ignore require-await
        async () => withEncryption(withReplicas(primary, [replica])),
        TypeError,
      );
      assertEquals(
        error.message,
        "Wrapping a database with withEncryption: it has replicas, wrap each of them instead: " +
          "withReplicas(withEncryption(primary), [withEncryption(replica)])",
      );
    },
  },
];
