/**
 * Random statements of Drizzle's builders, on a wrapped database with encrypted columns and on
 * plain Drizzle with text columns: equal results, or a `TypeError` and nothing sent.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  and,
  asc,
  count,
  desc,
  eq,
  exists,
  getTableName,
  gt,
  inArray,
  isNotNull,
  isNull,
  lt,
  max,
  not,
  or,
  type SQL,
  sql,
} from "drizzle-orm";
import { alias, integer, pgTable, text } from "drizzle-orm/pg-core";
import { withEncryption } from "../../pg/mod.ts";
import { randomOf } from "../model/instance.ts";
import { type AnyDatabase, type Case, sqlStateOf, statementLog } from "./suite.ts";
import { keyA, keyB, textUnderA, textUnderB } from "./tables.ts";

/** What secrets begin with, so that they are found wherever they are. */
const SECRET = "secret-";
const CIPHERTEXT = /[A-Za-z0-9+/]{16}:[A-Za-z0-9+/]*={0,2}:[A-Za-z0-9+/]{22}==/;

// deno-lint-ignore no-explicit-any -- statements that no type describes are what is looked for
type Any = any;

type Columns = Record<string, Any>;

/** A source of a SELECT, with its encrypted columns and their keys. */
interface Source {
  readonly from: Any;
  readonly columns: Columns;
  readonly encrypted: Readonly<Record<string, "A" | "B">>;
  /** Whether the column `id` identifies a row. */
  readonly isTable: boolean;
}

function tablesOf(prefix: string, a: () => Any, b: () => Any) {
  const people = pgTable(`${prefix}person`, {
    id: integer().primaryKey(),
    name: text(),
    phone: a(),
    token: b(),
  });
  const notes = pgTable(`${prefix}note`, {
    id: integer().primaryKey(),
    owner: integer(),
    name: text(),
    phone: a(),
  });
  const logs = pgTable(`${prefix}log`, { id: integer().primaryKey(), name: text(), phone: text() });
  return { people, notes, logs };
}

type Tables = ReturnType<typeof tablesOf>;

const ofPerson = { phone: "A", token: "B" } as const;
const ofNote = { phone: "A" } as const;

/** Builds a statement; equal numbers give equal statements. */
class Statement {
  /** Whether it contains anything that may be refused. */
  isRisky = false;
  readonly ctes: Any[] = [];
  #names = 0;

  constructor(
    readonly random: ReturnType<typeof randomOf>,
    readonly db: AnyDatabase,
    readonly tables: Tables,
  ) {}

  risk<T>(value: T): T {
    this.isRisky = true;
    return value;
  }

  maybe<T>(probability: number, make: () => T): T | undefined {
    return this.random.chance(probability) ? make() : undefined;
  }

  one<T>(...makers: (() => T)[]): T {
    return this.random.pick(makers)();
  }

  /** A unique name, except for some deliberate duplicates. */
  name(): string {
    if (this.random.chance(0.05)) {
      const { people, notes, logs } = this.tables;
      return this.risk(this.random.pick(["s1", ...[people, notes, logs].map(getTableName)]));
    }
    return `s${++this.#names}`;
  }

  table(): Source {
    const { people, notes, logs } = this.tables;
    return this.one<Source>(
      () => ({ from: people, columns: people as Any, encrypted: ofPerson, isTable: true }),
      () => ({ from: notes, columns: notes as Any, encrypted: ofNote, isTable: true }),
      () => ({ from: logs, columns: logs as Any, encrypted: {}, isTable: true }),
    );
  }

  source(depth: number): Source {
    if (depth === 0 || this.random.chance(0.5)) {
      const table = this.table();
      if (this.random.chance(0.6)) return table;
      const aliased: Any = alias(table.from, this.name());
      return { ...table, from: aliased, columns: aliased };
    }
    const { query, encrypted } = this.select(depth - 1, false);
    const name = this.name();
    if (this.random.chance(0.5)) {
      const cte = this.db.$with(name).as(query);
      this.ctes.push(cte);
      return { from: cte, columns: cte, encrypted, isTable: false };
    }
    const subquery = query.as(name);
    return { from: subquery, columns: subquery, encrypted, isTable: false };
  }

