/** Nothing gets stored or compared by mistake. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { between, eq, inArray, like, ne, notInArray, or, sql } from "drizzle-orm";
import { alias, integer, pgTable } from "drizzle-orm/pg-core";
import { withEncryption } from "../../pg/mod.ts";
import type { AnyDatabase, Case, TestContext } from "./suite.ts";
import { createTables, dump, notes, people, textUnderA } from "./tables.ts";

const COMPARED =
  "Sending a query: it uses a value of an encrypted column elsewhere than in VALUES " +
  "or SET, encrypted values cannot be compared";
const NOT_ENCRYPTED = "Sending an encrypted column's value: it is not encrypted yet, wrap the " +
  "database with withEncryption(db)";
const NOT_DECRYPTED = "Reading an encrypted column's value: it is not decrypted yet, wrap the " +
  "database with withEncryption(db)";

async function fill(context: TestContext): Promise<AnyDatabase> {
  await createTables(context);
  const db = withEncryption(context.open());
  await db.insert(people).values([
    { id: 1, name: "Ada", phone: "555", token: "t" },
    { id: 2, name: "Bob", phone: "777" },
  ]);
  return db;
}

/** Every way we know of to get a value of an encrypted column into a condition. */
const comparisons: Record<string, (db: AnyDatabase) => PromiseLike<unknown>> = {
  "eq in select": (db) => db.select().from(people).where(eq(people.phone, "555")),
  "ne in delete": (db) => db.delete(people).where(ne(people.phone, "555")),
  "inArray in delete": (db) => db.delete(people).where(inArray(people.phone, ["555", "x"])),
  "notInArray in update": (db) =>
    db.update(people).set({ name: "?" }).where(notInArray(people.phone, ["555"])),
  "or, beside a legal value": (db) =>
    db.update(people).set({ phone: "1" }).where(or(eq(people.id, 1), ne(people.token, "t"))),
  "between": (db) => db.delete(people).where(between(people.phone, "0", "9")),
  "having": (db) =>
    db.select({ id: people.id }).from(people).groupBy(people.id, people.phone)
      .having(ne(people.phone, "555")),
  "join condition": (db) => db.select().from(people).innerJoin(notes, ne(people.phone, "555")),
  "order": (db) =>
    db.select().from(people).orderBy(sql`${people.phone} = ${sql.param("555", people.phone)}`),
  "setWhere": (db) =>
    db.insert(people).values({ id: 1, name: "!", phone: "1" }).onConflictDoUpdate({
      target: people.id,
      set: { phone: "2" },
      setWhere: ne(people.phone, "555"),
    }),
  "targetWhere": (db) =>
    db.insert(people).values({ id: 1, name: "!" }).onConflictDoUpdate({
      target: people.id,
      targetWhere: ne(people.phone, "555"),
      set: { name: "!" },
    }),
  "subquery in SET": (db) =>
    db.update(people).set({
      phone: sql`(select phone from person where phone <> ${
        sql.param("555", people.phone)
      } limit 1)`,
    }),
  "comparison in SET": (db) =>
    db.update(people).set({
      name: sql`(${people.phone} = ${sql.param("555", people.phone)})::text`,
    }),
  "bare comparison in SET": (db) =>
    db.update(people).set({ name: sql`${people.phone} = ${sql.param("555", people.phone)}` }),
  "condition of case in SET": (db) =>
    db.update(people).set({
      phone: sql`case when phone = ${sql.param("555", people.phone)} then null else phone end`,
    }),
  "operand of case in SET": (db) =>
    db.update(people).set({
      phone: sql`case ${sql.param("555", people.phone)} when phone then null else phone end`,
    }),
  "comparison in VALUES": (db) =>
    db.insert(people).values({ id: 3, name: sql`'555' = ${sql.param("555", people.phone)}` }),
  "VALUES that is no INSERT's": (db) =>
    db.delete(people).where(
      sql`(id, phone) not in (values (1, ${sql.param("555", people.phone)}))`,
    ),
  "nullif": (db) =>
    db.update(people).set({ phone: sql`nullif(phone, ${sql.param("555", people.phone)})` }),
  "concatenation": (db) =>
    db.update(people).set({ phone: sql`${sql.param("555", people.phone)} || 'x'` }),
  "select list": (db) =>
    db.select({ same: sql`phone = ${sql.param("555", people.phone)}` }).from(people),
  "FROM": (db) =>
    db.execute(
      sql`update person set name = '!' from (values (${
        sql.param("555", people.phone)
      })) as v(phone) where v.phone <> person.phone`,
    ),
  "after a misleading comment and string": (db) =>
    db.execute(sql`/* set phone = /* */ */ delete from person where name <> 'set phone = '
      -- values (
      and phone <> ${sql.param("555", people.phone)}`),
  "count": (db) => db.$count(people, ne(people.phone, "555")),
};

