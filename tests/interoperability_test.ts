/** Data of the original package: what it writes we read, and the other way round. */

import { assertEquals } from "@std/assert";
import { drizzle } from "drizzle-orm/node-postgres";
// @ts-types="@types/pg"
import pg from "pg";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  PgExtensionStorage,
} from "../mod.ts";
import { extensionInstanceDdl } from "./support/extension_instance.ts";
import * as original from "./support/original.ts";
import { createDatabase } from "./support/postgres.ts";

const passwords: [name: string, password: string, salt: string][] = [
  ["ASCII", "correct horse battery staple", "NaCl"],
  ["non-ASCII", "Ünïcödé пароль 密码 🔑\u0000", "Sälz 🧂"],
  ["long", "p".repeat(10_000), "s".repeat(10_000)],
];

const plaintexts = ["secret", "ü€🔑", "\u0000\ufeff", "x".repeat(100_000), "a:b:c"];

/** The column's own functions: the original encrypts and decrypts in them. */
function originalColumn(password: string, salt: string) {
  const column = original.buildEncryptedTextColumn(original.buildEncryptionKey(password, salt));
  const { secret } = original.buildExtensionInstanceTable(column);
  return {
    encrypt: (plaintext: string) => String(secret.mapToDriverValue(plaintext)),
    decrypt: (stored: string) => String(secret.mapFromDriverValue(stored)),
  };
}

for (const [name, password, salt] of passwords) {
  Deno.test(`values under a password and salt that are ${name}, in both directions`, async () => {
    const ours = buildEncryptionKey(password, salt);
    const theirs = originalColumn(password, salt);
    for (const plaintext of plaintexts) {
      assertEquals(await ours.decrypt(theirs.encrypt(plaintext)), plaintext);
      assertEquals(theirs.decrypt(await ours.encrypt(plaintext)), plaintext);
    }
    // The original writes an empty value too, but then cannot read it.
    assertEquals(await ours.decrypt(theirs.encrypt("")), "");
  });
}

Deno.test("both storages work on one table", async () => {
  await using database = await createDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 2 });
  try {
    await pool.query(extensionInstanceDdl);
    const db = drizzle(pool);
    const ourTable = buildExtensionInstanceTable(
      buildEncryptedTextColumn(buildEncryptionKey("password", "salt")),
    );
    const theirTable = original.buildExtensionInstanceTable(
      original.buildEncryptedTextColumn(original.buildEncryptionKey("password", "salt")),
    );
    const ours = new PgExtensionStorage(db, ourTable);
    const theirs = new original.PgExtensionStorage(
      db as unknown as ConstructorParameters<typeof original.PgExtensionStorage>[0],
      theirTable,
    );
    const readWithOriginal = async (id: string) =>
      (await db.select().from(theirTable)).find((row) => row.id === id);
    const instance = (id: string, secret: string) => ({
      extensionInstanceId: id,
      contextId: `context of ${id}`,
      consentedScopes: ["a", "b"],
      secret,
    });

    await theirs.upsertExtension(instance("1", "written by the original"));
    const row = await ours.getExtension("1");
    assertEquals(row?.secret, "written by the original");
    assertEquals(row?.consentedScopes, ["a", "b"]);
    await ours.upsertExtension({ ...instance("2", "written by us"), context: "customer" });
    assertEquals((await readWithOriginal("2"))?.secret, "written by us");
    assertEquals((await readWithOriginal("2"))?.context, "customer");

    await ours.rotateSecret("1", "rotated by us");
    assertEquals((await readWithOriginal("1"))?.secret, "rotated by us");
    await theirs.rotateSecret("2", "rotated by the original");
    assertEquals((await ours.getExtension("2"))?.secret, "rotated by the original");

    await ours.updateExtension({ ...instance("1", ""), enabled: false, consentedScopes: [] });
    assertEquals((await readWithOriginal("1"))?.active, false);
    await theirs.updateExtension({ ...instance("2", ""), enabled: false, consentedScopes: ["c"] });
    assertEquals((await ours.getExtension("2"))?.consentedScopes, ["c"]);
    assertEquals((await ours.getExtension("2"))?.active, false);

    // Timestamps have no time zone in the table; both take them for UTC.
    const [mine, yours] = [await ours.getExtension("1"), await readWithOriginal("1")];
    assertEquals(mine?.updatedAt, yours?.updatedAt);
    await theirs.removeInstance("1");
    await ours.removeInstance("2");
    assertEquals((await pool.query("SELECT * FROM extension_instance")).rows, []);
  } finally {
    await pool.end();
  }
});
