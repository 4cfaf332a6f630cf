/** Data of the original package: what it writes we read, and the other way round. */

import { assertEquals } from "@std/assert";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  PgExtensionStorage,
} from "../mod.ts";
import { drivers } from "./support/drivers.ts";
import { extensionInstanceDdl } from "./support/extension_instance.ts";
import * as original from "./support/original.ts";

const passwords: [name: string, password: string, salt: string][] = [
  ["ASCII", "correct horse battery staple", "NaCl"],
  ["non-ASCII", "Ünïcödé пароль 密码 🔑\u0000", "Sälz 🧂"],
  ["long", "p".repeat(10_000), "s".repeat(10_000)],
];

const plaintexts = ["secret", "ü€🔑", "\u0000\ufeff", "x".repeat(100_000), "a:b:c"];

const theirTable = (password: string, salt: string) =>
  original.buildExtensionInstanceTable(
    original.buildEncryptedTextColumn(original.buildEncryptionKey(password, salt)),
  );

for (const [name, password, salt] of passwords) {
  Deno.test(`values under a password and salt that are ${name}, in both directions`, async () => {
    const ours = buildEncryptionKey(password, salt);
    // The original encrypts and decrypts in the column's own functions.
    const { secret: theirs } = theirTable(password, salt);
    for (const plaintext of plaintexts) {
      assertEquals(await ours.decrypt(String(theirs.mapToDriverValue(plaintext))), plaintext);
      assertEquals(theirs.mapFromDriverValue(await ours.encrypt(plaintext)), plaintext);
    }
    // The original writes an empty value too, but then cannot read it.
    assertEquals(await ours.decrypt(String(theirs.mapToDriverValue(""))), "");
  });
}

Deno.test("both storages work on one table", async () => {
  await using context = await drivers["node-postgres"]!();
  await context.sql(extensionInstanceDdl);
  const column = buildEncryptedTextColumn(buildEncryptionKey("password", "salt"));
  const ours = new PgExtensionStorage(context.open(), buildExtensionInstanceTable(column));
  const table = theirTable("password", "salt");
  const db = context.open<ConstructorParameters<typeof original.PgExtensionStorage>[0]>();
  const theirs = new original.PgExtensionStorage(db, table);
  const readTheirs = async (id: string) =>
    (await context.open().select().from(table)).find((row) => row.id === id)!;
  const readOurs = async (id: string) => (await ours.getExtension(id))!;
  const instance = (id: string, secret: string) => ({
    extensionInstanceId: id,
    contextId: `context of ${id}`,
    consentedScopes: ["a", "b"],
    secret,
  });

  await theirs.upsertExtension(instance("1", "written by the original"));
  const added = await readOurs("1");
  assertEquals([added.secret, added.consentedScopes], ["written by the original", ["a", "b"]]);
  await ours.upsertExtension({ ...instance("2", "written by us"), context: "customer" });
  const { secret, context: kind } = await readTheirs("2");
  assertEquals([secret, kind], ["written by us", "customer"]);

  await ours.rotateSecret("1", "rotated by us");
  assertEquals((await readTheirs("1")).secret, "rotated by us");
  await theirs.rotateSecret("2", "rotated by the original");
  assertEquals((await readOurs("2")).secret, "rotated by the original");

  await ours.updateExtension({ ...instance("1", ""), enabled: false, consentedScopes: [] });
  assertEquals((await readTheirs("1")).active, false);
  await theirs.updateExtension({ ...instance("2", ""), enabled: false, consentedScopes: ["c"] });
  const updated = await readOurs("2");
  assertEquals([updated.consentedScopes, updated.active], [["c"], false]);

  // Timestamps have no time zone in the table; both take them for UTC.
  assertEquals((await readOurs("1")).updatedAt, (await readTheirs("1")).updatedAt);
  await theirs.removeInstance("1");
  await ours.removeInstance("2");
  assertEquals(await context.sql("SELECT * FROM extension_instance"), []);
});