  /** A condition on plain and encrypted columns. */
  condition(sources: readonly Source[], depth: number): SQL {
    const { columns, encrypted } = this.random.pick(sources);
    const secrets = Object.keys(encrypted);
    const plain = Object.keys(encrypted).includes("phone")
      ? "id"
      : this.random.pick(["id", "phone"]);
    const secret = secrets.length > 0 ? columns[this.random.pick(secrets)] : columns["id"];
    const hasSecret = secrets.length > 0;
    if (this.random.chance(0.06) && hasSecret) {
      const other = this.random.pick(sources).columns["id"];
      return this.risk(this.one<SQL>(
        () => eq(secret, `${SECRET}1`),
        () => gt(secret, ""),
        () => sql`lower(${secret}) <> 'x'`,
        () => sql`${secret}::text is not null`,
        () => sql`${secret} <> ${other}::text`,
        () => sql`${secret} is null and ${other} > 0`,
        () => sql`count(${secret}) > 0`,
        () => inArray(secret, [`${SECRET}1`, sql.param(`${SECRET}2`, secret)]),
      ));
    }
    return this.one<SQL>(
      () => gt(columns["id"], this.random.between(0, 4)),
      () => lt(columns["id"], this.random.between(1, 6)),
      () => plain === "id" ? eq(columns["id"], 2) : not(eq(columns[plain], "plain 1")),
      () => isNull(secret),
      () => isNotNull(secret),
      () => sql`${secret} IS NOT NULL`,
      () => sql`(${secret})  is null`,
      () => and(this.condition(sources, 0), this.condition(sources, 0))!,
      () => or(this.condition(sources, 0), not(this.condition(sources, 0)))!,
      () => this.nested(sources, depth),
      () => this.nested(sources, depth),
    );
  }

  nested(sources: readonly Source[], depth: number): SQL {
    if (depth === 0) return sql`true`;
    const { columns } = this.random.pick(sources);
    const inner = this.table();
    const where = and(eq(inner.columns["id"], columns["id"]), this.condition([inner], 0));
    const isSame = sources.some(({ from }) => from === inner.from);
    const all = () => this.db.select().from(inner.from).where(isSame ? undefined : where);
    const ids = () => this.db.select({ id: inner.columns["id"] }).from(inner.from).where(where);
    return this.one<SQL>(
      () => exists(all()),
      () => sql`exists (${all()})`,
      () => sql`NOT EXISTS ${all()}`,
      () => inArray(columns["id"], isSame ? all() as Any && [1, 2] : ids()),
    );
  }

  /** Columns to select, by name, and which of them are encrypted. */
  fields(sources: readonly Source[], isOuter: boolean) {
    const fields: Columns = {};
    const encrypted: Record<string, "A" | "B"> = {};
    const [first] = sources as [Source];
    fields["id"] = first.columns["id"];
    for (const { columns, encrypted: secrets } of sources) {
      for (const name of ["phone", "token"]) {
        if (name in fields || !(name in columns) || this.random.chance(0.4)) continue;
        fields[name] = columns[name];
        if (secrets[name]) encrypted[name] = secrets[name];
      }
    }
    const { columns, encrypted: secrets } = this.random.pick(sources);
    const secret = columns["phone"] ?? columns["id"];
    const isSecret = "phone" in secrets;
    if (isOuter && this.random.chance(0.3)) {
      fields["extra"] = this.one<Any>(
        () => isNull(secret),
        () => sql`${secret} is not null`.mapWith(Boolean),
        () => sql`upper(${columns["id"]}::text)`,
        () => isSecret ? this.risk(sql`${secret}`) : sql`${secret}`,
        () => isSecret ? this.risk(sql`${secret}`.mapWith(secret)) : sql`${secret}`,
        () => isSecret ? this.risk(sql`max(${secret}) over ()`) : sql`1`,
        () => this.db.$count(this.tables.people, isNotNull(this.tables.people.phone)),
      );
    }
    return { fields, encrypted };
  }

