/** Values that cannot be decrypted. */

import { assertEquals, assertRejects } from "@std/assert";
import { eq, ne } from "drizzle-orm";
import { integer, pgTable } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
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

test("one damaged row in a list: refused with its place, the others can be read", async ({ db, sql }) => {
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

test("of several damaged values the first is reported, once none is at work any more", async ({ db, sql }) => {
  const ids = Array.from({ length: 600 }, (_, id) => id);
  await db.insert(people).values(ids.map((id) => ({ id, name: "", phone: "x" })));
  // Those that follow fail sooner.
  await sql(`UPDATE person SET phone = '${await keyB.encrypt("x")}' WHERE id = 100;
    UPDATE person SET phone = 'no ciphertext' WHERE id > 100`);
  let [begun, atWork] = [0, 0];
  const table = peopleUnder("phone", {
    encrypt: (plaintext) => keyA.encrypt(plaintext),
    decrypt(ciphertext) {
      begun++;
      atWork++;
      return keyA.decrypt(ciphertext).finally(() => atWork--);
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

test("a key of one's own: its outage reaches the caller as it is", async ({ db, sql }) => {
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
