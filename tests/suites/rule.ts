/** The rule for encrypted columns: all known shapes, allowed or refused. */

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
  type SQL,
  sql,
  type WithSubquery,
} from "drizzle-orm";
import {
  alias,
  boolean,
  customType,
  except,
  integer,
  intersect,
  pgMaterializedView,
  pgTable,
  pgView,
  QueryBuilder,
  text,
  timestamp,
  union,
  unionAll,
} from "drizzle-orm/pg-core";
import { createNamed, log, ownNames, sameNames } from "./names.ts";
import { type Allowed, expecting, type Query, type Shapes } from "./shapes.ts";
import { type AnyDatabase, type Case, suite } from "./suite.ts";
import {
  ADA,
  assertStored,
  BOB,
  cloneOf,
  copyOf,
  dump,
  keyA,
  notes,
  openFilled,
  people,
  textUnderA,
} from "./tables.ts";

/** More columns of the table `person`. */
const dated = pgTable("person", {
  id: integer("id").primaryKey(),
  name: text("name").notNull(),
  phone: textUnderA("phone"),
  at: timestamp("at", { withTimezone: true }),
  changed: boolean("changed"),
});
const contacts = pgView("contact", { id: integer(), phone: textUnderA() }).existing();
const copies = pgMaterializedView("copy", { id: integer(), phone: textUnderA() }).existing();

/** A view of an expression instead of a value. */
const shouts = pgView("shout").as((qb) =>
  qb.select({ id: people.id, shout: sql<string>`upper(${people.phone})`.as("shout") }).from(people)
);
/** A table with a column whose encoder uses an encrypted one. */
const concatenated = pgTable("person", {
  id: integer().primaryKey(),
  name: customType<{ data: string; driverData: string | SQL }>({
    dataType: () => "text",
    toDriver: (value) => sql`concat(${people.phone}, ${value}::text)`,
  })(),
});
/** A table with columns whose names differ only in case. */
const folded = pgTable("folded", {
  id: integer().primaryKey(),
  plain: text("apitoken"),
  secret: textUnderA("apiToken"),
});
/** A table with a column that generates its values. */
const making = (value: unknown) => {
  const phone = textUnderA().$default(() => value as string).$onUpdate(() => value as string);
  return pgTable("person", { id: integer().primaryKey(), name: text().notNull(), phone });
};
const copied = copyOf(people.phone) as typeof people.phone;
const cloned = cloneOf(people);

const other = alias(people, "other");
const excluded = alias(people, "excluded");
/** A table that shares a column's name with `person`, where that is plain. */
const excludedNames = alias(pgTable("nickname", { name: textUnderA() }), "excluded");
const value = sql.placeholder("value");
const bound = sql.param("555", people.phone);
const coalesced = sql`coalesce(${people.phone}, ${other.phone})`;
const both = eq(notes.ownerId, people.id);

/** Combines places and shapes, with a name for each combination. */
function at<T>(
  places: Shapes<(db: AnyDatabase, shape: T, plain: AnyDatabase) => PromiseLike<unknown>>,
  shapes: Shapes<T | ((db: AnyDatabase, plain: AnyDatabase) => T)>,
): [string, Query][] {
  return Object.entries(shapes).flatMap(([name, shape]) =>
    Object.entries(places).map(([place, build]): [string, Query] => [
      `${name}, ${place}`,
      (db, plain) => build(db, shape instanceof Function ? shape(db, plain) : shape, plain),
    ])
  );
}

const insert = (db: AnyDatabase) => db.insert(people).values({ id: 1, name: "!", phone: "1" });
const phones = (db: Pick<AnyDatabase, "select">) => db.select({ t: people.phone }).from(people);
const bodies = (db: Pick<AnyDatabase, "select">) => db.select({ t: notes.body }).from(notes);
const builder = new QueryBuilder() as unknown as Pick<AnyDatabase, "select" | "selectDistinct">;

/** Inserts into the notes. */
const asNote = (db: Pick<AnyDatabase, "select">, body: unknown) =>
  db.select({
    id: sql<number>`8`.as("id"),
    ownerId: sql<null>`null::int`.as("owner"),
    body: body as typeof notes.body,
    data: sql`null::jsonb`.as("data"),
  }).from(people).where(eq(people.id, 1));

