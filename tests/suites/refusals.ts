/** Nothing is stored or compared by mistake. */

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { eq, ne, sql } from "drizzle-orm";
import {
  check,
  type ExtraConfigColumn,
  foreignKey,
  getTableConfig,
  index,
  integer,
  type PgColumn,
  pgSchema,
  pgTable,
  primaryKey,
  unique,
  uniqueIndex,
} from "drizzle-orm/pg-core";
import { type AnyDatabase, suite } from "./suite.ts";
import { cloneOf, copyOf, dump, openFilled, people, textUnderA } from "./tables.ts";

const NOT_ENCRYPTED =
  'Sending a value of the encrypted column "phone" of table "person": it is not ' +
  "encrypted yet, wrap the database with withEncryption(db)";
const ENCRYPTING = 'Encrypting a value of the encrypted column "phone" of table "person"';
const NOT_DECRYPTED =
  'Reading a value of the encrypted column "phone" of table "person": it is not ' +
  "decrypted yet, wrap the database with withEncryption(db)";
const ELSEWHERE =
  "Sending a value of an encrypted column: it is not encrypted yet, run the query on the " +
  "database that it was built with";

const { cases, test } = suite(async (context) => {
  const opened = await openFilled(context);
  return { ...opened, before: await dump(context) };
});
export { cases as refusals };

test("without withEncryption, writing is refused", async ({ plain, context, before }) => {
  const writes = [
    plain.insert(people).values({ id: 3, name: "Cy", phone: "999" }),
    plain.update(people).set({ phone: "999" }),
    plain.update(people).set({ name: "!" }).where(ne(people.phone, "555")),
    plain.delete(people).where(ne(people.phone, "555")),
  ];
  for (const write of writes) {
    // While Drizzle builds the statement, before the driver sends it.
    const error = assertThrows(() => write.toSQL(), TypeError);
    assertEquals(error.message, NOT_ENCRYPTED);
    await assertRejects(async () => await write, TypeError);
  }
  assertEquals(await dump(context), before);
  // The connection remains usable.
  assertEquals(await plain.$count(people), 2);
});

test("without withEncryption, a read value refuses every use as a string", async ({ plain }) => {
  const [row] = await plain.select().from(people).where(eq(people.id, 1));
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
  };
  for (const member of Reflect.ownKeys(String.prototype)) {
    if (member === "constructor") continue;
    uses[String(member)] = () => Reflect.get(phone as unknown as object, member);
  }
  for (const [use, run] of Object.entries(uses)) {
    const error = assertThrows(run, TypeError, undefined, use);
    assertEquals(error.message, NOT_DECRYPTED, use);
  }
  assertThrows(() => structuredClone(row));
  assertEquals(await Promise.resolve(phone), phone);
});

test("without withEncryption, a read value cannot be stored again", async ({ plain, context, ...given }) => {
  const [row] = await plain.select().from(people).where(eq(people.id, 1));
  const refused = [[plain, NOT_ENCRYPTED], [given.db, `${ENCRYPTING}: expected a string`]] as const;
  for (const [db, message] of refused) {
    // Columns of other types must not accept it as text, either.
    await assertRejects(async () => await db.update(people).set({ name: row!.phone! }));
    const update = async () => await db.update(people).set({ phone: row!.phone });
    await assertRejects(update, TypeError, message);
  }
  assertEquals(await dump(context), given.before);
});

test("values that are not well-formed strings are refused", async ({ db, context, before }) => {
  const LONE = "the string is not well-formed Unicode, it has a lone surrogate";
  const broken = [
    ...["\ud800", "a\udc00b", "\udc00\ud800"].map((text) => [text, LONE]),
    // Drizzle's $type makes such values compile.
    ...[[5, "a number"], [{}, "an object"], [[], "an object"], [true, "a boolean"]]
      .map(([value, found]) => [value, `expected a string, found ${found}`]),
  ];
  for (const [phone, found] of broken as [string, string][]) {
    const insert = async () => await db.insert(people).values({ id: 3, name: "", phone });
    const { message } = await assertRejects<TypeError>(insert, TypeError);
    assertEquals(message, `${ENCRYPTING}: ${found}`);
  }
  const prepared = db.insert(people)
    .values({ id: 3, name: "", phone: sql.placeholder("phone") }).prepare("insert_bad");
  // Drizzle omits undefined values; a placeholder does not.
  for (const phone of ["\ud800", 5, undefined]) {
    await assertRejects(() => prepared.execute({ phone }), TypeError, ENCRYPTING);
  }
  assertEquals(await dump(context), before);
});