  select(depth: number, isOuter: boolean): { query: Any; encrypted: Record<string, "A" | "B"> } {
    const sources = [this.source(depth)];
    if (this.random.chance(0.35)) sources.push(this.source(Math.max(0, depth - 1)));
    const [first, second] = sources as [Source, Source?];
    const names = sources.map(({ from }) => from);
    // A table twice without an alias.
    if (names[0] === names[1]) sources.pop();
    const joined = sources.length > 1 ? second : undefined;
    const { fields, encrypted } = this.fields(joined ? [first, joined] : [first], isOuter);
    const isDistinct = this.random.chance(0.12);
    const isSecret = Object.keys(encrypted).length > 0;
    // The primary key of each encrypted column's table must be selected.
    if (isDistinct && isSecret && (!first.isTable || joined)) this.risk(0);
    let query: Any = isDistinct ? this.db.selectDistinct(fields) : this.db.select(fields);
    query = query.from(first.from);
    const on = joined && eq(first.columns["id"], joined.columns["id"]);
    if (joined && this.random.chance(0.5)) query = query.leftJoin(joined.from, on);
    else if (joined) query = query.innerJoin(joined.from, on);
    const all = joined ? [first, joined] : [first];
    if (this.random.chance(0.7)) query = query.where(this.condition(all, isOuter ? 1 : 0));
    if (isOuter && this.random.chance(0.15)) query = this.union(query, fields, encrypted);
    else if (isOuter && this.random.chance(0.3)) query = this.ordered(query, first);
    return { query, encrypted };
  }

  ordered(query: Any, { columns, encrypted }: Source): Any {
    if (this.random.chance(0.1) && "phone" in encrypted) {
      return this.risk(this.one(
        () => query.orderBy(columns["phone"]),
        () => query.orderBy(columns["id"], desc(columns["phone"])),
      ));
    }
    return query.orderBy(this.random.pick([asc, desc])(columns["id"])).limit(
      this.random.between(1, 5),
    );
  }

  /** The same fields from another table. */
  union(query: Any, fields: Columns, encrypted: Readonly<Record<string, "A" | "B">>): Any {
    const { columns, from, encrypted: secrets } = this.table();
    const right: Columns = {};
    for (const name of Object.keys(fields)) {
      right[name] = name === "extra"
        ? fields[name]
        : columns[name] ?? columns["name"] ?? columns["id"];
      if (secrets[name] !== encrypted[name] || !(name in columns)) this.risk(0);
    }
    const operation = this.random.pick(["unionAll", "unionAll", "union", "except", "intersect"]);
    const isSecret = Object.keys(encrypted).length > 0 || Object.keys(secrets).length > 0;
    if (operation !== "unionAll" && isSecret) this.risk(0);
    return query[operation](this.db.select(right).from(from));
  }

  value(name: string, row: number): unknown {
    const secret = `${SECRET}${name} ${row} ${this.random.between(1, 9)}`;
    return this.random.chance(0.15) ? null : secret;
  }

  row({ columns, encrypted }: Source, id: number): Columns {
    const row: Columns = { id, name: `plain ${this.random.between(1, 3)}` };
    for (const name of Object.keys(encrypted)) row[name] = this.value(name, id);
    if (!("phone" in encrypted)) row["phone"] = `plain ${this.random.between(1, 3)}`;
    if ("owner" in columns) row["owner"] = this.random.between(1, 4);
    return row;
  }

  /** Assignments: values, columns of the same key, and forbidden ones. */
  set(target: Source, other: Source | undefined): Columns {
    const set: Columns = {};
    for (const name of Object.keys(target.encrypted)) {
      const key = target.encrypted[name]!;
      const from = Object.keys(other?.encrypted ?? {}).find((of) => other!.encrypted[of] === key);
      if (this.random.chance(0.4)) set[name] = this.value(name, 0);
      else if (from && this.random.chance(0.6)) set[name] = other!.columns[from];
      else if (this.random.chance(0.1)) {
        set[name] = this.risk(this.one<Any>(
          () => target.columns["name"],
          () => sql`'plain'`,
          () => sql`${target.columns[name]} || ''`,
          () => sql`lower(${SECRET})`,
        ));
      }
    }
    if (this.random.chance(0.3)) set["name"] = `plain ${this.random.between(1, 3)}`;
    if (this.random.chance(0.05)) {
      const secret = Object.keys(target.encrypted)[0];
      if (secret) set["name"] = this.risk(target.columns[secret]);
    }
    if (Object.keys(set).length === 0) set["name"] = "plain";
    return set;
  }

  returning(query: Any, { columns, encrypted }: Source): Any {
    return this.one<Any>(
      () => query,
      () => query.returning(),
      () => query.returning({ id: columns["id"], phone: columns["phone"] }),
      () => query.returning({ id: columns["id"], none: isNull(columns["phone"]) }),
      () =>
        "phone" in encrypted && this.random.chance(0.3)
          ? query.returning({ p: this.risk(sql`upper(${columns["phone"]})`) })
          : query,
    );
  }