const refusedConditions = at<SQL>({
  "in a select": (db, condition) => db.select().from(people).where(condition),
  "in a select of one column": (db, condition) => phones(db).where(condition),
  "in a delete": (db, condition) => db.delete(people).where(condition),
  "in an update": (db, condition) => db.update(people).set({ name: "?" }).where(condition),
  "beside a value that is stored": (db, condition) =>
    db.update(people).set({ phone: "1" }).where(condition),
  "as one of two": (db, condition) => db.delete(people).where(or(eq(people.id, 1), condition)),
  "negated": (db, condition) => db.delete(people).where(not(condition)),
  "in having": (db, condition) =>
    db.select({ id: people.id }).from(people).groupBy(people.id).having(condition),
  "in a join": (db, condition) => db.select().from(people).innerJoin(notes, condition),
  "in setWhere": (db, condition) =>
    insert(db).onConflictDoUpdate({ target: people.id, set: { phone: "2" }, setWhere: condition }),
  "in targetWhere": (db, condition) =>
    insert(db).onConflictDoUpdate({
      target: people.id,
      targetWhere: condition,
      set: { name: "!" },
    }),
  "in $count": (db, condition) => db.$count(people, condition),
  "in $count in a selection": (db, condition) =>
    db.select({ n: db.$count(people, condition) }).from(notes),
  "in a selection": (db, condition) => db.select({ d: condition }).from(people),
  "in returning": (db, condition) =>
    db.update(people).set({ name: "!" }).returning({ d: condition }),
  "in a subquery": (db, condition) =>
    db.delete(notes).where(
      inArray(notes.ownerId, db.select({ id: people.id }).from(people).where(condition)),
    ),
  "in another builder's subquery": (db, condition) =>
    db.select().from(builder.select().from(people).where(condition).as("inner")),
  "in the undecorated database's subquery": (db, condition, plain) =>
    db.delete(notes).where(exists(plain.select().from(people).where(condition))),
}, {
  "eq": eq(people.phone, "555"),
  "ne": ne(people.phone, "555"),
  "inArray": inArray(people.phone, ["555", "x"]),
  "notInArray": notInArray(people.phone, ["555"]),
  "between": between(people.phone, "0", "9"),
  "like": like(people.phone, "%"),
  "notLike": notLike(people.phone, "x"),
  "a template": sql`${people.phone} <> ${"555"}`,
  "a template with parentheses": sql`(${people.phone}) <> ${"555"}`,
  "a template with a cast": sql`${people.phone}::text <> ${"x"}`,
  "a template with a function": sql`lower(${people.phone}) <> ${"x"}`,
  "a template with ciphertext": sql`${people.phone} <> ${"AAAA:BBBB:CCCC"}`,
  "is null within a template of more": sql`${people.phone} is null and ${people.id} = 1`,
  "a bound parameter alone": sql`phone <> ${bound}`,
  "placeholder": ne(people.phone, value),
  "placeholder in inArray": inArray(people.phone, [value]),
  "placeholder for an array": notInArray(people.phone, value),
  "placeholder on the left": sql`${value} <> ${people.phone}`,
  "placeholder in a nested template": ne(people.phone, sql`${value}`),
  "placeholder, bound": sql`${people.phone} <> ${sql.param(value, people.phone)}`,
  "placeholder, bound alone": sql`name = ${sql.param(value, people.phone)}`,
  "a plain column": ne(people.phone, people.name),
  "two encrypted columns": ne(people.phone, people.token),
  "the same column of an alias": eq(people.phone, other.phone),
  "encrypted, in a subquery of an encrypted one": (db) => notInArray(people.phone, bodies(db)),
  "plain, in a subquery of an encrypted one": (db) => notInArray(people.name, bodies(db)),
  "plain, in one of the undecorated database": (_, plain) => notInArray(people.name, bodies(plain)),
  "encrypted, in a subquery of a plain one": (db) =>
    inArray(people.phone, db.select({ n: people.name }).from(people)),
  "in exists": (db) => notExists(db.select().from(notes).where(eq(notes.body, people.phone))),
  "a function, tested for null": sql`lower(${people.phone}) is null`,
  "a part of an expression, tested for null": sql`${people.name} || ${people.phone} is null`,
  "a parameter that is a column": sql`${sql.param(people.phone)} <> 'x'`,
  "another builder's SQL": (_, plain) => sql`${people.name} <> (${phones(plain).getSQL()})`,
  "another builder's SQL over an alias": (_, plain) =>
    sql`${people.name} <> (${plain.select({ t: other.phone }).from(other).getSQL()})`,
  "a copy of a column": ne(copied, "555"),
  "in exists of the undecorated database": (_, plain) =>
    exists(plain.select().from(notes).where(ne(notes.body, people.phone))),
});

/** Operations whose result would be read as a value. */
const mapped = (expression: SQL) => expression.mapWith(people.phone) as SQL<string>;

/** Returned as text, or compared afterwards. */
const refusedSelections = at<SQL<string>>({
  "of one table": (db, p) => db.select({ p }).from(people),
  "with an alias": (db, p) => db.select({ p: p.as("p") }).from(people),
  "in a join": (db, p) => db.select({ p }).from(people).innerJoin(notes, both),
  "in returning": (db, p) => db.update(people).set({ name: "!" }).returning({ p }),
  "of another builder": (db, p) =>
    db.select().from(builder.select({ p: p.as("p") }).from(people).as("inner")),
}, {
  "a template": sql<string>`${people.phone}`,
  "a function": sql<string>`coalesce(${people.phone}, '')`,
  "an aggregate": sql<string>`json_agg(${people.phone})`,
  "max": max(people.phone) as SQL<string>,
  "a scalar subquery in a template": (db) => sql<string>`${phones(db).limit(1)}`,
  "one with an alias": (db) => sql<string>`${phones(db).limit(1).as("x")}`,
  "the chunks of one": (db) =>
    sql<string>`(`.append(phones(db).limit(1).getSQL() as SQL).append(sql`)`),
  "a copy of the chunks of one": (db) =>
    sql<string>`(${sql.fromList((phones(db).limit(1).getSQL() as SQL).queryChunks)})`,
  "the SQL of another builder": () =>
    sql<string>`(${builder.select({ b: notes.body }).from(notes).limit(1).getSQL()})`,
  "the SQL of another builder with more columns": () =>
    sql<string>`(${builder.select().from(notes).limit(1).getSQL()})`,
  "another builder": () => sql<string>`${builder.select({ b: notes.body }).from(notes).limit(1)}`,
  "a comment before a scalar subquery": (db) =>
    sql<string>`(select -- from \n${phones(db).limit(1).as("x")})`,
  "count of an expression": sql<string>`count((${people.phone}) || '')`,
  "count of different ones": sql<string>`count(distinct ${people.phone})`,
  "a function whose name ends like count": sql<string>`pg_catalog.my_count(${people.phone})`,
  "a name that is put together": sql<string>`${sql.raw("my_")}count(${people.phone})`,
  "a parameter that is a column": sql<string>`${sql.param(people.phone)}`,
  "mapped, MAX": mapped(sql`MAX(${people.phone})`),
  "mapped, greatest": mapped(sql`greatest(${people.phone}, ${people.phone})`),
  "mapped, nullif": mapped(sql`nullif(${people.phone}, ${people.token})`),
  "mapped, case": mapped(sql`case when ${people.phone} = '' then ${people.phone} end`),
  "mapped, DISTINCT": mapped(sql`distinct ${people.phone}`),
  "mapped, first_value": mapped(sql`first_value(${people.phone}) over (order by ${people.phone})`),
  "mapped, array_agg": mapped(sql`(array_agg(${people.phone} order by ${people.phone}))[1]`),
  "mapped, alone": mapped(sql`${people.phone}`),
  "mapped, with a value": sql`coalesce(${people.phone}, ${"none"})`.mapWith(people.phone),
  "mapped, with a placeholder": sql`coalesce(${people.phone}, ${value})`.mapWith(people.phone),
  "mapped with a column of another key": sql`coalesce(${people.phone}, null)`.mapWith(people.token),
});

