/** Values that cannot be decrypted. */

import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { eq, ne } from "drizzle-orm";
import { integer, pgTable } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  DecryptionError,
  type EncryptionKey,
  InvalidCiphertextError,
  withEncryption,
} from "../../pg/mod.ts";
import type { Case } from "./suite.ts";
import { createTables, keyA, keyB, people } from "./tables.ts";

export const damage: Case[] = [
  {
    name: "one damaged row in a list: refused with its place, the others can be read",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const rows = Array.from({ length: 5 }, (_, id) => ({
        id,
        name: "",
        phone: `p${id}`,
        token: `t${id}`,
      }));
      await db.insert(people).values(rows);
      await context.sql(
        "UPDATE person SET api_token = (SELECT phone FROM person WHERE id = 3) WHERE id = 3",
      );
      const error = await assertRejects(
        () => db.select().from(people).orderBy(people.id).execute(),
        DecryptionError,
      );
      assertEquals([error.code, error.path, error.cause], [
        "ERR_DECRYPTION_FAILED",
        "[3].token",
        undefined,
      ]);
      assertEquals([error.table, error.column], ["person", "api_token"]);
      const shape = { id: people.id, secrets: { token: people.token } };
      const nested = await assertRejects(
        () => db.select(shape).from(people).where(eq(people.id, 3)).execute(),
        DecryptionError,
      );
      assertEquals(nested.path, "[0].secrets.token");
      assertEquals(
        await db.select().from(people).where(ne(people.id, 3)).orderBy(people.id),
        rows.filter(({ id }) => id !== 3),
      );
      assertEquals(await db.select({ phone: people.phone }).from(people).where(eq(people.id, 3)), [
        { phone: "p3" },
      ]);
    },
  },
  {
    name: "of several damaged values the first is reported",
    async run(context) {
      await createTables(context);
      const db = withEncryption(context.open());
      const ids = Array.from({ length: 600 }, (_, id) => id);
      await db.insert(people).values(ids.map((id) => ({ id, name: "", phone: "x" })));
      await context.sql("UPDATE person SET phone = 'no ciphertext' WHERE id >= 270");
      const error = await assertRejects(
        () => db.select().from(people).orderBy(people.id).execute(),
        InvalidCiphertextError,
      );
      assertEquals([error.code, error.path], ["ERR_INVALID_CIPHERTEXT", "[270].phone"]);
    },
  },
  {
    name: "the wrong key",
    async run(context) {
      await createTables(context);
      await withEncryption(context.open()).insert(people)
        .values({ id: 1, name: "", phone: "555" });
      const sameTable = pgTable("person", {
        id: integer().primaryKey(),
        phone: buildEncryptedTextColumn(keyB)(),
      });
      const error = await assertRejects(
        () => withEncryption(context.open()).select().from(sameTable).execute(),
        DecryptionError,
      );
      assertEquals([error.code, error.path], ["ERR_DECRYPTION_FAILED", "[0].phone"]);
    },
  },
  {
    name: "a key of one's own: its outage reaches the caller as it is",
    async run(context) {
      class Outage extends Error {}
      const key: EncryptionKey = {
        encrypt: (plaintext) => keyA.encrypt(plaintext),
        decrypt: () => Promise.reject(new Outage("service unavailable")),
      };
      const table = pgTable("person", {
        id: integer().primaryKey(),
        name: buildEncryptedTextColumn(key)().notNull(),
      });
      await createTables(context);
      const db = withEncryption(context.open());
      await db.insert(table).values({ id: 1, name: "Ada" });
      const error = await assertRejects(() => db.select().from(table).execute());
      assertInstanceOf(error, Outage);

      const failing: EncryptionKey = { ...key, encrypt: key.decrypt };
      const failingTable = pgTable("person", {
        id: integer().primaryKey(),
        name: buildEncryptedTextColumn(failing)().notNull(),
      });
      assertInstanceOf(
        await assertRejects(() => db.insert(failingTable).values({ id: 2, name: "Bob" }).execute()),
        Outage,
      );
      assertEquals((await context.sql("SELECT id FROM person")).length, 1);
    },
  },
];