export const refusals: Case[] = [
  ...Object.entries(comparisons).map(([name, query]) => ({
    name: `a comparison is refused before it is sent: ${name}`,
    async run(context: TestContext) {
      const db = await fill(context);
      const before = await dump(context);
      const error = await assertRejects(async () => await query(db), TypeError);
      assertEquals(error.message, COMPARED);
      assertEquals(await dump(context), before);
    },
  })),
  {
    name: "a comparison with a placeholder is refused when it is prepared",
    async run(context) {
      const db = await fill(context);
      const before = await dump(context);
      const value = sql.placeholder("value");
      const comparisons = [
        () => db.select().from(people).where(eq(people.phone, value)).prepare("a"),
        () => db.delete(people).where(ne(people.phone, value)).prepare("b"),
        () => db.delete(people).where(inArray(people.phone, [value])).prepare("c"),
        () => db.delete(people).where(notInArray(people.phone, value)).prepare("d"),
        () =>
          db.delete(people).where(or(eq(people.id, 1), between(people.token, "", value))).prepare(
            "e",
          ),
        () => db.delete(people).where(sql`${value} <> ${people.phone}`).prepare("f"),
        () =>
          db.update(people).set({ name: sql`${people.phone} is distinct from ${value}` }).prepare(
            "g",
          ),
        () => {
          const sub = db.select().from(people).where(eq(people.phone, value)).as("sub");
          return db.select().from(sub).prepare("h");
        },
        () => {
          const cte = db.$with("cte").as(db.select().from(people).where(ne(people.phone, value)));
          return db.with(cte).select().from(cte).prepare("i");
        },
        () =>
          db.select().from(people).where(inArray(
            people.id,
            db.select({ id: alias(people, "other").id }).from(alias(people, "other"))
              .where(eq(alias(people, "other").phone, value)),
          )).prepare("j"),
      ];
      for (const prepare of comparisons) {
        const error = assertThrows(prepare, TypeError);
        assertEquals(
          error.message,
          "Preparing a query: it compares an encrypted column with a placeholder, " +
            "encrypted values cannot be compared",
        );
      }
      await assertRejects(
        async () => await db.delete(people).where(ne(people.phone, value)),
        TypeError,
      );
      assertThrows(
        () => db.execute(sql`delete from person where ${people.phone} <> ${value}`),
        TypeError,
      );
      await assertRejects(async () => await db.$count(people, ne(people.phone, value)), TypeError);
      const bound = sql.param(value, people.phone);
      const late = db.delete(people).where(sql`${people.phone} <> ${bound}`).prepare("late");
      const error = await assertRejects(() => late.execute({ value: "555" }), TypeError);
      assertEquals(error.message, COMPARED);
      assertEquals(await dump(context), before);
    },
  },
  {
    name: "placeholders beside encrypted columns, and raw ciphertext, are legal",
    async run(context) {
      const db = await fill(context);
      const value = sql.placeholder("value");
      const { id, name, phone } = people;
      const found = db.select({ phone, same: sql`${phone} is not null and ${name} = ${value}` })
        .from(people).where(sql`${phone} is not null and ${id} = ${sql.placeholder("id")}`)
        .orderBy(phone).limit(sql.placeholder("limit")).prepare("legal");
      assertEquals<unknown>(await found.execute({ value: "Ada", id: 1, limit: 1 }), [
        { phone: "555", same: true },
      ]);
      const [{ phone: stored } = {}] = await context.sql("SELECT phone FROM person WHERE id = 1");
      assertEquals(
        await db.select({ id }).from(people).where(sql`${phone} = ${stored}`),
        [{ id: 1 }],
      );
    },
  },
  {
    name: "a parameter that a raw statement both stores and compares is refused",
    async run(context) {
      const db = await fill(context);
      const before = await dump(context);
      const value = sql.param("555", people.phone);
      await assertRejects(
        async () =>
          await db.execute(sql`update person set phone = ${value} where phone <> ${value}`),
        TypeError,
      );
      assertEquals(await dump(context), before);
    },
  },
  {
    name: "like and raw parameters do not pass the column, as documented",
    async run(context) {
      const db = await fill(context);
      assertEquals(await db.select().from(people).where(like(people.phone, "%5%5%5%555")), []);
      assertEquals(await db.select().from(people).where(sql`${people.phone} = ${"555"}`), []);
    },
  },
  {
    name: "without withEncryption, writing is refused",
    async run(context) {
      await fill(context);
      const before = await dump(context);
      const plain = context.open();
      const writes = [
        plain.insert(people).values({ id: 3, name: "Cy", phone: "999" }),
        plain.update(people).set({ phone: "999" }),
        plain.update(people).set({ name: "!" }).where(ne(people.phone, "555")),
        plain.delete(people).where(ne(people.phone, "555")),
      ];
      for (const write of writes) {
        const error = await assertRejects(() => write.execute(), Error);
        // Drizzle 1.0 wraps whatever happens while it sends a query.
        const refusal = error instanceof TypeError ? error : error.cause;
        assertInstanceOf(refusal, TypeError);
        assertEquals(refusal.message, NOT_ENCRYPTED);
      }
      assertEquals(await dump(context), before);
      // The connection is as usable as before.
      assertEquals(await plain.$count(people), 2);
    },
  },
  {
    name: "without withEncryption, a value read refuses every use as a string",
    async run(context) {
      await fill(context);
      const [row] = await context.open().select().from(people).where(eq(people.id, 1));
      const phone = row!.phone!;
      const uses: Record<string, () => unknown> = {
        "template": () => `${phone}`,
        "concatenation": () => phone + "",
        "String": () => String(phone),
        "JSON": () => JSON.stringify(row),
        "loose comparison": () => (phone as unknown) == "555",
        "order": () => phone < "6",
        "number": () => Number(phone),
        "property key": () => ({} as Record<string, unknown>)[phone],
        "spread": () => [...phone],
        "length": () => phone.length,
        "index": () => phone[0],
        "encoder": () => new TextEncoder().encode(phone),
        "URL": () => new URLSearchParams({ phone }),
        "headers": () => new Headers({ phone }),
        "pattern": () => /5/.test(phone),
        ...Object.fromEntries(
          Reflect.ownKeys(String.prototype).filter((member) => member !== "constructor")
            .map((
              member,
            ) => [String(member), () => Reflect.get(phone as unknown as object, member)]),
        ),
      };
      for (const [use, run] of Object.entries(uses)) {
        const error = assertThrows(run, TypeError, undefined, use);
        assertEquals(error.message, NOT_DECRYPTED, use);
      }
      assertThrows(() => structuredClone(row));
      assertEquals(await Promise.resolve(phone), phone);
    },
  },
  {
    name: "without withEncryption, a value read cannot be stored again",
    async run(context) {
      await fill(context);
      const before = await dump(context);
      const plain = context.open();
      const [row] = await plain.select().from(people).where(eq(people.id, 1));
      for (const db of [plain, withEncryption(plain)]) {
        // A column of another type must not take it for its text either.
        await assertRejects(async () => await db.update(people).set({ name: row!.phone! }));
        const error = await assertRejects(
          async () => await db.update(people).set({ phone: row!.phone }),
          TypeError,
        );
        assertStringIncludes(error.message, "Encrypting a value: expected a string");
      }
      assertEquals(await dump(context), before);
    },
  },
  {
    name: "what is no well-formed string is refused",
    async run(context) {
      const db = await fill(context);
      const before = await dump(context);
      for (const phone of ["\ud800", "a\udc00b", "\udc00\ud800", 5, {}, [], true, undefined]) {
        await assertRejects(
          async () =>
            await db.insert(people).values({ id: 3, name: "", phone: phone as string })
              .execute().then(() => {
                // Drizzle leaves out what is undefined; a placeholder does not.
                if (phone === undefined) throw new TypeError("left out");
              }),
          TypeError,
        );
        if (phone === undefined) await context.sql("DELETE FROM person WHERE id = 3");
      }
      const prepared = db.insert(people)
        .values({ id: 3, name: "", phone: sql.placeholder("phone") }).prepare("insert_bad");
      for (const phone of ["\ud800", 5, undefined]) {
        await assertRejects(() => prepared.execute({ phone }), TypeError);
      }
      assertEquals(await dump(context), before);
    },
  },
  {
    name: "inlined parameters are refused",
    async run(context) {
      const db = await fill(context);
      const before = await dump(context);
      const statement = sql`update person set phone = ${sql.param("555", people.phone)}`;
      const error = await assertRejects(
        async () => await db.execute(statement.inlineParams()),
        TypeError,
      );
      assertEquals(error.message, NOT_ENCRYPTED);
      assertEquals(await dump(context), before);
    },
  },
  {
    name: "refused modifiers of the column",
    // deno-lint-ignore require-await
    async run() {
      for (
        const build of [
          () => pgTable("t", { id: integer(), a: textUnderA().default("x") }),
          () => pgTable("t", { id: integer(), a: textUnderA().default(sql`'x'`) }),
          () => pgTable("t", { id: integer(), a: textUnderA().notNull().default("x") }),
          () => pgTable("t", { id: integer(), a: textUnderA().array() }),
          () => pgTable("t", { id: integer(), a: textUnderA().generatedAlwaysAs(sql`'x'`) }),
        ]
      ) assertThrows(build, TypeError, "Building an encrypted column: .");
      assert(pgTable("t", { a: textUnderA().notNull().$default(() => "x") }));
    },
  },
];
