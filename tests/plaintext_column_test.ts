import { assertEquals, assertGreater, assertMatch, assertRejects } from "@std/assert";
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

const ROWS = 2_000;
const KEY = new Uint8Array(32).fill(7);
const strictKey = importEncryptionKey(KEY);
const encrypted = buildEncryptedTextColumn(importEncryptionKey(KEY, { alsoReads: [plaintext()] }));
const items = pgTable("item", {
  id: integer().primaryKey(),
  version: integer(),
  token: encrypted(),
});
const DDL = "CREATE TABLE item (id int PRIMARY KEY, version int, token text)";

const tokenOf = (id: number, version: number) => `token ${id} in version ${version}`;

Deno.test("a filled plaintext column becomes an encrypted one while others read and write", async () => {
  await using context = await drivers["postgres.js"]!();
  const db = withEncryption(context.open());
  await context.sql(`${DDL};
    INSERT INTO item SELECT id, 0, 'token ' || id || ' in version 0' FROM generate_series(1, ${ROWS}) AS id;
    INSERT INTO item VALUES (0, 0, NULL)`);
  const before = { current: 0, otherKey: ROWS, unreadable: 0, null: 1 };
  assertEquals(await keyStatus(db, items), { token: before });

  const versions = new Map<number, number>();
  let done = false;
  let reads = 0;
  const read = async () => {
    for (; !done; reads++) {
      const id = 1 + Math.floor(Math.random() * ROWS);
      const [row] = await db.select().from(items).where(eq(items.id, id));
      assertEquals(row?.token, tokenOf(id, row!.version!));
    }
  };
  // Each writer has rows of its own, so that it knows what they hold.
  const write = async (writer: number) => {
    for (let turn = 1; !done; turn++) {
      const id = 1 + ((turn * 7 + writer * 500) % 500) + writer * 500;
      const version = (versions.get(id) ?? 0) + 1;
      const token = tokenOf(id, version);
      await db.update(items).set({ version, token }).where(eq(items.id, id));
      versions.set(id, version);
    }
  };
  const traffic = [read(), read(), write(0), write(1), write(2)];
  const report = await reencrypt(db, items, { batchSize: 50 }).finally(() => done = true);
  await Promise.all(traffic);
  assertEquals([report.scanned, report.unreadable, report.notWritten], [ROWS + 1, [], []]);
  for (const count of [report.reencrypted, reads, versions.size]) assertGreater(count, 0);

  const after = { current: ROWS, otherKey: 0, unreadable: 0, null: 1 };
  assertEquals(await keyStatus(db, items), { token: after });
  // What lies there is a ciphertext of what was written last.
  const rows = await context.sql("SELECT id, version, token FROM item WHERE id > 0");
  assertEquals(rows.length, ROWS);
  for (const { id, version, token } of rows as { id: number; version: number; token: string }[]) {
    assertMatch(token, /^[\w+/]{16}:[\w+/]+={0,2}:[\w+/]{22}==$/);
    assertEquals(version, versions.get(id) ?? 0);
    assertEquals(await strictKey.decrypt(token), tokenOf(id, version));
  }
});

Deno.test("a plaintext that looks like a ciphertext is left as it is, and told", async () => {
  await using context = await drivers["postgres.js"]!();
  const db = context.open();
  const strange = await importEncryptionKey(new Uint8Array(32)).encrypt("of nobody");
  await context.sql(`${DDL}; INSERT INTO item VALUES (1, 0, '${strange}'), (2, 0, 'a:b:c')`);
  const { reencrypted, unreadable } = await reencrypt(db, items);
  assertEquals([reencrypted, unreadable], [1, [{ id: 1 }]]);
  const status = { current: 1, otherKey: 0, unreadable: 1, null: 0 };
  assertEquals(await keyStatus(db, items), { token: status });
  assertEquals(await context.sql("SELECT token FROM item WHERE id = 1"), [{ token: strange }]);
  await assertRejects(async () => await withEncryption(db).select().from(items), DecryptionError);
});
