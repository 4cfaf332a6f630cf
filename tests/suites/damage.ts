/** Values that cannot be decrypted. */

import { assertEquals, assertRejects } from "@std/assert";
import { eq, ne, sql as template } from "drizzle-orm";
import { integer, pgTable } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  DecryptionError,
  type EncryptionKey,
  InvalidCiphertextError,
} from "../../pg/mod.ts";
import { suite } from "./suite.ts";
import { keyA, keyB, open, people } from "./tables.ts";

/** The table `person` with a column under another key. */
const peopleUnder = <TName extends string>(column: TName, key: EncryptionKey) =>
  pgTable("person", {
    id: integer().primaryKey(),
    secret: buildEncryptedTextColumn(key)(column).notNull(),
  });

const { cases, test } = suite(open);
export { cases as damage };

test("one damaged row in a list: refused with its place, the others are readable", async ({ db, sql }) => {
  const rows = Array.from(
    { length: 5 },
    (_, id) => ({ id, name: "", phone: `p${id}`, token: `t${id}` }),
  );
  await db.insert(people).values(rows);
  await sql("UPDATE person SET api_token = phone WHERE id = 3");
  const list = () => db.select().from(people).orderBy(people.id).execute();
  const { code, path, cause, table, column } = await assertRejects(list, DecryptionError);
  assertEquals([code, path, cause], ["ERR_DECRYPTION_FAILED", "[3].token", undefined]);
  assertEquals([table, column], ["person", "api_token"]);
  const shape = { id: people.id, secrets: { token: people.token } };
  const single = () => db.select(shape).from(people).where(eq(people.id, 3)).execute();
  assertEquals((await assertRejects(single, DecryptionError)).path, "[0].secrets.token");
  assertEquals(
    await db.select().from(people).where(ne(people.id, 3)).orderBy(people.id),
    rows.filter(({ id }) => id !== 3),
  );
  const undamaged = db.select({ phone: people.phone }).from(people).where(eq(people.id, 3));
  assertEquals(await undamaged, [{ phone: "p3" }]);
});

test("of several damaged values the first is reported, when no decryption is running", async ({ db, sql }) => {
  const ids = Array.from({ length: 600 }, (_, id) => id);
  await db.insert(people).values(ids.map((id) => ({ id, name: "", phone: "x" })));
  // Later values fail sooner.
  await sql(`UPDATE person SET phone = '${await keyB.encrypt("x")}' WHERE id = 100;
    UPDATE person SET phone = 'no ciphertext' WHERE id > 100`);
  let [begun, atWork] = [0, 0];
  const table = peopleUnder("phone", {
    encrypt: (plaintext) => keyA.encrypt(plaintext),
    async decrypt(ciphertext) {
      begun++;
      atWork++;
      if (ciphertext !== "no ciphertext") await new Promise((resolve) => setTimeout(resolve, 20));
      return await keyA.decrypt(ciphertext).finally(() => atWork--);
    },
  });
  const list = () => db.select().from(table).orderBy(table.id).execute();
  const { code, path } = await assertRejects(list, DecryptionError);
  assertEquals([code, path], ["ERR_DECRYPTION_FAILED", "[100].secret"]);
  assertEquals([begun, atWork], [256, 0]);
  const single = () => db.select().from(people).where(eq(people.id, 101)).execute();
  const invalid = await assertRejects(single, InvalidCiphertextError);
  assertEquals([invalid.code, invalid.path], ["ERR_INVALID_CIPHERTEXT", "[0].phone"]);
});

test("the wrong key", async ({ db }) => {
  await db.insert(people).values({ id: 1, name: "", phone: "555" });
  const list = () => db.select().from(peopleUnder("phone", keyB)).execute();
  const { code, path } = await assertRejects(list, DecryptionError);
  assertEquals([code, path], ["ERR_DECRYPTION_FAILED", "[0].secret"]);
});

