/** Transactions of a database wrapped by `withEncryption`. */

import { assertEquals, assertRejects } from "@std/assert";
import { eq } from "drizzle-orm";
import { withEncryption } from "../../pg/mod.ts";
import type { Case } from "./suite.ts";
import { assertStored, createTables, people } from "./tables.ts";

class Abort extends Error {}

export const transactions: Case[] = [
  {
    name: "nested twice, each level committed",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const phones = await db.transaction(async (tx) => {
        await tx.insert(people).values({ id: 1, name: "", phone: "outer" });
        await tx.transaction(async (middle) => {
          await middle.insert(people).values({ id: 2, name: "", phone: "middle" });
          await middle.transaction(async (inner) => {
            await inner.insert(people).values({ id: 3, name: "", phone: "inner" });
          });
        });
        return await tx.select({ phone: people.phone }).from(people).orderBy(people.id);
      }, { isolationLevel: "serializable" });
      assertEquals(phones, [{ phone: "outer" }, { phone: "middle" }, { phone: "inner" }]);
      await assertStored(context, "SELECT phone FROM person WHERE id = 3", "inner");
    },
  },
  {
    name: "rollback of the inner levels keeps the outer one",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      await db.transaction(async (tx) => {
        await tx.insert(people).values({ id: 1, name: "", phone: "outer" });
        await assertRejects(() =>
          tx.transaction(async (middle) => {
            await middle.update(people).set({ phone: "middle" });
            await assertRejects(() =>
              middle.transaction(async (inner) => {
                await inner.update(people).set({ phone: "inner" });
                assertEquals((await inner.select().from(people))[0]?.phone, "inner");
                throw new Abort();
              }), Abort);
            assertEquals((await middle.select().from(people))[0]?.phone, "middle");
            middle.rollback();
          })
        );
        assertEquals((await tx.select().from(people))[0]?.phone, "outer");
      });
      await assertStored(context, "SELECT phone FROM person", "outer");
    },
  },
  {
    name: "rollback of all",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      await assertRejects(() =>
        db.transaction(async (tx) => {
          await tx.insert(people).values({ id: 1, name: "", phone: "gone" });
          throw new Abort();
        }), Abort);
      assertEquals(await context.sql("SELECT * FROM person"), []);
    },
  },
  {
    name: "a refused query does not break the transaction",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      await db.transaction(async (tx) => {
        await tx.insert(people).values({ id: 1, name: "", phone: "kept" });
        await assertRejects(
          async () => await tx.delete(people).where(eq(people.phone, "kept")),
          TypeError,
        );
      });
      await assertStored(context, "SELECT phone FROM person", "kept");
    },
  },
  {
    name: "a transaction can be wrapped by itself",
    async run(context) {
      await createTables(context);
      await context.open().transaction(async (tx) => {
        await withEncryption(tx).insert(people).values({ id: 1, name: "", phone: "555" });
        await withEncryption(tx).transaction(async (inner) => {
          assertEquals((await inner.select().from(people))[0]?.phone, "555");
        });
      });
      await assertStored(context, "SELECT phone FROM person", "555");
    },
  },
];