  insert(): Any {
    const target = this.table();
    const insert = () => this.db.with(...this.ctes).insert(target.from) as Any;
    if (this.random.chance(0.3)) {
      const source = this.source(1);
      const fields: Columns = {};
      for (const name of Object.keys(columnsIn(target))) {
        const column = source.columns[name];
        const isSame = target.encrypted[name] === source.encrypted[name] && column !== undefined;
        if (name === "id") fields[name] = sql<number>`${source.columns["id"]} + 100`.as("id");
        else if (isSame) fields[name] = column;
        else if (target.encrypted[name] || source.encrypted[name]) {
          fields[name] = this.risk(column ?? source.columns["id"]);
        } else fields[name] = sql`null`.as(name);
      }
      const query = this.db.select(fields).from(source.from) as Any;
      return this.returning(insert().select(query), target);
    }
    const rows = [1, 2].map(() => this.row(target, this.random.between(1, 9)));
    if (rows[0]!["id"] === rows[1]!["id"]) rows.pop();
    const query = insert().values(rows);
    const column = this.random.pick(["phone", "token"]);
    const set = column in target.encrypted
      ? {
        [column]: this.one<Any>(
          () => this.value(column, 0),
          () => sql.raw(`excluded.${column}`),
          () => sql`EXCLUDED.${sql.identifier(column)}`,
          () => sql.raw(` excluded . "${column}"`),
          () => target.columns[column],
          () => this.risk(sql`excluded.name`),
          () => this.risk(sql.raw(`lower(excluded.${column})`)),
        ),
      }
      : { name: sql`excluded.name` };
    return this.returning(
      this.one<Any>(
        () => query.onConflictDoNothing(),
        () => query.onConflictDoUpdate({ target: target.columns["id"], set }),
        () =>
          query.onConflictDoUpdate({
            target: target.columns["id"],
            set,
            setWhere: isNotNull(target.columns["phone"]),
          }),
      ),
      target,
    );
  }

  update(): Any {
    const target = this.table();
    const other = this.maybe(0.5, () => this.source(1));
    const isOther = other && other.from !== target.from;
    const set = this.set(target, isOther ? other : undefined);
    let query = this.db.with(...this.ctes).update(target.from).set(set) as Any;
    if (isOther) {
      query = query.from(other.from);
      query = query.where(eq(target.columns["id"], other.columns["id"]));
    } else query = query.where(this.condition([target], 1));
    return isOther ? query : this.returning(query, target);
  }

  remove(): Any {
    const target = this.table();
    const where = and(
      eq(target.columns["id"], this.random.between(1, 9)),
      this.condition([target], 1),
    );
    return this.returning(this.db.delete(target.from).where(where), target);
  }

  read(): Any {
    const { query } = this.select(2, true);
    return this.ctes.length === 0 ? query : rebuilt(query, this.db.with(...this.ctes));
  }

  build(): Any {
    return this.one<Any>(
      () => this.read(),
      () => this.read(),
      () => this.read(),
      () => this.insert(),
      () => this.update(),
      () => this.remove(),
      () => {
        const { columns, from } = this.source(1);
        const query = this.db.with(...this.ctes).select({
          n: count(columns["phone"]),
          last: max(columns["id"]),
          all: sql`COUNT( ${columns["phone"]} )::int`,
        });
        return query.from(from);
      },
    );
  }
}

const columnsIn = ({ from }: Source): Columns => from[Symbol.for("drizzle:Columns")];

/** A SELECT with CTEs that are determined while it is built. */
function rebuilt(query: Any, { select }: Any): Any {
  query.config.withList = select().withList;
  return query;
}

/** The outcome of a statement. */
type Outcome = { rows: string[] } | { refused: TypeError } | { failed: string };

async function outcomeOf(build: () => Any): Promise<Outcome> {
  try {
    const found = await build();
    const rows: unknown[] = Array.isArray(found) ? found : [];
    return { rows: rows.map((row) => JSON.stringify(row)).sort() };
  } catch (error) {
    if (error instanceof TypeError) return { refused: error };
    const cause = (error as Error).cause ?? error;
    return { failed: sqlStateOf(cause) ?? String(cause) };
  }
}

const NAMES = { person: ["phone", "token"], note: ["phone"], log: [] as string[] };

