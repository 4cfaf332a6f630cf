/** The rule for encrypted columns: every shape that we know of, and whether it is allowed. */

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  and,
  asc,
  between,
  count,
  countDistinct,
  desc,
  eq,
  exists,
  inArray,
  isNotNull,
  isNull,
  like,
  max,
  min,
  ne,
  not,
  notExists,
  notInArray,
  notLike,
  or,
  sql,
} from "drizzle-orm";
import {
  alias,
  boolean,
  except,
  integer,
  intersect,
  pgTable,
  pgView,
  QueryBuilder,
  text,
  timestamp,
  union,
  unionAll,
} from "drizzle-orm/pg-core";
import { withEncryption } from "../../pg/mod.ts";
import type { AnyDatabase, Case, TestContext } from "./suite.ts";
import {
  assertStored,
  createTables,
  dump,
  keyA,
  notes,
  people,
  textUnderA,
  textUnderB,
} from "./tables.ts";

/** More columns of the table `person`. */
const dated = pgTable("person", {
  id: integer("id").primaryKey(),
  name: text("name").notNull(),
  phone: textUnderA("phone"),
  at: timestamp("at", { withTimezone: true }),
  changed: boolean("changed"),
});

const other = alias(people, "other");
const excluded = alias(people, "excluded");
const value = sql.placeholder("value");
const bound = sql.param("555", people.phone);
const expression = sql<string>`coalesce(${people.phone}, ${other.phone})`;
const Ada = { id: 1, name: "Ada", phone: "555", token: "t" };
const Bob = { id: 2, name: "Bob", phone: null, token: null };

type Query = (db: AnyDatabase, plain: AnyDatabase) => { then: unknown } | { toSQL(): unknown };

/** `$with` and others that the structural type of a database leaves open. */
const sub = (db: Pick<AnyDatabase, "select">) =>
  db.select({ id: people.id, name: people.name, phone: people.phone }).from(people);

