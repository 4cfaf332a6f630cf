/**
 * What is encrypted on one runtime is read on every other. A runner writes once, all of them read it all.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { buildEncryptionKey, type EncryptionKey, importEncryptionKey } from "../../pg/mod.ts";

/** The keys that all runtimes share. The first is that of the table of extension instances. */
const keys: Readonly<Record<string, () => EncryptionKey>> = {
  scrypt: () => buildEncryptionKey("master password", "salt"),
  pbkdf2: () =>
    buildEncryptionKey("master password", "salt", { kdf: { name: "pbkdf2", iterations: 100_000 } }),
  raw: () => importEncryptionKey(Uint8Array.from({ length: 32 }, (_, index) => index)),
};

/** Values by the name of their key. */
export type Exchanged = Readonly<Record<string, string>>;

const plaintext = (writer: string, key: string) => `${key} by ${writer}: äöü € 🔑`;

/** The secret that a runtime's row has. */
export const secretOf = (writer: string): string => `secret of ${writer} äöü 🔑`;

/** Encrypts one value under each key, and the secret of a row for whom no database is in reach. */
export async function writeExchanged(writer: string): Promise<Exchanged> {
  const values: Record<string, string> = { row: await keys["scrypt"]!().encrypt(secretOf(writer)) };
  for (const [name, build] of Object.entries(keys)) {
    values[name] = await build().encrypt(plaintext(writer, name));
  }
  return values;
}

/**
 * Decrypts what others wrote, and compares it.
 *
 * @returns How many values that were.
 */
export async function readExchanged(all: Readonly<Record<string, Exchanged>>): Promise<number> {
  let count = 0;
  for (const [name, build] of Object.entries(keys)) {
    const key = build();
    for (const [writer, values] of Object.entries(all)) {
      const value = values[name];
      // The original package knows scrypt alone.
      if (value === undefined) continue;
      assertEquals(await key.decrypt(value), plaintext(writer, name));
      count++;
    }
  }
  return count;
}