/** A source of a SELECT, with one of its encrypted columns. */
const source = (from: unknown, column: unknown, ...ctes: WithSubquery[]) => ({
  from: from as typeof people,
  column: column as typeof people.phone,
  ctes,
});

const refusedColumns = at<ReturnType<typeof source>>({
  "compared": (db, { from, column, ctes }) =>
    db.with(...ctes).select().from(from).where(eq(column, "555")),
  "sorted by": (db, { from, column, ctes }) => db.with(...ctes).select().from(from).orderBy(column),
  "its min": (db, { from, column, ctes }) => db.with(...ctes).select({ m: min(column) }).from(from),
}, {
  "an alias": source(other, other.phone),
  "a view": source(contacts, contacts.phone),
  "a column of a subquery": (db) => {
    const inner = phones(db).as("inner");
    return source(inner, inner.t);
  },
  "a column of a CTE": (db) => {
    const inner = db.$with("inner").as(phones(db));
    return source(inner, inner.t, inner);
  },
  "what was mapped": (db) => {
    const inner = db.select({ p: coalesced.mapWith(people.phone).as("p") }).from(people)
      .innerJoin(other, eq(other.id, people.id)).as("inner");
    return source(inner, inner.p);
  },
  "what was mapped without a column": (db) => {
    const inner = db.select({ p: sql`phone`.mapWith(people.phone).as("p") }).from(people)
      .as("inner");
    return source(inner, inner.p);
  },
});

/** Stored incorrectly. */
const refusedAssignments = at<Record<string, unknown>>({
  "in SET": (db, set) => db.update(people).set(set),
  "in DO UPDATE SET": (db, set) => insert(db).onConflictDoUpdate({ target: people.id, set }),
}, {
  "a plain column": { phone: people.name },
  "a column of another key": { token: people.phone },
  "its ciphertext in a plain column": { name: people.phone },
  "a template of it in a plain column": { name: sql`${people.phone}` },
  "a template": { phone: sql`coalesce(null, ${"plain"})` },
  "a bound parameter in a template": { phone: sql`${bound}` },
  "a function of it": { phone: sql`nullif(phone, ${bound})` },
  "a bound parameter under another column": { name: sql`${bound}` },
  "a subquery": { phone: sql`(select phone from person limit 1)` },
  "a comparison, for another column": { name: sql`(${people.phone} = ${bound})::text` },
  "a bound array": { name: sql`(array['', (phone = ${bound})::text])[2]` },
  "excluded of another column": { phone: sql`excluded.name` },
  "excluded of a column of another key": { phone: excluded.token },
  "excluded of another table, whose name is plain here": { phone: excludedNames.name },
  "excluded in a function": { phone: sql`lower(excluded.phone)` },
  "excluded of a column in other letters": { phone: sql`excluded."Phone"` },
  "excluded with something behind": { phone: sql`excluded.phone || ''` },
  "another builder's SQL for a plain column": {
    name: sql`(${builder.select({ b: notes.body }).from(notes).limit(1).getSQL()})`,
  },
});