const refused: Record<string, Query> = {
  // Compared with a value.
  "eq": (db) => db.select().from(people).where(eq(people.phone, "555")),
  "ne in delete": (db) => db.delete(people).where(ne(people.phone, "555")),
  "inArray in delete": (db) => db.delete(people).where(inArray(people.phone, ["555", "x"])),
  "notInArray in update": (db) =>
    db.update(people).set({ name: "?" }).where(notInArray(people.phone, ["555"])),
  "inArray of nothing": (db) => db.delete(people).where(not(inArray(people.phone, ["x"]))),
  "or, beside a value that is stored": (db) =>
    db.update(people).set({ phone: "1" }).where(or(eq(people.id, 1), ne(people.token, "t"))),
  "between": (db) => db.delete(people).where(between(people.phone, "0", "9")),
  "like": (db) => db.select().from(people).where(like(people.phone, "%")),
  "notLike": (db) => db.delete(people).where(notLike(people.phone, "x")),
  "a template": (db) => db.delete(people).where(sql`${people.phone} <> ${"555"}`),
  "a template with parentheses": (db) =>
    db.delete(people).where(sql`(${people.phone}) <> ${"555"}`),
  "a template with a cast": (db) => db.delete(people).where(sql`${people.phone}::text <> ${"x"}`),
  "a template with a function": (db) =>
    db.delete(people).where(sql`lower(${people.phone}) <> ${"x"}`),
  "a template with ciphertext": (db) =>
    db.delete(people).where(sql`${people.phone} <> ${"AAAA:BBBB:CCCC"}`),
  "is null within a template of more": (db) =>
    db.delete(people).where(sql`${people.phone} is null and ${people.id} = 1`),
  "a bound parameter alone": (db) => db.delete(people).where(sql`phone <> ${bound}`),
  "a bound parameter under another column": (db) => db.update(people).set({ name: sql`${bound}` }),
  "having": (db) =>
    db.select({ id: people.id }).from(people).groupBy(people.id).having(ne(people.phone, "555")),
  "a join": (db) => db.select().from(people).innerJoin(notes, ne(people.phone, "555")),
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
  "$count": (db) => db.$count(people, ne(people.phone, "555")),
  "$count in a selection": (db) =>
    db.select({ n: db.$count(people, ne(people.phone, "555")) }).from(notes),
  "an alias": (db) => db.select().from(other).where(eq(other.phone, "555")),
  "a column of a subquery": (db) => {
    const inner = sub(db).as("inner");
    return db.select().from(inner).where(eq(inner.phone, "555"));
  },
  "a column of a CTE": (db) => {
    const inner = db.$with("inner").as(sub(db));
    return db.with(inner).select().from(inner).where(ne(inner.phone, "555"));
  },
  "a column of a view": (db) => {
    const view = pgView("v", { id: integer(), phone: textUnderA() }).existing();
    return db.select().from(view).where(eq(view.phone, "555"));
  },
  // Compared with a placeholder.
  "placeholder in eq": (db) => db.select().from(people).where(eq(people.phone, value)),
  "placeholder in delete": (db) => db.delete(people).where(ne(people.phone, value)),
  "placeholder in inArray": (db) => db.delete(people).where(inArray(people.phone, [value])),
  "placeholder for an array": (db) => db.delete(people).where(notInArray(people.phone, value)),
  "placeholder on the left": (db) => db.delete(people).where(sql`${value} <> ${people.phone}`),
  "placeholder in a nested template": (db) =>
    db.delete(people).where(ne(people.phone, sql`${value}`)),
  "placeholder in a selection": (db) => db.select({ d: ne(people.phone, value) }).from(people),
  "placeholder in returning": (db) =>
    db.update(people).set({ name: "!" }).returning({ d: ne(people.phone, value) }),
  "placeholder, bound": (db) =>
    db.delete(people).where(sql`${people.phone} <> ${sql.param(value, people.phone)}`),
  // Compared with another column or a subquery.
  "a plain column": (db) => db.delete(people).where(ne(people.phone, people.name)),
  "the same column of an alias": (db) =>
    db.select().from(people).innerJoin(other, eq(people.phone, other.phone)),
  "two encrypted columns": (db) => db.select().from(people).where(ne(people.phone, people.token)),
  "in exists": (db) =>
    db.delete(people).where(
      notExists(db.select().from(notes).where(eq(notes.body, people.phone))),
    ),
  "encrypted, in a subquery of an encrypted one": (db) =>
    db.delete(people).where(
      notInArray(people.phone, db.select({ b: notes.body }).from(notes)),
    ),
  "plain, in a subquery of an encrypted one": (db) =>
    db.delete(people).where(notInArray(people.name, db.select({ b: notes.body }).from(notes))),
  "encrypted, in a subquery of a plain one": (db) =>
    db.delete(people).where(inArray(people.phone, db.select({ n: people.name }).from(people))),
  "condition of a subquery": (db) =>
    db.select().from(people).where(
      inArray(people.id, db.select({ id: other.id }).from(other).where(eq(other.phone, "555"))),
    ),
  // Sorted, grouped, made distinct, aggregated.
  "orderBy": (db) => db.select().from(people).orderBy(people.phone),
  "orderBy desc": (db) => db.select().from(people).orderBy(asc(people.id), desc(people.phone)),
  "orderBy of a subquery's column": (db) => {
    const inner = sub(db).as("inner");
    return db.select().from(inner).orderBy(inner.phone);
  },
  "groupBy": (db) => db.select({ n: count() }).from(people).groupBy(people.phone),
  "selectDistinct": (db) => db.selectDistinct({ phone: people.phone }).from(people),
  "selectDistinct with a key of another table": (db) =>
    db.selectDistinct({ id: notes.id, phone: people.phone }).from(people)
      .innerJoin(notes, eq(notes.ownerId, people.id)),
  "selectDistinctOn": (db) => db.selectDistinctOn([people.phone]).from(people),
  "max": (db) => db.select({ m: max(people.phone) }).from(people),
  "min of a subquery's column": (db) => {
    const inner = sub(db).as("inner");
    return db.select({ m: min(inner.phone) }).from(inner);
  },
  "countDistinct": (db) => db.select({ n: countDistinct(people.phone) }).from(people),
  "union": (db) =>
    union(db.select({ t: people.phone }).from(people), db.select({ t: notes.body }).from(notes)),
  "intersect": (db) =>
    intersect(
      db.select({ t: people.phone }).from(people),
      db.select({ t: notes.body }).from(notes),
    ),
  "except": (db) =>
    except(db.select({ t: people.phone }).from(people), db.select({ t: notes.body }).from(notes)),
  "unionAll of two keys": (db) =>
    unionAll(
      db.select({ t: people.phone }).from(people),
      db.select({ t: people.token }).from(people),
    ),
  "unionAll with a plain column first": (db) =>
    unionAll(
      db.select({ t: people.name as unknown as typeof people.phone }).from(people),
      db.select({ t: people.phone }).from(people),
    ),
  "unionAll, sorted by it": (db) =>
    unionAll(
      db.select({ t: people.phone }).from(people),
      db.select({ t: notes.body }).from(notes),
    ).orderBy(people.phone),
  // Handed out as text.
  "a template in a selection": (db) => db.select({ p: sql<string>`${people.phone}` }).from(people),
  "a template with an alias": (db) =>
    db.select({ p: sql<string>`${people.phone}`.as("p") }).from(people),
  "a function in a selection": (db) =>
    db.select({ p: sql<string>`coalesce(${people.phone}, '')` }).from(people),
  "a function in a join": (db) =>
    db.select({ p: sql<string>`json_agg(${people.phone})` }).from(people)
      .innerJoin(notes, eq(notes.ownerId, people.id)),
  "a template in returning": (db) =>
    db.update(people).set({ name: "!" }).returning({ p: sql<string>`${people.phone}` }),
  "a scalar subquery in a template": (db) =>
    db.select({ p: sql<string>`${db.select({ p: people.phone }).from(people).limit(1)}` })
      .from(notes),
  "mapped, with a value": (db) =>
    db.select({ p: sql`coalesce(${people.phone}, ${"none"})`.mapWith(people.phone) }).from(people),
  "mapped, with a placeholder": (db) =>
    db.select({ p: sql`coalesce(${people.phone}, ${value})`.mapWith(people.phone) }).from(people),
  "mapped with a column of another key": (db) =>
    db.select({ p: sql`coalesce(${people.phone}, null)`.mapWith(people.token) }).from(people),
  "mapped, and compared": (db) => {
    const inner = db.select({ p: expression.mapWith(people.phone).as("p") }).from(people)
      .innerJoin(other, eq(other.id, people.id)).as("inner");
    return db.select().from(inner).where(eq(inner.p, "555"));
  },
  "mapped text without a column, and compared": (db) => {
    const inner = db.select({ p: sql<string>`phone`.mapWith(people.phone).as("p") }).from(people)
      .as("inner");
    return db.select().from(inner).where(eq(inner.p, "555"));
  },
  // Stored, but not as it should be.
  "a plain column in SET": (db) => db.update(people).set({ phone: people.name }),
  "a column of another key in SET": (db) => db.update(people).set({ token: people.phone }),
  "its ciphertext in a plain column": (db) =>
    db.update(people).set({ name: people.phone as unknown as typeof people.name }),
  "a template of it in a plain column": (db) =>
    db.update(people).set({ name: sql`${people.phone}` }),
  "a template in VALUES": (db) =>
    db.insert(people).values({ id: 3, name: "Cy", phone: sql`${"plain"}` }),
  "a placeholder in a template in VALUES": (db) =>
    db.insert(people).values({ id: 3, name: "Cy", phone: sql`${value}` }),
  "a template in SET": (db) => db.update(people).set({ phone: sql`coalesce(null, ${"plain"})` }),
  "a bound parameter in a template in SET": (db) => db.update(people).set({ phone: sql`${bound}` }),
  "a function of it in SET": (db) => db.update(people).set({ phone: sql`nullif(phone, ${bound})` }),
  "a subquery in SET": (db) =>
    db.update(people).set({ phone: sql`(select phone from person limit 1)` }),
  "a comparison in SET of another column": (db) =>
    db.update(people).set({ name: sql`(${people.phone} = ${bound})::text` }),
  "a bound array in SET": (db) =>
    db.update(dated).set({ changed: sql`(array[true, phone = ${bound}])[2]` }),
  "excluded of another column": (db) =>
    db.insert(people).values({ id: 1, name: "!" }).onConflictDoUpdate({
      target: people.id,
      set: { phone: sql`excluded.name` },
    }),
  "excluded of a column of another key": (db) =>
    db.insert(people).values({ id: 1, name: "!" }).onConflictDoUpdate({
      target: people.id,
      set: { phone: excluded.token },
    }),
  "excluded in a function": (db) =>
    db.insert(people).values({ id: 1, name: "!" }).onConflictDoUpdate({
      target: people.id,
      set: { phone: sql`lower(excluded.phone)` },
    }),
  "a conflict target": (db) =>
    db.insert(people).values({ id: 1, name: "!" }).onConflictDoNothing({ target: people.phone }),
  "one of two conflict targets": (db) =>
    db.insert(people).values({ id: 1, name: "!" }).onConflictDoUpdate({
      target: [people.id, people.token],
      set: { name: "!" },
    }),
  "insert … select of a plain column": (db) =>
    db.insert(people).select(
      db.select({ id: notes.id, name: people.name, phone: people.name, token: people.token })
        .from(people).innerJoin(notes, eq(notes.ownerId, people.id)),
    ),
  "insert … select into a plain column": (db) =>
    db.insert(people).select(
      db.select({ id: notes.id, name: people.phone, phone: people.phone, token: people.token })
        .from(people).innerJoin(notes, eq(notes.ownerId, people.id)),
    ),
  "insert … select of a raw statement": (db) =>
    db.insert(people).select(sql`select 3, 'Cy', 'plain', null`),
  // Built by another builder.
  "a condition of another builder's subquery": (db) => {
    const inner = new QueryBuilder().select().from(people).where(eq(people.phone, "555")).as("i");
    return db.select().from(inner);
  },
  "an expression of another builder's subquery": (db) => {
    const inner = new QueryBuilder().select({ p: sql<string>`lower(${people.phone})`.as("p") })
      .from(people).as("inner");
    return db.select({ p: inner.p }).from(inner);
  },
  "the order of another builder's subquery, with a join": (db) => {
    const inner = new QueryBuilder().select({ phone: people.phone }).from(people)
      .innerJoin(notes, eq(notes.ownerId, people.id)).orderBy(people.phone).as("inner");
    return db.select().from(inner);
  },
  "DISTINCT of another builder": (db) => {
    const inner = new QueryBuilder().selectDistinct({ phone: people.phone }).from(people)
      .as("inner");
    return db.select().from(inner);
  },
  "a union of another builder": (db) => {
    const inner = new QueryBuilder().select({ t: notes.body }).from(notes).union(
      new QueryBuilder().select({ t: notes.body }).from(notes),
    ).as("inner");
    return db.select().from(inner);
  },
  "what the undecorated database selects, compared": (db, plain) =>
    db.delete(people).where(notInArray(people.name, plain.select({ b: notes.body }).from(notes))),
  "a condition of the undecorated database's subquery": (db, plain) =>
    db.delete(people).where(
      exists(plain.select().from(notes).where(ne(notes.body, people.phone))),
    ),
  "a CTE that the undecorated database writes": (db, plain) => {
    const added = plain.$with("added").as(
      plain.insert(people).values({ id: 3, name: "Cy", phone: "plain" })
        .returning({ id: people.id }),
    );
    return db.with(added).select().from(added);
  },
  // In statements of the application's own.
  "a bound parameter in a raw statement": (db) =>
    db.execute(sql`update person set phone = ${bound}`),
  "an inlined one": (db) => db.execute(sql`update person set phone = ${bound}`.inlineParams()),
};

