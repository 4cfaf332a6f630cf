/** No plaintext or password appears where it does not belong. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DrizzleQueryError, eq } from "drizzle-orm";
import { Cache } from "drizzle-orm/cache/core";
import { buildEncryptedTextColumn, buildEncryptionKey, withEncryption } from "../../pg/mod.ts";
import { statementLog, suite, type TestContext } from "./suite.ts";
import { notes, open, people } from "./tables.ts";

const PLAINTEXT = "plaintext-5f2c";
const PASSWORD = "password-7d1a";

type Inspect = (value: unknown, options: unknown) => string;

/** The output of this runtime's `console.log` for values. */
function logged(...values: unknown[]): string {
  const lines: unknown[][] = [];
  const original = console.log;
  console.log = (...args: unknown[]) => lines.push(args);
  try {
    console.log(...values);
  } finally {
    console.log = original;
  }
  const runtime = globalThis as {
    Deno?: { inspect: Inspect };
    Bun?: { inspect: Inspect };
    process?: { getBuiltinModule(name: "node:util"): { inspect: Inspect } };
  };
  const inspect = runtime.Deno?.inspect ?? runtime.Bun?.inspect ??
    runtime.process?.getBuiltinModule("node:util").inspect;
  // Node would show a proxy's target, unlike console.log.
  const showProxy = runtime.Deno !== undefined;
  const options = { depth: Infinity, showHidden: true, showProxy };
  return lines.flat().map((value) => inspect ? inspect(value, options) : String(value)).join("\n");
}

/** JSON of a value, or the error: values that are not encrypted yet refuse it. */
function serialised(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch (error) {
    return String(error);
  }
}

/** Everything visible of an error without a debugger. */
function printed(error: unknown): string {
  const seen = new Set<unknown>();
  const parts: string[] = [];
  for (let at = error; at instanceof Error && !seen.has(at); at = at.cause) {
    seen.add(at);
    const properties = Object.values(Object.getOwnPropertyDescriptors(at));
    parts.push(String(at), String(at.stack), logged(at));
    parts.push(...properties.map(({ value }) => serialised(value)));
  }
  return parts.join("\n");
}

/** A Drizzle cache that keeps the objects themselves, or serialises them like an external cache. */
export class MemoryCache extends Cache {
  readonly entries = new Map<string, unknown>();
  readonly #serialised: boolean;
  hits = 0;

  constructor(serialised: boolean) {
    super();
    this.#serialised = serialised;
  }

  override strategy(): "all" {
    return "all";
  }

  override get(key: string): Promise<unknown[] | undefined> {
    if (this.entries.has(key)) this.hits++;
    const entry = this.entries.get(key);
    return Promise.resolve(typeof entry === "string" ? JSON.parse(entry) : entry);
  }

  override put(key: string, response: unknown): Promise<void> {
    this.entries.set(key, this.#serialised ? JSON.stringify(response) : response);
    return Promise.resolve();
  }

  override onMutate(): Promise<void> {
    this.entries.clear();
    return Promise.resolve();
  }
}

const { cases, test } = suite(open);
export { cases as confidentiality };

const Grace = { id: 1, name: "Grace", phone: PLAINTEXT };

test("the SQL logger sees ciphertext", async ({ context }) => {
  const { logger, statements, params } = statementLog();
  const db = withEncryption(context.open({ logger }));
  await db.insert(people).values(Grace);
  await db.update(people).set({ phone: PLAINTEXT }).where(eq(people.id, 1));
  await db.transaction((tx) => tx.update(people).set({ token: PLAINTEXT }));
  await db.select().from(people);
  assert(statements.length >= 4);
  assert(!JSON.stringify([statements, params]).includes(PLAINTEXT));
});

test("the error of a violated constraint shows ciphertext", async ({ db }) => {
  const insert = async () => await db.insert(people).values(Grace);
  await insert();
  const error = await assertRejects(insert, DrizzleQueryError);
  assert(!printed(error).includes(PLAINTEXT));
});

test("this package's errors show nothing", async ({ db, plain, sql }) => {
  await db.insert(people).values(Grace);
  const [{ phone } = {}] = await sql("SELECT phone FROM person");
  const ciphertext = String(phone);
  const attempts = [
    () => db.select().from(people).where(eq(people.phone, PLAINTEXT)),
    () => db.insert(people).values({ ...Grace, id: 2, phone: `${PLAINTEXT}\ud800` }),
    () => plain.insert(people).values({ ...Grace, id: 2 }),
    async () => {
      await sql("UPDATE person SET phone = phone || 'AAAA'");
      await db.select().from(people);
    },
  ];
  for (const attempt of attempts) {
    const text = printed(await assertRejects(async () => await attempt()));
    for (const part of [PLAINTEXT, ...ciphertext.split(":")]) assert(!text.includes(part));
  }
});

test("keys, rows, pending and sealed values show nothing when logged", async ({ db, plain, sql }) => {
  const key = buildEncryptionKey(PASSWORD, "salt");
  const texts = [logged(key), JSON.stringify({ key })];
  await key.encrypt(PLAINTEXT);
  texts.push(logged(key, { key }), JSON.stringify(key));
  texts.push(logged(buildEncryptedTextColumn(key)("secret")));
  const query = db.insert(people).values({ ...Grace, token: PLAINTEXT });
  assert(!query.toSQL().sql.includes(PLAINTEXT));
  texts.push(logged(query.toSQL(), query.toSQL().params));
  assert(texts.at(-1)!.includes("[pending ciphertext]"));
  await query;
  const [row] = await plain.select().from(people);
  const [{ phone } = {}] = await sql("SELECT phone FROM person");
  texts.push(logged(row), logged(row!.phone));
  assertMatch(logged({ phone: row!.phone }), /^\{\s+phone: \[encrypted\],?\s+\}$/);
  for (const text of texts) {
    assert(!text.includes(PLAINTEXT) && !text.includes(PASSWORD), text);
    assert(!text.includes(String(phone).split(":")[2]!));
  }
});

const assertCached = (serialised: boolean) => async ({ context }: { context: TestContext }) => {
  const cache = new MemoryCache(serialised);
  const db = withEncryption(context.open({ cache }));
  await db.insert(people).values(Grace);
  const note = { id: 1, ownerId: 1, body: PLAINTEXT, data: { a: [1] } };
  await db.insert(notes).values(note);
  const deep = { phone: people.phone, body: notes.body };
  for (let run = 0; run < 3; run++) {
    assertEquals(await db.select({ phone: people.phone }).from(people), [{ phone: PLAINTEXT }]);
    assertEquals(await db.select().from(notes), [note]);
    assertEquals(
      await db.select({ deep }).from(people).innerJoin(notes, eq(notes.ownerId, people.id)),
      [{ deep: { phone: PLAINTEXT, body: PLAINTEXT } }],
    );
    assert(!JSON.stringify([...cache.entries]).includes(PLAINTEXT));
  }
  assertEquals([cache.entries.size, cache.hits], [3, 6]);
};
test("Drizzle's query cache holds ciphertext, as objects", assertCached(false));
test("Drizzle's query cache holds ciphertext, serialised", assertCached(true));
