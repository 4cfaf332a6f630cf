import { assertEquals, assertRejects } from "@std/assert";
import { eq } from "drizzle-orm";
import { integer, pgTable } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  DecryptionError,
  importEncryptionKey,
  keyStatus,
  plaintext,
  reencrypt,
  withEncryption,
} from "../pg/mod.ts";
import { drivers } from "./support/drivers.ts";

const KEY = new Uint8Array(32).fill(7);
const encrypted = buildEncryptedTextColumn(importEncryptionKey(KEY, { alsoReads: [plaintext()] }));
const items = pgTable("item", { id: integer().primaryKey(), token: encrypted() });
const DDL = "CREATE TABLE item (id int PRIMARY KEY, token text)";

Deno.test("a plaintext column with values becomes encrypted, and is usable meanwhile", async () => {
  await using context = await drivers["postgres.js"]();
  const db = withEncryption(context.open());
  await context.sql(`${DDL};
    INSERT INTO item SELECT id, 'token ' || id FROM generate_series(1, 9) AS id;
    INSERT INTO item VALUES (10, NULL)`);
  const before = { current: 0, otherKey: 9, unreadable: 0, null: 1 };
  assertEquals(await keyStatus(db, items), { token: before });
  await db.update(items).set({ token: "token 1, changed" }).where(eq(items.id, 1));
  const tokens = ["1, changed", ..."23456789"].map((each) => `token ${each}`);
  const read = async () =>
    (await db.select().from(items).orderBy(items.id)).map(({ token }) => token);
  assertEquals(await read(), [...tokens, null]);

  const { reencrypted, unreadable, notWritten } = await reencrypt(db, items, { batchSize: 4 });
  assertEquals([reencrypted, unreadable, notWritten], [8, [], []]);
  assertEquals(await read(), [...tokens, null]);
  const rows = await context.sql("SELECT token FROM item WHERE id < 10 ORDER BY id");
  const strictKey = importEncryptionKey(KEY);
  const stored = await Promise.all(rows.map(({ token }) => strictKey.decrypt(String(token))));
  assertEquals(stored, tokens);
});

Deno.test("a plaintext that looks like a ciphertext stays, and is reported", async () => {
  await using context = await drivers["postgres.js"]();
  const db = context.open();
  const strange = await importEncryptionKey(new Uint8Array(32)).encrypt("of nobody");
  await context.sql(`${DDL}; INSERT INTO item VALUES (1, '${strange}'), (2, 'a:b:c')`);
  const { reencrypted, unreadable } = await reencrypt(db, items);
  assertEquals([reencrypted, unreadable], [1, [{ id: 1 }]]);
  const status = { current: 1, otherKey: 0, unreadable: 1, null: 0 };
  assertEquals(await keyStatus(db, items), { token: status });
  assertEquals(await context.sql("SELECT token FROM item WHERE id = 1"), [{ token: strange }]);
  await assertRejects(async () => await withEncryption(db).select().from(items), DecryptionError);
});
