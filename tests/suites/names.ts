/** The rule for encrypted columns where SQL uses names and Drizzle objects. */

import {
  and,
  count,
  eq,
  exists,
  isNotNull,
  ne,
  notExists,
  type SQL,
  sql,
  type WithSubquery,
} from "drizzle-orm";
import { alias, integer, pgSchema, pgTable, pgView, text, unionAll } from "drizzle-orm/pg-core";
import { expecting, type Query, type Shapes } from "./shapes.ts";
import type { Allowed } from "./shapes.ts";
import type { AnyDatabase } from "./suite.ts";
import { ADA, BOB, notes, people, textUnderA } from "./tables.ts";

/** Another table with values under the same key, and one without encrypted values. */
export const archive = pgTable("archive", { id: integer().primaryKey(), phone: textUnderA() });
export const log = pgTable("log", { id: integer().primaryKey(), phone: text() });

/** A view of several tables, in which a person appears several times. */
const owners = pgView("owner").as((qb) =>
  qb.select({ id: people.id, phone: people.phone }).from(people)
    .leftJoin(notes, eq(notes.ownerId, people.id))
);

export const createNamed = `
  CREATE TABLE archive (id int PRIMARY KEY, phone text);
  CREATE TABLE log (id int PRIMARY KEY, phone text);
  CREATE SCHEMA IF NOT EXISTS app;
  CREATE TABLE IF NOT EXISTS app.log (id int, phone text);
  INSERT INTO log VALUES (1, 'plain');
  CREATE VIEW owner AS SELECT person.id, phone FROM person LEFT JOIN note ON owner_id = person.id;`;

const other = alias(people, "other");
const secret = { id: people.id, phone: people.phone };
const plain = { id: log.id, phone: log.phone };
const expression = { id: people.id, phone: sql<string>`${people.name}`.as("phone") };

/** A CTE of each kind, all with one name. */
function three(db: AnyDatabase, name = "c") {
  const named = (body: unknown) =>
    db.$with(name).as(body as never) as unknown as typeof archive & WithSubquery;
  return {
    encrypted: named(db.select(secret).from(people)),
    column: named(db.select(plain).from(log)),
    alias: named(db.select(expression).from(people)),
  };
}

const inArchive = (db: AnyDatabase, from: unknown, columns: typeof secret) =>
  db.insert(archive).select(db.select(columns).from(from as typeof people));