const refusedQueries: Shapes<Query> = {
  "mapped, in a join": (db) =>
    db.select({ p: coalesced.mapWith(people.phone) }).from(people)
      .innerJoin(other, eq(other.id, 1)).orderBy(people.id),
  "mapped, in a single table and a subquery": (db) => {
    const p = sql<string>`coalesce(${people.phone}, null)`.mapWith(people.phone).as("p");
    const inner = db.select({ id: people.id, p }).from(people).as("inner");
    return db.select({ p: inner.p }).from(inner).orderBy(inner.id);
  },
  "another builder's subquery": (db) =>
    db.select().from(phones(builder).innerJoin(notes, both).as("inner")),
  "the undecorated database's subquery": (db, plain) =>
    db.select().from(phones(plain).where(isNotNull(people.phone)).as("inner")),
  // Sorted, grouped, made distinct, combined.
  "orderBy": (db) => db.select().from(people).orderBy(people.phone),
  "orderBy desc": (db) => db.select().from(people).orderBy(asc(people.id), desc(people.phone)),
  "groupBy": (db) => db.select({ n: count() }).from(people).groupBy(people.phone),
  "selectDistinct": (db) => db.selectDistinct({ phone: people.phone }).from(people),
  "selectDistinct with a key of another table": (db) =>
    db.selectDistinct({ id: notes.id, phone: people.phone }).from(people).innerJoin(notes, both),
  "selectDistinct with a key of another table, of a subquery": (db) => {
    const inner = db.select({ id: notes.id, phone: people.phone }).from(people)
      .innerJoin(notes, both).as("inner");
    return db.selectDistinct({ id: inner.id, phone: inner.phone }).from(inner);
  },
  "selectDistinctOn": (db) => db.selectDistinctOn([people.phone]).from(people),
  "countDistinct": (db) => db.select({ n: countDistinct(people.phone) }).from(people),
  "union": (db) => union(phones(db), bodies(db)),
  "intersect": (db) => intersect(phones(db), bodies(db)),
  "except": (db) => except(phones(db), bodies(db)),
  "unionAll of two keys": (db) => unionAll(phones(db), db.select({ t: people.token }).from(people)),
  "unionAll with a plain column first": (db) =>
    unionAll(
      db.select({ t: people.name as unknown as typeof people.phone }).from(people),
      phones(db),
    ),
  "unionAll, beside an expression that is mapped": (db) =>
    unionAll(
      phones(db),
      db.select({ t: sql`${people.name}`.mapWith(people.phone).as("t") as never }).from(people),
    ),
  "unionAll of three, a plain column in the middle": (db) =>
    unionAll(
      phones(db),
      db.select({ t: people.name as unknown as typeof people.phone }).from(people),
      phones(db),
    ),
  "unionAll of three, compared": (db) =>
    db.delete(people).where(inArray(people.name, unionAll(phones(db), bodies(db), bodies(db)))),
  "unionAll, sorted by it": (db) => unionAll(phones(db), bodies(db)).orderBy(people.phone),
  "an order of another builder, with a join": (db) =>
    db.select().from(phones(builder).innerJoin(notes, both).orderBy(people.phone).as("inner")),
  "DISTINCT of another builder": (db) =>
    db.select().from(builder.selectDistinct({ t: people.phone }).from(people).as("inner")),
  "a union of another builder": (db) =>
    db.select().from(bodies(builder).union(bodies(builder)).as("inner")),
  "unionAll of another builder, with a plain column first": (db) =>
    db.select().from(
      builder.select({ t: people.name }).from(people)
        .unionAll(phones(builder) as never).as("inner"),
    ),
  "unionAll of another builder, with an alias of a table": (db) =>
    db.select().from(
      builder.select({ t: log.phone }).from(log)
        .unionAll(builder.select({ t: other.phone }).from(other)).as("inner"),
    ),
  "a CTE that the undecorated database writes, with nothing returned": (db, plain) => {
    const changed = plain.$with("changed").as(plain.update(people).set({ name: "?", phone: null }));
    return db.with(changed).select({ id: people.id }).from(people);
  },
  "unionAll with an expression of another builder": (db) =>
    unionAll(
      db.select({ id: people.id, t: people.name }).from(people),
      builder.select({ id: people.id, t: sql<string>`upper(${people.phone})`.as("t") })
        .from(people) as never,
    ),
  // Stored by INSERT.
  "a template in VALUES": (db) =>
    db.insert(people).values({ id: 3, name: "Cy", phone: sql`${"plain"}` }),
  "a column in VALUES": (db) =>
    db.insert(people).values({ id: 3, name: "Cy", phone: people.phone as never }),
  "a column that $default makes": (db) =>
    db.insert(making(people.phone)).values({ id: 3, name: "Cy" }),
  "excluded in VALUES": (db) =>
    db.insert(people).values({ id: 3, name: "Cy", phone: sql`excluded.phone` }),
  "a placeholder in a template in VALUES": (db) =>
    db.insert(people).values({ id: 3, name: "Cy", phone: sql`${value}` }),
  "a conflict target": (db) => insert(db).onConflictDoNothing({ target: people.phone }),
  "one of two conflict targets": (db) =>
    insert(db).onConflictDoUpdate({ target: [people.id, people.token], set: { name: "!" } }),
  "insert … select of a plain column": (db) =>
    db.insert(people).select(
      db.select({ id: notes.id, name: people.name, phone: people.name, token: people.token })
        .from(people).innerJoin(notes, both),
    ),
  "insert … select into a plain column": (db) =>
    db.insert(people).select(
      db.select({ id: notes.id, name: people.phone, phone: people.phone, token: people.token })
        .from(people).innerJoin(notes, both),
    ),
  "insert … select of a plain column that is mapped": (db) =>
    db.insert(notes).select(asNote(db, sql`${people.name}`.mapWith(people.phone))),
  "insert … select of one behind UNION ALL": (db) =>
    db.insert(notes).select(
      asNote(db, people.phone)
        .unionAll(asNote(db, sql`${people.name}`.mapWith(people.phone).as("body"))),
    ),
  "insert … select of a value, with another builder": (db) =>
    db.insert(notes).select((given) =>
      asNote(
        given as unknown as AnyDatabase,
        sql`coalesce(${"plain"}, ${people.phone})`.mapWith(people.phone),
      )
    ),
  "insert … select into a plain column, with another builder": (db) =>
    db.insert(people).select((given) =>
      (given as unknown as AnyDatabase).select({
        id: notes.id,
        name: sql<string>`lower(${people.phone})`.as("name"),
        phone: people.phone,
        token: people.token,
      }).from(people).innerJoin(notes, both)
    ),
  "insert … select of a raw statement": (db) =>
    db.insert(people).select(sql`select 3, 'Cy', 'plain', null`),
  "excluded, of a table in an UPDATE": (db) => {
    const lead = alias(pgTable("lead", { id: integer(), phone: text() }), "excluded");
    return db.update(people).set({ phone: sql`excluded.phone` }).from(lead);
  },
  "a CTE that the undecorated database writes": (db, plain) => {
    const added = plain.$with("added").as(
      plain.insert(people).values({ id: 3, name: "Cy", phone: "plain" })
        .returning({ id: people.id }),
    );
    return db.with(added).select().from(added);
  },
  // Hidden.
  "a CTE that is described without what it selects": (db) => {
    const inner = db.$with("inner", { t: sql<string>`phone`.as("phone") }).as(phones(db) as never);
    return db.with(inner).select().from(inner).where(ne(inner.t, "555"));
  },
  "a CTE in raw SQL, described as encrypted": (db) => {
    const inner = db.$with("inner", { id: people.id, phone: people.phone })
      .as(sql`select 1 as id, 'plain' as phone`);
    return db.with(inner).update(people).set({ phone: inner.phone }).from(inner)
      .where(eq(people.id, inner.id));
  },
  "all chunks of a statement": (db) => {
    const flat = (part: unknown): unknown[] => {
      const { queryChunks } = (part ?? {}) as Partial<SQL>;
      return queryChunks ? queryChunks.flatMap(flat) : [part];
    };
    const copied = sql.fromList(flat(phones(db).limit(1).getSQL()) as SQL[]);
    return db.select({ t: sql`(${copied})` }).from(people);
  },
  "is distinct from a subquery": (db) =>
    db.select({ d: sql`${people.name} is distinct from ${phones(db).limit(1).as("d")}` })
      .from(people),
  "trim from a statement": (db) =>
    db.select({ d: sql`trim(both from ${phones(db).limit(1)})` }).from(people),
  "insert … select of a group, into a plain column": (db) =>
    db.insert(notes).select(
      db.select({
        id: people.id,
        ownerId: people.id,
        body: people.phone,
        data: { phone: people.phone } as never,
      }).from(people),
    ),
  "insert … select of SQL, into a plain column": (db) =>
    db.insert(log).select(db.select({ id: people.id, phone: people.phone }).from(people).getSQL()),
  "insert … select of another builder's SQL, into a plain column": (db, plain) =>
    db.insert(log)
      .select(plain.select({ id: people.id, phone: people.phone }).from(people).getSQL()),
  "a column type that encodes with the column": (db) => db.update(concatenated).set({ name: "x" }),
  "a column type that compares with the column": (db) =>
    db.delete(concatenated).where(eq(concatenated.name, "x")),
  "excluded in other letters, which PostgreSQL reads as another column": (db) =>
    db.insert(folded).values({ id: 1, plain: "plain", secret: "1" })
      .onConflictDoUpdate({ target: folded.id, set: { secret: sql`excluded.apiToken` } }),
  "excluded in other letters, in quotes": (db) =>
    db.insert(folded).values({ id: 1, plain: "plain", secret: "1" })
      .onConflictDoUpdate({ target: folded.id, set: { secret: sql`excluded."apitoken"` } }),
  "a view with an expression": (db) => db.select({ id: shouts.id }).from(shouts),
  "a clone of a table, compared": (db) => db.delete(cloned).where(eq(cloned.phone, "555")),
  "$onUpdate that makes nothing": (db) => db.update(making(undefined)).set({ name: "?" }),
  "$default that makes nothing": (db) => db.insert(making(undefined)).values({ id: 3, name: "?" }),
  // In the application's raw statements.
  "a bound parameter in a raw statement": (db) =>
    db.execute(sql`update person set phone = ${bound}`),
  "an inlined one": (db) => db.execute(sql`update person set phone = ${bound}`.inlineParams()),
};

