/**
 * Exchanges values with the original package in both directions. For both storages on one table see
 * `tests/consumers/`, which `deno task test:runtimes` runs.
 */

import { assertEquals } from "@std/assert";
import { buildEncryptionKey } from "../mod.ts";
import * as original from "../tools/original.ts";

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
    // The original encrypts and decrypts in the column's functions.
    const { secret: theirs } = theirTable(password, salt);
    for (const plaintext of plaintexts) {
      assertEquals(await ours.decrypt(String(theirs.mapToDriverValue(plaintext))), plaintext);
      assertEquals(theirs.mapFromDriverValue(await ours.encrypt(plaintext)), plaintext);
    }
    // The original writes an empty value, too, but cannot read it.
    assertEquals(await ours.decrypt(String(theirs.mapToDriverValue(""))), "");
  });
}