/** Where two equal names meet, SQL finds the wrong one. */
export const sameNames: Shapes<Query> = {
  "two CTEs, stored": (db) => {
    const { encrypted, alias } = three(db);
    return db.with(alias).insert(archive)
      .select(db.select({ id: encrypted.id, phone: encrypted.phone }).from(encrypted));
  },
  "two CTEs, a column stored": (db) => {
    const { encrypted, column } = three(db);
    return db.with(column).insert(archive)
      .select(db.select({ id: encrypted.id, phone: encrypted.phone }).from(encrypted));
  },
  "two CTEs, in SET": (db) => {
    const { encrypted, alias } = three(db);
    return db.with(alias).update(people).set({ phone: encrypted.phone }).from(alias);
  },
  "two CTEs, selected": (db) => {
    const { encrypted, alias } = three(db);
    return db.with(encrypted).select({ phone: alias.phone }).from(encrypted);
  },
  "two CTEs, a column selected": (db) => {
    const { encrypted, column } = three(db);
    return db.with(encrypted).select({ phone: column.phone }).from(encrypted);
  },
  "two CTEs, compared": (db) => {
    const { encrypted, alias } = three(db);
    return db.with(encrypted).select({ id: encrypted.id }).from(encrypted)
      .where(ne(alias.phone, "x"));
  },
  "two CTEs, a column compared": (db) => {
    const { encrypted, column } = three(db);
    return db.with(encrypted).select({ id: encrypted.id }).from(encrypted)
      .where(ne(column.phone, "x"));
  },
  "two CTEs, compared in a subquery": (db) => {
    const { encrypted, column } = three(db);
    const compared = db.select({ id: notes.id }).from(notes).where(ne(column.phone, "x"));
    return db.with(encrypted).select({ id: encrypted.id }).from(encrypted).where(exists(compared));
  },
  "a CTE that is named like a table": (db) => {
    const { alias } = three(db, "person");
    return db.with(alias).insert(archive).select(db.select(secret).from(people));
  },
  "a CTE that is named like a table with an alias": (db) => {
    const { column } = three(db, "person");
    const columns = { id: other.id, phone: other.phone };
    return db.with(column).insert(archive).select(db.select(columns).from(other));
  },
  "an encrypted CTE that is named like a plain table": (db) => {
    const { encrypted } = three(db, "log");
    return db.with(encrypted).select({ phone: log.phone }).from(log);
  },
  "two subqueries": (db) => {
    const [one, another] = [
      db.select(secret).from(people).as("s"),
      db.select(plain).from(log).as("s"),
    ];
    return inArchive(db, another, { id: one.id, phone: one.phone } as never);
  },
  "two subqueries, one of an expression": (db) => {
    const one = db.select(secret).from(people).as("s");
    const another = db.select(expression).from(people).as("s");
    return inArchive(db, another, { id: one.id, phone: one.phone } as never);
  },
  "a plain table that is declared like an encrypted one": (db) => {
    const declared = pgTable("person", { id: integer(), phone: text() });
    return db.select({ phone: declared.phone }).from(people);
  },
  "own words as a source": (db) =>
    db.update(people).set({ phone: notes.body }).from(sql`(select 'plain' as body) note`),
  // Written without its table.
  "returning another table's column": (db) =>
    db.update(people).set({ name: "?" }).returning({ phone: log.phone }),
  "returning another table's encrypted column": (db) =>
    db.update(log).set({ phone: "?" }).returning({ phone: people.phone }),
  "a union, sorted by another table's column": (db) =>
    unionAll(db.select(secret).from(people), db.select(secret).from(people)).orderBy(log.phone),
  // Sorted, grouped and compared by the column instead of the expression.
  "an expression that is named like a column, grouped by": (db) =>
    db.select({ name: sql`max(${people.name})`.as("phone"), n: count() }).from(people)
      .groupBy(({ name }) => name),
  // Declared differently.
  "a CTE that is declared as encrypted": (db) => {
    const r = db.$with("r", secret).as(db.select(expression).from(people).getSQL() as never);
    return db.with(r).update(people).set({ phone: r.phone }).from(r).where(eq(r.id, people.id));
  },
  "a CTE that is declared as an expression": (db) => {
    const r = db.$with("r", expression).as(db.select(secret).from(people).getSQL() as never);
    return db.with(r).select().from(r);
  },
  "a CTE whose columns are declared the other way round": (db) => {
    const columns = { a: people.phone, b: sql<string>`${people.name}`.as("b") };
    const declared = { a: sql<string>`phone`.as("phone"), b: people.phone };
    const r = db.$with("r", declared as never).as(
      db.select(columns).from(people).getSQL() as never,
    );
    return db.with(r).select().from(r);
  },
  "a CTE that is declared by the name of what is plain": (db) => {
    const selected = { id: people.id, phone: people.phone, b: sql`${people.name}`.as("body") };
    const r = db.$with("r", { id: people.id, phone: notes.body })
      .as(db.select(selected).from(people).getSQL() as never);
    return db.with(r).update(people).set({ phone: r.phone }).from(r).where(eq(r.id, people.id));
  },
  "a CTE of the undecorated database that is declared as encrypted": (db, plain) => {
    const r = plain.$with("r", secret).as(sql`select 1 as id, 'plain' as phone` as never);
    return db.with(r).update(people).set({ phone: r.phone }).from(r).where(eq(r.id, people.id));
  },
  // Made distinct.
  "DISTINCT over a view": (db) =>
    db.selectDistinct({ id: owners.id, phone: owners.phone }).from(owners),
  "DISTINCT over a CTE": (db) => {
    const { encrypted } = three(db);
    return db.with(encrypted).selectDistinct({ id: encrypted.id, phone: encrypted.phone })
      .from(encrypted);
  },
};

/** Equal names with one meaning. */
export const ownNames: Shapes<Allowed> = {
  "a subquery that is named like its table": expecting([ADA], (db) => {
    const inner = db.select().from(people).as("person");
    return db.select().from(inner).where(isNotNull(inner.phone));
  }),
  "a CTE that is named like its table": expecting([ADA, BOB], (db) => {
    const inner = db.$with("person").as(db.select().from(people));
    return db.with(inner).select().from(inner).orderBy(inner.id);
  }),
  "subqueries of one name beside each other": expecting(
    [{ id: 1, t: "555" }, { id: 7, t: "diary" }],
    (db) => {
      const one = db.select().from(people).where(eq(people.id, 1)).as("t");
      const another = db.select().from(notes).where(eq(notes.id, 7)).as("t");
      return unionAll(
        db.select({ id: one.id, t: one.phone }).from(one),
        db.select({ id: another.id, t: another.body }).from(another),
      ).orderBy(one.id);
    },
  ),
  "a table that is declared twice": expecting([{ phone: "555" }], (db) => {
    const again = pgTable("person", { id: integer(), phone: textUnderA() });
    return db.select({ phone: people.phone }).from(again).where(eq(again.id, 1));
  }),
  "tables of one name in two schemas": expecting([{ id: 1 }], (db) => {
    const inApp = pgSchema("app").table("log", { id: integer(), phone: textUnderA() });
    const none = notExists(db.select().from(inApp).where(isNotNull(inApp.phone)));
    return db.select({ id: log.id }).from(log).where(and(none, eq(log.phone, "plain")));
  }),
  "a table within itself": expecting([{ id: 1 }], (db) => {
    const notNull = db.select({ id: people.id }).from(people).where(isNotNull(people.phone));
    return db.select({ id: people.id }).from(people)
      .where(and(exists(notNull), eq(people.id, 1)));
  }),
  "an expression that is named like a column": expecting(
    [{ id: 1, phone: "ADA" }],
    (db) => {
      const phone = sql<string>`upper(${people.name})`.as("phone");
      const inner = db.select({ id: people.id, phone }).from(people).as("inner");
      return db.select().from(inner).where(and(eq(inner.phone as unknown as SQL, "ADA")));
    },
  ),
};