const refused: [string, Query][] = [
  ...refusedConditions,
  ...refusedSelections,
  ...refusedColumns,
  ...refusedAssignments,
  ...Object.entries(refusedQueries),
  ...Object.entries(sameNames),
];

/** A query with its expected result. */
const reads: Shapes<Allowed> = {
  "isNull and isNotNull": expecting(
    [{ id: 1, none: false }],
    (db) =>
      db.select({ id: people.id, none: isNull(people.token) }).from(people)
        .where(and(isNotNull(people.phone), eq(people.name, "Ada"))),
  ),
  "is null and is not null, as applications write them": expecting(
    Array(7).fill([{ id: 2 }]),
    async (db) => {
      const p = people.phone;
      const conditions = [
        sql`${p} is null`,
        sql`${p}  IS NULL `,
        sql`(${p}) is null`,
        sql`((${p}) Is Null)`,
        sql`\n${p}\n\tis\n null`,
        not(sql`${p} IS NOT NULL`),
        not(sql`(${p} is not null)`),
      ];
      const found = [];
      for (const condition of conditions) {
        found.push(await db.select({ id: people.id }).from(people).where(condition));
      }
      return found;
    },
  ),
  "is null of an alias and of a subquery": expecting([{ id: 2 }], (db) => {
    const inner = db.select().from(people).as("inner");
    return db.select({ id: inner.id }).from(inner)
      .innerJoin(other, and(eq(other.id, inner.id), isNull(other.phone)))
      .where(isNull(inner.phone));
  }),
  "count": expecting(
    [{ n: 1, all: 2 }],
    (db) => db.select({ n: count(people.phone), all: count() }).from(people),
  ),
  "count, as applications write it": expecting(
    Array(9).fill([{ n: 1 }]),
    async (db) => {
      const p = people.phone;
      const counts = [
        sql<number>`count(${p})::int`,
        sql<number>`COUNT(${p})::int`,
        sql<number>`count( ${p} )::int`,
        sql<number>`count((${p}))::int`,
        sql<number>`count\n(${p})::int`,
        sql<number>`(count(${p}))::int`,
        sql<number>`coalesce(count(${p}), 0)::int`,
        sql<number>`cast(count(${p}) as int)`,
        sql<number>`count(${p}) filter (where ${people.id} > 0)`.mapWith(Number),
      ];
      const found = [];
      for (const n of counts) found.push(await db.select({ n }).from(people));
      return found;
    },
  ),
  "count over a window": expecting(
    [{ all: 1, each: 1 }, { all: 1, each: 0 }],
    (db) => {
      const all = sql`count(${people.phone}) over ()`.mapWith(Number);
      const each = sql`count(${people.phone}) over (partition by ${people.id})`.mapWith(Number);
      return db.select({ all, each }).from(people).orderBy(people.id);
    },
  ),
  "count of rows": expecting(
    [{ n: 2 }],
    (db) => db.select({ n: count(people as unknown as SQL) }).from(people),
  ),
  "$count with is not null": expecting(1, (db) => db.$count(people, isNotNull(people.phone))),
  "$count in a selection": expecting(
    [{ phone: "555", n: 1 }],
    (db) => db.select({ phone: people.phone, n: db.$count(notes, both) }).from(people).limit(1),
  ),
  "exists": expecting([{ id: 1 }], (db) =>
    db.select({ id: people.id }).from(people)
      .where(exists(db.select().from(notes).where(eq(notes.ownerId, people.id))))),
  "exists, as applications write it": expecting(
    Array(4).fill([{ id: 1 }]),
    async (db) => {
      const inner = () => db.select().from(notes).where(eq(notes.ownerId, people.id));
      const conditions = [
        sql`exists ${inner()}`,
        sql`EXISTS (${inner()})`,
        sql`exists(${inner().getSQL()})`,
        not(sql`NOT  exists ${inner()}`),
      ];
      const found = [];
      for (const condition of conditions) {
        found.push(await db.select({ id: people.id }).from(people).where(condition));
      }
      return found;
    },
  ),
  "exists, with a reference to the outer query": expecting(
    [{ id: 1 }],
    (db) => {
      const inner = db.select({ id: notes.id }).from(notes)
        .where(and(eq(notes.ownerId, people.id), isNotNull(people.phone)));
      return db.select({ id: people.id }).from(people).where(exists(inner));
    },
  ),
  "distinct with the primary key": expecting(
    [{ id: 1, phone: "555" }, { id: 2, phone: null }],
    (db) =>
      db.selectDistinct({ id: people.id, phone: people.phone }).from(people).orderBy(people.id),
  ),
  "distinct on another column": expecting(
    [ADA, BOB],
    (db) => db.selectDistinctOn([people.name]).from(people).orderBy(people.name),
  ),
  "unionAll of one key, sorted by another column": expecting(
    [{ id: 1, t: "555" }, { id: 7, t: "diary" }],
    (db) =>
      unionAll(
        db.select({ id: people.id, t: people.phone }).from(people).where(eq(people.id, 1)),
        db.select({ id: notes.id, t: notes.body }).from(notes),
      ).orderBy(people.id),
  ),
  "insert … select": expecting(
    [{ body: "555" }],
    (db) => db.insert(notes).select(asNote(db, people.phone)).returning({ body: notes.body }),
  ),
  "insert … select, with a union of another builder": expecting(
    [{ body: "555" }, { body: "555" }],
    async (db) => {
      const of = (given: unknown, id: string) =>
        (given as AnyDatabase).select({
          id: sql<number>`${sql.raw(id)}`.as("id"),
          ownerId: people.id,
          body: people.phone,
          data: sql`null::jsonb`.as("data"),
        }).from(people).where(eq(people.id, 1));
      const inserted = await db.insert(notes)
        .select((given) => of(given, "20").unionAll(of(given, "21")))
        .returning({ body: notes.body });
      await db.delete(notes).where(inArray(notes.id, [20, 21]));
      return inserted;
    },
  ),
  "insert … select, with another builder": expecting([{ body: "555" }], async (db) => {
    await db.delete(notes).where(eq(notes.id, 8));
    return await db.insert(notes)
      .select((given) => asNote(given as unknown as AnyDatabase, people.phone))
      .returning({ body: notes.body });
  }),
  "a table and a subquery of it, in a template's FROM": expecting(
    [{ all: 2, some: 1 }],
    (db) => {
      const some = phones(db).where(isNotNull(people.phone)).as("some");
      return db.select({
        all: sql`(select count(*)::int from ${people})`,
        some: sql`(select count(*)::int from ${some})`,
      }).from(people).limit(1);
    },
  ),
  "tables in a template, by other names, and a column by its name": expecting(
    [{ n: 2, all: 2, shout: "ADAAda" }],
    (db) =>
      db.select({
        n: sql`(select count(*)::int from ${notes} as x, ${people} as y where x.id = 7)`,
        all: sql`(select count(*)::int from (${people} join ${notes} n on n.id = 7))`,
        shout: sql`upper(${people}.name) || ${people}.${sql.identifier("name")}`,
      }).from(people).limit(1),
  ),
  "a CTE in the application's own words": expecting([{ id: 1 }, { id: 2 }], (db) => {
    const ids = db.$with("ids", { id: sql<number>`id`.as("id") })
      .as(sql`select id from ${people} order by id`);
    return db.with(ids).select({ id: ids.id }).from(ids);
  }),
  "unionAll of three": expecting(
    [{ t: "555" }, { t: "diary" }, { t: "diary" }],
    (db) => {
      const diary = () => bodies(db).where(eq(notes.id, 7));
      return unionAll(phones(db).where(eq(people.id, 1)), diary(), diary());
    },
  ),
  "a union of three, plain, as a subquery": expecting([{ id: 1 }, { id: 2 }], (db) => {
    const ids = () => db.select({ id: people.id }).from(people);
    const inner = union(ids(), ids(), ids()).as("inner");
    return db.select().from(inner).orderBy(inner.id);
  }),
  "a lock": expecting(
    [{ phone: "555" }],
    (db) =>
      db.select({ phone: people.phone }).from(people).innerJoin(notes, both)
        .limit(1).for("update", { of: [people, notes] }),
  ),
  "a CTE": expecting([ADA], (db) => {
    const inner = db.$with("inner").as(db.select().from(people).where(eq(people.id, 1)));
    return db.with(inner).select().from(inner);
  }),
  "a CTE whose callback is given a builder": expecting([{ t: "555" }, { t: null }], (db) => {
    const inner = db.$with("inner").as((given) =>
      phones(given as unknown as AnyDatabase).orderBy(people.id)
    );
    return db.with(inner).select().from(inner);
  }),
  "a materialized view": expecting([{ id: 1, phone: "555" }], async (db) => {
    await db.refreshMaterializedView(copies);
    return await db.select().from(copies).where(eq(copies.id, 1));
  }),
  "a view": expecting(
    [{ id: 1, phone: "555" }],
    (db) => db.select().from(contacts).where(eq(contacts.id, 1)),
  ),
};

