/** Nothing gets stored or compared by mistake. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { eq, ne, sql } from "drizzle-orm";
import { pgTable } from "drizzle-orm/pg-core";
import { withEncryption } from "../../pg/mod.ts";
import type { AnyDatabase, Case, TestContext } from "./suite.ts";
import { createTables, dump, people, textUnderA } from "./tables.ts";

const NOT_ENCRYPTED =
  'Sending a value of the encrypted column "phone" of table "person": it is not ' +
  "encrypted yet, wrap the database with withEncryption(db)";
const NOT_DECRYPTED =
  'Reading a value of the encrypted column "phone" of table "person": it is not ' +
  "decrypted yet, wrap the database with withEncryption(db)";

async function fill(context: TestContext): Promise<AnyDatabase> {
  await createTables(context);
  const db = withEncryption(context.open());
  await db.insert(people).values([
    { id: 1, name: "Ada", phone: "555", token: "t" },
    { id: 2, name: "Bob", phone: "777" },
  ]);
  return db;
}

export const refusals: Case[] = [
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
        // While Drizzle builds the statement, before the driver begins to write it.
        const error = assertThrows(() => write.toSQL(), TypeError);
        assertEquals(error.message, NOT_ENCRYPTED);
        await assertRejects(async () => await write, TypeError);
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
        assertStringIncludes(
          error.message,
          db === plain ? NOT_ENCRYPTED : "Encrypting a value: expected a string",
        );
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
    name: "refused modifiers of the column",
    // deno-lint-ignore require-await
    async run() {
      const modifiers = [
        "default",
        "array",
        "generatedAlwaysAs",
        "unique",
        "primaryKey",
        "references",
      ];
      for (const modifier of modifiers) {
        // Type errors, too: tests/consumers/types.
        for (const column of [textUnderA(), textUnderA("named"), textUnderA().notNull()]) {
          const build = (column as unknown as Record<string, () => unknown>)[modifier]!;
          assertThrows(() => build.call(column), TypeError, `.${modifier}() is refused`);
        }
      }
      assert(pgTable("t", { a: textUnderA().notNull().$default(() => "x") }));
    },
  },
];
