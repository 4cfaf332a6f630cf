/** Neither a plaintext nor a password shows up where it does not belong. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DrizzleQueryError, eq } from "drizzle-orm";
import { Cache } from "drizzle-orm/cache/core";
import { buildEncryptedTextColumn, buildEncryptionKey, withEncryption } from "../../pg/mod.ts";
import type { Case } from "./suite.ts";
import { createTables, notes, people } from "./tables.ts";

const PLAINTEXT = "plaintext-5f2c";
const PASSWORD = "password-7d1a";

type Inspect = (value: unknown, options: unknown) => string;

/** What `console.log` of this runtime would print of the values. */
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
  // Node shows what is behind a proxy instead of what console.log prints.
  const showProxy = runtime.Deno !== undefined;
  const options = { depth: Infinity, showHidden: true, showProxy };
  return lines.flat().map((value) => inspect ? inspect(value, options) : String(value)).join("\n");
}

/** JSON of a value, or what is said instead: values that are not encrypted yet refuse it. */
function serialised(value: unknown): string {
  try {
    return JSON.stringify(
      value,
      (_key, inner) => typeof inner === "function" ? undefined : inner,
    ) ??
      "";
  } catch (error) {
    return String(error);
  }
}

/** Everything that can be found out about an error without a debugger. */
function printed(error: unknown): string {
  const seen = new Set<unknown>();
  const parts: string[] = [];
  for (
    let current = error;
    current instanceof Error && !seen.has(current);
    current = current.cause
  ) {
    seen.add(current);
    parts.push(String(current), String(current.stack), logged(current));
    for (const descriptor of Object.values(Object.getOwnPropertyDescriptors(current))) {
      parts.push(serialised(descriptor.value));
    }
  }
  return parts.join("\n");
}

/** Keeps what Drizzle asks it to keep: the very objects, or as a cache outside of the process would. */
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

export const confidentiality: Case[] = [
  {
    name: "the SQL logger sees ciphertext",
    async run(context) {
      await createTables(context);
      const log: string[] = [];
      const db = withEncryption(context.open({
        logger: { logQuery: (query, params) => log.push(query, JSON.stringify(params)) },
      }));
      await db.insert(people).values({ id: 1, name: "Ada", phone: PLAINTEXT });
      await db.update(people).set({ phone: PLAINTEXT }).where(eq(people.id, 1));
      await db.transaction((tx) => tx.update(people).set({ token: PLAINTEXT }));
      await db.select().from(people);
      assert(log.length >= 8);
      assert(!log.join("\n").includes(PLAINTEXT));
    },
  },
  {
    name: "the error of a violated constraint shows ciphertext",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const insert = () => db.insert(people).values({ id: 1, name: "Ada", phone: PLAINTEXT });
      await insert();
      const error = await assertRejects(async () => await insert());
      assert(error instanceof DrizzleQueryError);
      assert(!printed(error).includes(PLAINTEXT));
    },
  },
  {
    name: "the errors of this package show nothing",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      await db.insert(people).values({ id: 1, name: "Ada", phone: PLAINTEXT });
      const [{ phone } = {}] = await context.sql("SELECT phone FROM person");
      const ciphertext = String(phone);
      const attempts = [
        () => db.select().from(people).where(eq(people.phone, PLAINTEXT)),
        () => db.insert(people).values({ id: 2, name: "", phone: `${PLAINTEXT}\ud800` }),
        () => context.open().insert(people).values({ id: 2, name: "", phone: PLAINTEXT }),
        async () => {
          await context.sql("UPDATE person SET phone = phone || 'AAAA'");
          await db.select().from(people);
        },
      ];
      for (const attempt of attempts) {
        const text = printed(await assertRejects(async () => await attempt()));
        assert(!text.includes(PLAINTEXT));
        for (const part of ciphertext.split(":")) assert(!text.includes(part));
      }
    },
  },
  {
    name: "keys, rows, pending and sealed values show nothing when logged",
    async run(context) {
      await createTables(context);
      const key = buildEncryptionKey(PASSWORD, "salt");
      const texts = [logged(key), JSON.stringify(key), JSON.stringify({ key })];
      await key.encrypt(PLAINTEXT);
      texts.push(logged(key, { key }), JSON.stringify(key));
      texts.push(logged(buildEncryptedTextColumn(key)("secret")));
      const db = withEncryption(context.open());
      const query = db.insert(people).values({ id: 1, name: "Ada", phone: PLAINTEXT });
      texts.push(logged(query.toSQL(), query.toSQL().params));
      assert(logged(query.toSQL().params).includes("[pending ciphertext]"));
      await query;
      const [row] = await context.open().select().from(people);
      const [{ phone } = {}] = await context.sql("SELECT phone FROM person");
      texts.push(logged(row), logged(row!.phone));
      assertMatch(logged({ phone: row!.phone }), /^\{\s+phone: \[encrypted\],?\s+\}$/);
      for (const text of texts) {
        assert(!text.includes(PLAINTEXT) && !text.includes(PASSWORD), text);
        assert(!text.includes(String(phone).split(":")[2]!));
      }
    },
  },
  ...[
    { name: "Drizzle's query cache holds ciphertext, as objects", serialised: false },
    { name: "Drizzle's query cache holds ciphertext, serialised", serialised: true },
  ].map(({ name, serialised }): Case => ({
    name,
    async run(context) {
      await createTables(context);
      const cache = new MemoryCache(serialised);
      const db = withEncryption(context.open({ cache }));
      await db.insert(people).values({ id: 1, name: "Ada", phone: PLAINTEXT });
      await db.insert(notes).values({ id: 1, ownerId: 1, body: PLAINTEXT, data: { a: [1] } });
      for (let run = 0; run < 3; run++) {
        assertEquals(await db.select({ phone: people.phone }).from(people), [{ phone: PLAINTEXT }]);
        assertEquals(await db.select().from(notes), [
          { id: 1, ownerId: 1, body: PLAINTEXT, data: { a: [1] } },
        ]);
        assertEquals(
          await db.select({ deep: { phone: people.phone, body: notes.body } }).from(people)
            .innerJoin(notes, eq(notes.ownerId, people.id)),
          [{ deep: { phone: PLAINTEXT, body: PLAINTEXT } }],
        );
        assert(!JSON.stringify([...cache.entries]).includes(PLAINTEXT));
      }
      assertEquals([cache.entries.size, cache.hits], [3, 6]);
    },
  })),
  {
    name: "the statement itself never carries the value",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const query = db.insert(people).values({
        id: 1,
        name: "Ada",
        phone: PLAINTEXT,
        token: PLAINTEXT,
      });
      assert(!query.toSQL().sql.includes(PLAINTEXT));
    },
  },
];