/** Forms of `excluded` that store the proposed value. */
const excludedAs = (set: Record<string, unknown>): Allowed => {
  const row = { ...BOB, phone: "2", token: "3" };
  return expecting(
    [ADA, row],
    (db) => db.insert(people).values(row).onConflictDoUpdate({ target: people.id, set }),
  );
};

/** All people, as read after a query. */
const writes: Shapes<Allowed> = {
  "a clone of a table": expecting([ADA, { ...BOB, phone: "2" }], async (db) => {
    const [row] = await db.update(cloned).set({ phone: "2" }).where(eq(cloned.id, 2)).returning();
    assertEquals(row, { ...BOB, phone: "2" });
  }),
  "a column tested for null, as a value of another table": expecting([ADA, BOB], async (db) => {
    const none = sql<string>`(select count(*)::text from ${people} where ${isNull(people.phone)})`;
    const rows = await db.insert(log).values({ id: 5, phone: none }).returning();
    assertEquals(rows, [{ id: 5, phone: "1" }]);
  }),
  "where what is there is not null": expecting(
    [{ ...ADA, name: "?" }, BOB],
    (db) =>
      db.insert(people).values([ADA, BOB]).onConflictDoUpdate({
        target: people.id,
        set: { name: "?" },
        setWhere: sql`${people.phone} IS NOT NULL`,
      }),
  ),
  "what $default and $onUpdate make, made once": expecting(
    [ADA, { ...BOB, phone: "made 1" }],
    async (db) => {
      let made = 0;
      const phone = textUnderA().$onUpdate(() => `made ${++made}`);
      const table = pgTable("person", { id: integer().primaryKey(), name: text(), phone });
      await db.update(table).set({ name: "Bob" }).where(eq(table.id, 2));
      assertEquals(made, 1);
    },
  ),
  "a CTE that inserts": expecting(
    [ADA, BOB, { id: 3, name: "Cy", phone: "3", token: null }],
    async (db) => {
      const added = db.$with("added").as(
        db.insert(people).values({ id: 3, name: "Cy", phone: "3" }).returning(),
      );
      assertEquals(
        await db.with(added).select({ phone: added.phone }).from(added),
        [{ phone: "3" }],
      );
    },
  ),
  "null": expecting(
    [{ ...ADA, phone: null }, BOB],
    (db) => db.update(people).set({ phone: null }),
  ),
  "the same column of an alias": expecting(
    [ADA, { ...BOB, phone: "555" }],
    (db) =>
      db.update(people).set({ phone: other.phone }).from(other)
        .where(and(eq(people.id, 2), eq(other.id, 1))),
  ),
  "a column of the same key of another table": expecting(
    [ADA, { ...BOB, phone: "diary" }],
    (db) => db.update(people).set({ phone: notes.body }).from(notes).where(eq(people.id, 2)),
  ),
  "on conflict do nothing": expecting(
    [ADA, BOB],
    (db) => db.insert(people).values({ ...BOB, phone: "2" }).onConflictDoNothing(),
  ),
  "on conflict do update, with a value": expecting(
    [ADA, { ...BOB, phone: "3" }],
    (db) =>
      db.insert(people).values({ ...BOB, phone: "2", token: "2" })
        .onConflictDoUpdate({ target: people.id, set: { phone: "3" } }),
  ),
  "excluded, as a template and raw": excludedAs({
    phone: sql`excluded.phone`,
    token: sql.raw(`excluded.${people.token.name}`),
  }),
  "excluded, as an alias and an identifier": excludedAs({
    phone: excluded.phone,
    token: sql`excluded.${sql.identifier("api_token")}`,
  }),
  "excluded, in capitals and in a raw part": excludedAs({
    phone: sql`EXCLUDED.phone`,
    token: sql`excluded.${sql.raw("api_token")}`,
  }),
  "excluded, with blanks": excludedAs({
    phone: sql` Excluded . PHONE\n`,
    token: sql`excluded."api_token"`,
  }),
  "excluded, as a quoted template and an alias": excludedAs({
    phone: sql`excluded."phone"`,
    token: sql`${excluded.token}`,
  }),
  "is distinct from, beside a value that is stored": expecting(
    [ADA, { ...BOB, phone: "1" }],
    (db) =>
      db.update(dated).set({ changed: sql`${dated.at} is distinct from now()`, phone: "1" })
        .where(eq(dated.id, 2)),
  ),
  "casts of several words, beside a value that is stored": expecting(
    [ADA, { ...BOB, name: "Bobby", phone: "1" }],
    (db) =>
      db.update(dated).set({
        at: sql`${"2026-01-01T00:00:00Z"}::timestamp with time zone`,
        name: sql`${"Bobby"}::character varying(200)`,
        phone: "1",
      }).where(eq(dated.id, 2)),
  ),
  "ciphertext in a raw statement": expecting([ADA, { ...BOB, phone: "raw" }], async (db) => {
    const ciphertext = await keyA.encrypt("raw");
    await db.execute(sql`update ${people} set phone = ${ciphertext} where ${people.id} = 2`);
  }),
  "a raw statement that names the column": expecting(
    [ADA, BOB],
    (db) =>
      db.execute(sql`delete from ${people} where ${people.phone} is null and ${people.phone} = ''`),
  ),
};