const CREATE = (prefix: string) => `
  CREATE TABLE ${prefix}person (id int PRIMARY KEY, name text, phone text, token text);
  CREATE TABLE ${prefix}note (id int PRIMARY KEY, owner int, name text, phone text);
  CREATE TABLE ${prefix}log (id int PRIMARY KEY, name text, phone text);`;

/**
 * Other statements in each run, and the same ones again with the seed that it prints, in the variable RANDOM_SEED.
 *
 * @param statements How many.
 */
export const randomStatements = (statements: number): Case[] => [{
  name: "random statements lead to what they lead to without encryption, or are refused",
  async run(context) {
    const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
    const seed = process?.env?.["RANDOM_SEED"] ?? crypto.randomUUID().slice(0, 8);
    console.log(`# RANDOM_SEED=${seed} repeats these ${statements} statements`);
    await context.sql(CREATE("") + CREATE("twin_"));
    const { logger, statements: sent } = statementLog();
    const encrypted = {
      db: withEncryption(context.open({ logger })),
      tables: tablesOf("", () => textUnderA(), () => textUnderB()),
    };
    const plain = { db: context.open(), tables: tablesOf("twin_", text, text) };
    const counts = { same: 0, refused: 0, failed: 0 };
    for (let index = 0; index < statements; index++) {
      if (index % 50 === 0) {
        for (const world of [encrypted, plain]) await fill(seed, index, world);
      }
      const where = `RANDOM_SEED=${seed}, statement ${index}`;
      const statement = new Statement(randomOf(`${seed}/${index}`), encrypted.db, encrypted.tables);
      sent.length = 0;
      const outcome = await outcomeOf(() => statement.build());
      if ("refused" in outcome) {
        const { message, stack } = outcome.refused;
        assert(statement.isRisky, `${where} is refused: ${stack}`);
        assertMatch(message, /^Building an? [A-Z]+: it .*encrypted column/, where);
        assertEquals(sent, [], where);
        counts.refused++;
        continue;
      }
      const twin = new Statement(randomOf(`${seed}/${index}`), plain.db, plain.tables);
      const expected = await outcomeOf(() => twin.build());
      assertEquals(outcome, expected, `${where}: ${sent.join("; ")}`);
      counts["rows" in outcome ? "same" : "failed"]++;
      if (!/^select/.test(sent[0] ?? "")) {
        await audit(context, encrypted.db, encrypted.tables, where);
      }
    }
    const found = `RANDOM_SEED=${seed}: ${JSON.stringify(counts)}`;
    assert(counts.same > statements / 5, found);
  },
}];

async function fill(
  seed: string,
  index: number,
  { db, tables }: { db: AnyDatabase; tables: Tables },
) {
  const statement = new Statement(randomOf(`${seed}/rows/${index}`), db, tables);
  for (const [name, table] of Object.entries(tables)) {
    await db.delete(table as Any);
    const source = {
      from: table,
      columns: table as Any,
      encrypted: name === "people" ? ofPerson : name === "notes" ? ofNote : {},
      isTable: true,
    };
    await db.insert(table as Any).values([1, 2, 3, 4].map((id) => statement.row(source, id)));
  }
}

/**
 * Checks that encrypted columns contain only ciphertext of the right key, others none, equal to the
 * twin's values.
 */
async function audit(
  { sql }: Parameters<Case["run"]>[0],
  db: AnyDatabase,
  { people, notes }: Tables,
  where: string,
): Promise<void> {
  for (const [table, secrets] of Object.entries(NAMES)) {
    const stored = await sql(`SELECT * FROM ${table} ORDER BY id`);
    const expected = await sql(`SELECT * FROM twin_${table} ORDER BY id`);
    const opened = [];
    for (const row of stored) {
      for (const [name, value] of Object.entries(row)) {
        if (value === null || !secrets.includes(name)) {
          assert(!CIPHERTEXT.test(String(value)), `${where}: ciphertext in ${table}.${name}`);
          assert(!String(value).startsWith(SECRET), `${where}: plaintext in ${table}.${name}`);
          continue;
        }
        assertMatch(String(value), CIPHERTEXT, `${where}: ${table}.${name}`);
        row[name] = await (name === "token" ? keyB : keyA).decrypt(String(value));
      }
      opened.push({ ...row });
    }
    assertEquals(opened, expected.map((row) => ({ ...row })), `${where}: ${table}`);
  }
  // Also read through Drizzle.
  for (const table of [people, notes]) await db.select().from(table as Any);
}
