/** Transactions of a database wrapped by `withEncryption`. */

import { assertEquals, assertRejects } from "@std/assert";
import { withEncryption } from "../../pg/mod.ts";
import { type AnyDatabase, suite } from "./suite.ts";
import { assertStored, open, people } from "./tables.ts";

class Abort extends Error {}

const insert = (db: AnyDatabase, id: number, phone: string) =>
  db.insert(people).values({ id, name: "", phone });
const phones = async (db: AnyDatabase) =>
  (await db.select().from(people).orderBy(people.id)).map(({ phone }) => phone);

const { cases, test } = suite(open);
export { cases as transactions };

test("nested twice, each level committed", async ({ db, context }) => {
  const found = await db.transaction(async (tx) => {
    await insert(tx, 1, "outer");
    await tx.transaction(async (middle) => {
      await insert(middle, 2, "middle");
      await middle.transaction(async (inner) => void await insert(inner, 3, "inner"));
    });
    return await phones(tx);
  }, { isolationLevel: "serializable" });
  assertEquals(found, ["outer", "middle", "inner"]);
  await assertStored(context, "SELECT phone FROM person WHERE id = 3", "inner");
});

test("rollback of the inner levels keeps the outer one", async ({ db, context }) => {
  await db.transaction(async (tx) => {
    await insert(tx, 1, "outer");
    const middle = tx.transaction(async (middle) => {
      await middle.update(people).set({ phone: "middle" });
      const inner = middle.transaction(async (inner) => {
        await inner.update(people).set({ phone: "inner" });
        assertEquals(await phones(inner), ["inner"]);
        throw new Abort();
      });
      await assertRejects(() => inner, Abort);
      assertEquals(await phones(middle), ["middle"]);
      middle.rollback();
    });
    await assertRejects(() => middle);
    assertEquals(await phones(tx), ["outer"]);
  });
  await assertStored(context, "SELECT phone FROM person", "outer");
});

test("a transaction can be wrapped by itself", async ({ plain, context }) => {
  await plain.transaction(async (tx) => {
    await insert(withEncryption(tx), 1, "555");
    await withEncryption(tx).transaction(async (inner) => {
      assertEquals(await phones(inner), ["555"]);
    });
  });
  await assertStored(context, "SELECT phone FROM person", "555");
});