const { cases, test } = suite(async (context) => {
  const opened = await openFilled(context);
  await context.sql("ALTER TABLE person ADD at timestamptz, ADD changed boolean");
  await context.sql("CREATE VIEW contact AS SELECT id, phone FROM person");
  await context.sql("CREATE MATERIALIZED VIEW copy AS SELECT id, phone FROM person");
  await context.sql(createNamed);
  await context.sql(
    'CREATE TABLE folded (id int PRIMARY KEY, apitoken text, "apiToken" text)',
  );
  return opened;
});
export { cases as rule };

test("every refused shape", async (given) => {
  const { db, plain, log } = given;
  const before = await dump(given);
  for (const [name, query] of refused) {
    // When it is built, or when it is awaited.
    const run = async () => {
      const built = query(db, plain);
      if ("toSQL" in built) (built as { toSQL(): unknown }).toSQL();
      await built;
    };
    const { message } = await assertRejects(run, TypeError, undefined, name);
    const expected =
      /^Building an? [A-Za-z]+: .*encrypted column "(phone|api_token|apiToken|body|name)" of table "\w+"/;
    assertMatch(message, expected, name);
    assertEquals(log, [], name);
  }
  assertEquals(await dump(given), before);
  // The database remains usable.
  assertEquals((await db.select().from(people).where(eq(people.id, 1)))[0], ADA);
});