// deno-lint-ignore require-await
test("the placeholder of a ciphertext in a prepared query cannot be sent", async ({ db }) => {
  for (const phone of ["999", sql.placeholder("phone")]) {
    const insert = db.insert(people).values({ id: 3, name: "", phone }).prepare("insert");
    const param = insert.getQuery().params[2] as Record<string, () => unknown>;
    const uses: Record<string, () => unknown> = {
      "template": () => `${param}`,
      "JSON": () => JSON.stringify([param]),
      "toString": () => param["toString"]!(),
      "toPostgres": () => param["toPostgres"]!(),
    };
    for (const [use, run] of Object.entries(uses)) {
      assertEquals(assertThrows(run, TypeError, undefined, use).message, ELSEWHERE);
    }
  }
});

test("the result of a prepared query is not mapped for callers that would not decrypt it", async ({ db }) => {
  const selected = db.select().from(people).where(eq(people.id, 1));
  for (const query of [selected, db.delete(people).returning({ phone: people.phone })]) {
    // Drizzle 1.0 and 0.x.
    const prepared = query.prepare("mapped") as {
      mapper?(rows: unknown[]): unknown;
      mapResult?(result: unknown): unknown;
    };
    assertThrows(
      () => {
        const { mapper, mapResult } = prepared;
        return mapper ? mapper([]) : mapResult!.call(prepared, { rows: [] });
      },
      TypeError,
      "Reading the result of a prepared query: it is not decrypted yet",
    );
  }
  const [ada] = await selected.prepare("selected").execute();
  assertEquals(ada?.phone, "555");
});

test("an undecorated session runs nothing built by a wrapped database's dialect", async ({ plain, db, context, before }) => {
  const { dialect } = db as unknown as { dialect: object };
  const mixed: typeof plain = Object.create(plain, { dialect: { value: dialect } });
  await assertRejects(async () => await mixed.update(people).set({ phone: "999" }));
  const read = async () => String((await mixed.select().from(people))[0]?.phone);
  await assertRejects(read, TypeError, "wrap the database with withEncryption(db)");
  assertEquals(await dump(context), before);
});

// deno-lint-ignore require-await
test("refused modifiers of the column", async () => {
  const modifiers = ["default", "array", "generatedAlwaysAs", "unique", "primaryKey", "references"];
  for (const modifier of modifiers) {
    // Also type errors: tests/consumers/types.
    for (const column of [textUnderA(), textUnderA("named"), textUnderA().notNull()]) {
      const build = (column as unknown as Record<string, () => unknown>)[modifier]!;
      assertThrows(() => build.call(column), TypeError, `.${modifier}() is refused`);
    }
  }
  assert(pgTable("t", { a: textUnderA().notNull().$default(() => "x") }));
});

const id = () => integer().primaryKey();

/** Asserts that a table has an encrypted column. */
function assertEncrypted(plain: AnyDatabase, table: typeof people, secret: string): void {
  const insert = () => plain.insert(table).values({ id: 1, [secret]: "x" } as never).toSQL();
  assertThrows(insert, TypeError, "it is not encrypted yet");
}