test("a custom key: its outage reaches the caller unchanged", async ({ db, sql }) => {
  const outage = new Error("service unavailable");
  const fail = () => Promise.reject(outage);
  const unreadable = peopleUnder("name", { encrypt: keyA.encrypt.bind(keyA), decrypt: fail });
  await db.insert(unreadable).values({ id: 1, secret: "Ada" });
  assertEquals(await assertRejects(() => db.select().from(unreadable).execute()), outage);
  const unwritable = peopleUnder("name", { encrypt: fail, decrypt: fail });
  const insert = db.insert(unwritable).values({ id: 2, secret: "Bob" });
  assertEquals(await assertRejects(() => insert.execute()), outage);
  assertEquals(await sql("SELECT id FROM person"), [{ id: 1 }]);
});

/** Wrong answers of custom keys, and their names in messages. */
export const WRONG_ANSWERS: readonly (readonly [answer: unknown, found: string])[] = [
  [undefined, "undefined"],
  [null, "null"],
  [7, "a number"],
  [new Uint8Array(3), "an object"],
];

/** A custom key with given answers, synchronous or not. */
function answering(answers: { encrypt?: () => unknown; decrypt?: () => unknown }): EncryptionKey {
  return {
    encrypt: (plaintext) => keyA.encrypt(plaintext),
    decrypt: (ciphertext) => keyA.decrypt(ciphertext),
    ...answers as Partial<EncryptionKey>,
  };
}

const COLUMN = 'a value of the encrypted column "phone" of table "person"';

test("a custom key: an answer that is not a string is refused, and nothing is written", async ({ db, sql }) => {
  await db.insert(people).values({ id: 1, name: "", phone: "555" });
  const before = await sql("SELECT * FROM person");
  for (const [answer, found] of WRONG_ANSWERS) {
    for (const give of [() => answer, () => Promise.resolve(answer)]) {
      const unwritable = peopleUnder("phone", answering({ encrypt: give }));
      const row = { id: 2, secret: template.placeholder("secret") };
      const writes = [
        () => db.insert(unwritable).values({ id: 2, secret: "777" }).execute(),
        () => db.update(unwritable).set({ secret: "777" }).execute(),
        () =>
          db.insert(unwritable).values({ id: 1, secret: "777" })
            .onConflictDoUpdate({ target: unwritable.id, set: { secret: "888" } }).execute(),
        () => db.insert(unwritable).values(row).prepare("write").execute({ secret: "777" }),
      ];
      for (const write of writes) {
        const { message } = await assertRejects<TypeError>(write, TypeError);
        assertEquals(
          message,
          `Encrypting ${COLUMN}: encrypt of a key gave ${found} instead of a string`,
        );
      }
      const under = buildEncryptionKey("master password", "salt", {
        alsoReads: [answering({ decrypt: give })],
      });
      for (const key of [answering({ decrypt: give }), under]) {
        const unreadable = peopleUnder("phone", key);
        const read = () => db.select().from(unreadable).execute();
        const { message } = await assertRejects<TypeError>(read, TypeError);
        assertEquals(
          message,
          `Decrypting ${COLUMN}: decrypt of a key gave ${found} instead of a string`,
        );
      }
    }
  }
  assertEquals(await sql("SELECT * FROM person"), before);
});

test("a custom key: answers without a promise count, and throwing is rejecting", async ({ db, sql }) => {
  const outage = new Error("service unavailable");
  const fail = () => {
    throw outage;
  };
  const plainly = answering({ encrypt: () => "stored", decrypt: () => "read" });
  const table = peopleUnder("phone", plainly);
  await sql("ALTER TABLE person ALTER name DROP NOT NULL");
  assertEquals(await db.insert(table).values({ id: 1, secret: "555" }).returning(), [
    { id: 1, secret: "read" },
  ]);
  assertEquals(await sql("SELECT phone FROM person"), [{ phone: "stored" }]);
  const broken = peopleUnder("phone", answering({ encrypt: fail, decrypt: fail }));
  assertEquals(await assertRejects(() => db.select().from(broken).execute()), outage);
  const insert = db.insert(broken).values({ id: 2, secret: "777" });
  assertEquals(await assertRejects(() => insert.execute()), outage);
  const damaged = peopleUnder(
    "phone",
    answering({
      decrypt() {
        throw new DecryptionError();
      },
    }),
  );
  const { path } = await assertRejects(() => db.select().from(damaged).execute(), DecryptionError);
  assertEquals([path, await db.$count(people)], ["[0].secret", 1]);
});