interface Allowed {
  query(db: AnyDatabase, plain: AnyDatabase): PromiseLike<unknown>;
  /** What it resolves to; without it, only what is stored matters. */
  result?: unknown;
  /** What is read of both people afterwards; without it nothing has changed. */
  after?: unknown[];
}

const allowed: Record<string, Allowed> = {
  "select as itself": {
    query: (db) => db.select({ phone: people.phone }).from(people).where(eq(people.id, 1)),
    result: [{ phone: "555" }],
  },
  "isNull and isNotNull": {
    query: (db) =>
      db.select({ id: people.id, none: isNull(people.token) }).from(people)
        .where(and(isNotNull(people.phone), eq(people.name, "Ada"))),
    result: [{ id: 1, none: false }],
  },
  "is null, as a template": {
    query: (db) => db.select({ id: people.id }).from(people).where(sql`${people.phone} is null`),
    result: [{ id: 2 }],
  },
  "is null of an alias and of a subquery": {
    query: (db) => {
      const inner = sub(db).as("inner");
      return db.select({ id: inner.id }).from(inner)
        .innerJoin(other, and(eq(other.id, inner.id), isNull(other.phone)))
        .where(isNull(inner.phone));
    },
    result: [{ id: 2 }],
  },
  "count": {
    query: (db) => db.select({ n: count(people.phone), all: count() }).from(people),
    result: [{ n: 1, all: 2 }],
  },
  "$count with is not null": {
    query: (db) => db.$count(people, isNotNull(people.phone)),
    result: 1,
  },
  "exists": {
    query: (db) =>
      db.select({ id: people.id }).from(people)
        .where(exists(db.select().from(notes).where(eq(notes.ownerId, people.id)))),
    result: [{ id: 1 }],
  },
  "distinct with the primary key": {
    query: (db) =>
      db.selectDistinct({ id: people.id, phone: people.phone }).from(people).orderBy(people.id),
    result: [{ id: 1, phone: "555" }, { id: 2, phone: null }],
  },
  "distinct on another column": {
    query: (db) => db.selectDistinctOn([people.name]).from(people).orderBy(people.name),
    result: [Ada, Bob],
  },
  "mapped, in a join": {
    query: (db) =>
      db.select({ p: expression.mapWith(people.phone) }).from(people)
        .innerJoin(other, eq(other.id, 1)).orderBy(people.id),
    result: [{ p: "555" }, { p: "555" }],
  },
  "mapped, in a single table and a subquery": {
    query: (db) => {
      const inner = db.select({
        id: people.id,
        p: sql<string>`coalesce(${people.phone}, null)`.mapWith(people.phone).as("p"),
      }).from(people).as("inner");
      return db.select({ p: inner.p }).from(inner).orderBy(inner.id);
    },
    result: [{ p: "555" }, { p: null }],
  },
  "unionAll of one key, sorted by another column": {
    query: (db) =>
      unionAll(
        db.select({ id: people.id, t: people.phone }).from(people).where(eq(people.id, 1)),
        db.select({ id: notes.id, t: notes.body }).from(notes),
      ).orderBy(people.id),
    result: [{ id: 1, t: "555" }, { id: 7, t: "diary" }],
  },
  "insert … select": {
    query: (db) =>
      db.insert(notes).select(
        db.select({
          id: sql<number>`8`.as("id"),
          ownerId: people.id,
          body: people.phone as unknown as typeof notes.body,
          data: sql`null`.as("data"),
        }).from(people).where(eq(people.id, 1)),
      ).returning({ body: notes.body }),
    result: [{ body: "555" }],
  },
  "a CTE that inserts": {
    query: (db) => {
      const added = db.$with("added").as(
        db.insert(people).values({ id: 3, name: "Cy", phone: "3" }).returning(),
      );
      return db.with(added).select({ phone: added.phone }).from(added);
    },
    result: [{ phone: "3" }],
    after: [Ada, Bob, { id: 3, name: "Cy", phone: "3", token: null }],
  },
  "null": {
    query: (db) => db.update(people).set({ phone: null }),
    after: [{ ...Ada, phone: null }, Bob],
  },
  "the same column of an alias": {
    query: (db) =>
      db.update(people).set({ phone: other.phone }).from(other)
        .where(and(eq(people.id, 2), eq(other.id, 1))),
    after: [Ada, { ...Bob, phone: "555" }],
  },
  "a column of the same key of another table": {
    query: (db) => db.update(people).set({ phone: notes.body }).from(notes).where(eq(people.id, 2)),
    after: [Ada, { ...Bob, phone: "diary" }],
  },
  "excluded, in each of its forms": {
    query: async (db) => {
      const insert = (phone: string) => db.insert(people).values({ ...Bob, phone, token: phone });
      const sets = [
        { phone: sql`excluded.phone`, token: sql.raw(`excluded.${people.token.name}`) },
        { phone: excluded.phone, token: sql`excluded.${sql.identifier("api_token")}` },
        { phone: sql`excluded."phone"`, token: sql`${excluded.token}` },
      ];
      for (const [index, set] of sets.entries()) {
        await insert(`${index}`).onConflictDoUpdate({ target: people.id, set });
      }
    },
    after: [Ada, { ...Bob, phone: "2", token: "2" }],
  },
  "is distinct from, beside a value that is stored": {
    query: (db) =>
      db.update(dated).set({ changed: sql`${dated.at} is distinct from now()`, phone: "1" })
        .where(eq(dated.id, 2)),
    after: [Ada, { ...Bob, phone: "1" }],
  },
  "casts of several words, beside a value that is stored": {
    query: (db) =>
      db.update(dated).set({
        at: sql`${"2026-01-01T00:00:00Z"}::timestamp with time zone`,
        name: sql`${"Bobby"}::character varying(200)`,
        phone: "1",
      }).where(eq(dated.id, 2)),
    after: [Ada, { ...Bob, name: "Bobby", phone: "1" }],
  },
  "another builder's subquery": {
    query: (db) => {
      const inner = new QueryBuilder().select({ phone: people.phone, body: notes.body })
        .from(people).innerJoin(notes, eq(notes.ownerId, people.id)).as("inner");
      return db.select().from(inner);
    },
    result: [{ phone: "555", body: "diary" }],
  },
  "the undecorated database's subquery": {
    query: (db, plain) => {
      const inner = plain.select().from(people).where(isNotNull(people.phone)).as("inner");
      return db.select({ phone: inner.phone }).from(inner);
    },
    result: [{ phone: "555" }],
  },
  "a CTE whose callback is given a builder": {
    query: (db) => {
      const inner = db.$with("inner").as((builder) =>
        builder.select({ id: people.id, phone: people.phone }).from(people)
      );
      return db.with(inner).select({ phone: inner.phone }).from(inner).orderBy(inner.id);
    },
    result: [{ phone: "555" }, { phone: null }],
  },
  "ciphertext in a raw statement": {
    query: async (db) => {
      const ciphertext = await keyA.encrypt("raw");
      return await db.execute(
        sql`update ${people} set phone = ${ciphertext} where ${people.id} = 2`,
      );
    },
    after: [Ada, { ...Bob, phone: "raw" }],
  },
  "a raw statement that names the column": {
    query: (db) =>
      db.execute(sql`delete from ${people} where ${people.phone} is null and ${people.phone} = ''`),
  },
};