/** Everything that would make the database compare ciphertexts. */
const keys: Record<string, (secret: PgColumn, table: { id: PgColumn }) => unknown> = {
  "index": (secret) => index().on(secret),
  "an index with an order": (secret) => index("i").on((secret as ExtraConfigColumn).desc()),
  "an index of a kind": (secret) => index("i").using("hash", secret),
  "an index with another column": (secret, table) => index("i").on(table.id, secret),
  "uniqueIndex": (secret) => uniqueIndex("i").on(secret),
  "unique": (secret) => unique().on(secret),
  "unique, with a name and another column": (secret, table) => unique("u").on(table.id, secret),
  "primaryKey": (secret, table) => primaryKey({ columns: [table.id, secret] }),
  "foreignKey": (secret) => foreignKey({ columns: [secret], foreignColumns: [people.name] }),
  "foreignKey to one": (_, table) =>
    foreignKey({ columns: [table.id], foreignColumns: [people.phone] }),
};

// deno-lint-ignore require-await
test("indexes and keys with an encrypted column", async ({ plain }) => {
  for (const [name, key] of Object.entries(keys)) {
    const forms: ((key: unknown) => never)[] = [
      (key) => [key] as never,
      (key) => ({ key }) as never,
    ];
    for (const form of forms) {
      const build = () =>
        pgTable("t", { id: id(), secret: textUnderA() }, (t) => form(key(t.secret, t)));
      const { message } = assertThrows(build, TypeError, undefined, name);
      assertMatch(
        message,
        /^Building a table: one of its indexes or keys has the encrypted column "(secret|phone)" of/,
        name,
      );
    }
  }
  // In a schema, with copies of the column's builder, and with the built column.
  const builder = cloneOf(textUnderA());
  assertThrows(
    () => pgSchema("s").table("t", { secret: textUnderA() }, (t) => [unique().on(t.secret)]),
    TypeError,
    "one of its indexes or keys",
  );
  assertEncrypted(plain, pgTable("t", { id: id(), copied: builder }) as never, "copied");
  assertThrows(() => pgTable("t", { copied: builder }, (t) => [index().on(t.copied)]), TypeError);
});

// deno-lint-ignore require-await
test("indexes and keys of other columns are built, also with references to later tables", async () => {
  const tables: { later?: typeof people } = {};
  const referring = pgTable("referring", { id: id(), secret: textUnderA() }, (t) => [
    foreignKey({ columns: [t.id], foreignColumns: [tables.later!.id] }),
    index("i").on(t.id).where(sql`${t.secret} is not null`),
    check("c", sql`length(${t.secret}) > 40`),
  ]);
  const refused = pgTable("refused", { id: id(), secret: textUnderA() }, (t) => [
    foreignKey({ columns: [t.id], foreignColumns: [tables.later!.id] }),
    unique("u").on(t.secret),
  ]);
  tables.later = people;
  const { foreignKeys, indexes, checks } = getTableConfig(referring);
  assertEquals([foreignKeys.length, indexes.length, checks.length], [1, 1, 1]);
  // As drizzle-kit reads them.
  assertThrows(() => getTableConfig(refused), TypeError, "one of its indexes or keys has");
});

// deno-lint-ignore require-await
test("derivatives of a built column refuse the same modifiers", async ({ plain }) => {
  // Drizzle 1.0.
  const { toBuilder } = people.phone as unknown as { toBuilder?(changes?: object): never };
  if (!toBuilder) return;
  const build = (changes?: object) =>
    pgTable("t", { id: id(), secret: toBuilder.call(people.phone, changes) });
  assertEncrypted(plain, build() as never, "secret");
  for (const changes of [{ unique: true }, { primaryKey: true }, { default: "x" }]) {
    assertThrows(() => build(changes), TypeError, "is refused");
  }
});

test("copies of a table and of its columns, without withEncryption", async ({ plain, context, before }) => {
  const cloned = cloneOf(people);
  const column = copyOf(people.phone);
  for (const table of [cloned, Object.assign(cloneOf(people), { phone: column })]) {
    const insert = async () => await plain.insert(table).values({ id: 3, name: "", phone: "x" });
    await assertRejects(insert, TypeError, NOT_ENCRYPTED);
  }
  const compare = async () => await plain.select().from(people).where(eq(column, "555"));
  await assertRejects(compare, TypeError, NOT_ENCRYPTED);
  assertEquals(await dump(context), before);
});