test("a refusal names the statement", ({ db }) => {
  const sorted = { p: sql`${people.phone} || ''` };
  const one = eq(people.id, 1);
  const places: [string, () => { toSQL(): unknown }][] = [
    ["SELECT", () => db.select(sorted).from(people)],
    ["SELECT", () => db.select().from(people).where(like(people.phone, "x"))],
    ["INSERT", () => db.insert(people).values(ADA).returning(sorted)],
    ["UPDATE", () => db.update(people).set({ phone: "1" }).where(one).returning(sorted)],
    ["DELETE", () => db.delete(people).where(one).returning(sorted)],
    ["DELETE", () => db.delete(people).where(like(people.phone, "x"))],
    [
      "DELETE",
      () =>
        db.delete(people).where(inArray(people.id, db.select({ id: notes.id }).from(notes)))
          .returning(sorted),
    ],
    ["SELECT", () => db.delete(people).where(inArray(people.name, db.select(sorted).from(people)))],
  ];
  for (const [place, query] of places) {
    const { message } = assertThrows(() => query().toSQL(), TypeError);
    assertMatch(
      message,
      new RegExp(`^Building an? ${place}: it uses the encrypted column "phone"`),
    );
  }
  return Promise.resolve();
});

test("every allowed shape", async ({ db, plain, sql: past }) => {
  const run = (name: string, query: Query) =>
    Promise.resolve().then(() => query(db, plain)).catch((cause) => {
      throw new Error(`allowed: ${name}`, { cause });
    });
  for (const [name, { query, expected }] of Object.entries({ ...reads, ...ownNames })) {
    assertEquals(await run(name, query), expected, name);
  }
  for (const [name, { query, expected }] of Object.entries(writes)) {
    await run(name, query);
    assertEquals(await db.select().from(people).orderBy(people.id), expected, name);
    for (const row of await past("SELECT phone, api_token FROM person")) {
      for (const stored of Object.values(row)) {
        if (stored !== null) assertMatch(String(stored), /^[^:]+:[^:]*:[^:]+$/, name);
      }
    }
    await db.delete(people);
    await db.insert(people).values([ADA, BOB]);
  }
});

test("refused when prepared, in a transaction, and in a nested one", async ({ db, log, context }) => {
  const remove = (tx: AnyDatabase) => tx.delete(people).where(ne(people.phone, value));
  const update = db.update(people).set({ phone: sql`${value}` });
  assertThrows(() => remove(db).prepare("p"), TypeError);
  assertThrows(() => update.prepare("q"), TypeError);
  await db.transaction(async (tx) => {
    await assertRejects(async () => await remove(tx), TypeError);
    await tx.transaction(async (inner) => {
      await assertRejects(async () => await remove(inner), TypeError);
      await inner.update(people).set({ phone: "kept" }).where(eq(people.id, 1));
    });
  });
  assert(!log.some((query) => query.startsWith("delete")));
  await assertStored(context, "SELECT phone FROM person WHERE id = 1", "kept");
});

/** Drizzle 0.44 does not support subqueries in a selection. */
export const scalarSubquery: Case = {
  name: "a scalar subquery is read like its selection",
  async run(context) {
    const { db } = await openFilled(context);
    const phone = phones(db).where(eq(people.id, 1)).as("scalar");
    assertEquals(await db.select({ id: notes.id, phone }).from(notes), [{ id: 7, phone: "555" }]);
    await context.sql("CREATE VIEW diaries AS SELECT id FROM person");
    const view = pgView("diaries").as((qb) =>
      qb.select({ id: people.id, diary: bodies(qb as unknown as AnyDatabase).as("diary") })
        .from(people)
    );
    const found = [{ id: 1, diary: "diary" }, { id: 2, diary: "diary" }];
    assertEquals<unknown>(await db.select().from(view).orderBy(view.id), found);
    const inner = db.$with("inner").as(phones(db).limit(1));
    const value = async () => await db.with(inner).select({ inner: inner as never }).from(inner);
    await assertRejects(value, TypeError, "a whole CTE");
  },
};