async function fill(context: TestContext) {
  await createTables(context);
  await context.sql("ALTER TABLE person ADD at timestamptz, ADD changed boolean");
  const log: string[] = [];
  const plain = context.open({ logger: { logQuery: (query) => log.push(query) } });
  const db = withEncryption(plain);
  await refill(db);
  log.length = 0;
  return { db, plain, log };
}

async function refill(db: AnyDatabase): Promise<void> {
  await db.delete(people);
  await db.delete(notes);
  await db.insert(people).values([Ada, Bob]);
  await db.insert(notes).values({ id: 7, ownerId: 1, body: "diary" });
}

export const rule: Case[] = [
  {
    name: "every shape that is refused",
    async run(context) {
      const { db, plain, log } = await fill(context);
      const before = await dump(context);
      for (const [name, query] of Object.entries(refused)) {
        // Where it is built, and where it is awaited.
        const error = await assertRejects(
          async () => {
            const built = query(db, plain);
            if ("toSQL" in built) built.toSQL();
            await built;
          },
          TypeError,
          undefined,
          name,
        );
        assertMatch(
          error.message,
          /^Building an? [A-Za-z]+: .*encrypted column "(phone|api_token|body)" of table "\w+"/,
          name,
        );
        assertEquals(log, [], name);
      }
      assertEquals(await dump(context), before);
      // The database is as usable as before.
      assertEquals((await db.select().from(people).where(eq(people.id, 1)))[0], Ada);
    },
  },
  {
    name: "every shape that is allowed",
    async run(context) {
      const { db, plain } = await fill(context);
      for (const [name, { query, result, after = [Ada, Bob] }] of Object.entries(allowed)) {
        const found = await Promise.resolve().then(() => query(db, plain)).catch((cause) => {
          throw new Error(`allowed: ${name}`, { cause });
        });
        if (result !== undefined) assertEquals(found, result, name);
        assertEquals(await db.select().from(people).orderBy(people.id), after, name);
        for (const row of await context.sql("SELECT phone, api_token FROM person")) {
          for (const stored of Object.values(row)) {
            if (stored !== null) assertMatch(String(stored), /^[^:]+:[^:]*:[^:]+$/, name);
          }
        }
        await refill(db);
      }
    },
  },
  {
    name: "refused: where it is prepared, in a transaction, and in a nested one",
    async run(context) {
      const { db, log } = await fill(context);
      assertThrows(() => db.delete(people).where(ne(people.phone, value)).prepare("p"), TypeError);
      assertThrows(
        () => db.update(people).set({ phone: sql`${value}` }).prepare("q"),
        TypeError,
      );
      await db.transaction(async (tx) => {
        await assertRejects(
          async () => await tx.delete(people).where(ne(people.phone, "")),
          TypeError,
        );
        await tx.transaction(async (inner) => {
          await assertRejects(
            async () => await inner.delete(people).where(ne(people.phone, "")),
            TypeError,
          );
          await inner.update(people).set({ phone: "kept" }).where(eq(people.id, 1));
        });
      });
      assert(!log.some((query) => query.startsWith("delete")));
      await assertStored(context, "SELECT phone FROM person WHERE id = 1", "kept");
    },
  },
  {
    name: "refused: columns that another copy of the package made",
    async run(context) {
      const { db, log } = await fill(context);
      const foreign = pgTable("person", { id: integer().primaryKey(), phone: textUnderB() });
      const ENCRYPTION = Symbol.for("mitthooks-drizzle:encryption");
      const { phone } = foreign as unknown as { phone: Record<symbol, object> };
      // What tells copies apart is an object that each of them has of its own.
      const copied = { ...phone[ENCRYPTION], copy: {} };
      const copy = Object.create(phone, { [ENCRYPTION]: { value: copied } });
      const columns = (foreign as unknown as Record<symbol, Record<string, object>>)[
        Symbol.for("drizzle:Columns")
      ]!;
      columns["phone"] = copy;
      for (
        const query of [
          () => db.select().from(foreign),
          () => db.insert(foreign).values({ id: 3, phone: "x" }),
          () => db.update(foreign).set({ phone: "x" }),
          () => db.select({ id: foreign.id }).from(foreign).where(eq(copy, "x")),
        ]
      ) {
        const error = await assertRejects(async () => await query(), TypeError);
        assert(error.message.includes("another copy of this package"), error.message);
      }
      assertEquals(log, []);
    },
  },
];

/** Drizzle 0.44 does not know subqueries in a selection. */
export const scalarSubquery: Case = {
  name: "a scalar subquery is read like what it selects",
  async run(context) {
    const { db } = await fill(context);
    const phone = db.select({ phone: other.phone }).from(other).where(eq(other.id, 1)).as("scalar");
    assertEquals(await db.select({ id: notes.id, phone }).from(notes), [{ id: 7, phone: "555" }]);
  },
};
