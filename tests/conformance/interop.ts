/**
 * What is encrypted on one runtime is read on every other. A target writes once, all of them read it all.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { buildEncryptionKey, type EncryptionKey, importEncryptionKey } from "../../pg/mod.ts";
import type { BoundCase } from "./tap.ts";

/** The keys that all targets share. The first is that of the table of extension instances. */
const keys: Readonly<Record<string, () => EncryptionKey>> = {
  scrypt: () => buildEncryptionKey("master password", "salt"),
  pbkdf2: () =>
    buildEncryptionKey("master password", "salt", { kdf: { name: "pbkdf2", iterations: 100_000 } }),
  raw: () => importEncryptionKey(Uint8Array.from({ length: 32 }, (_, index) => index)),
};

/** Values by the name of their key, and under `row` the secret of a row, for whom reaches no database. */
export type InteropValues = Readonly<Record<string, string>>;

const plaintext = (writer: string, key: string) => `${key} by ${writer}: äöü € 🔑`;

/** The secret of a target's row. */
export const secretOf = (writer: string): string => `secret of ${writer} äöü 🔑`;

/** Encrypts for the others; its note is what {@linkcode readsInterop} of every target gets. */
export function writesInterop(writer: string): BoundCase {
  return {
    name: "interop: writes for the others",
    async run() {
      const values: Record<string, string> = {
        row: await keys["scrypt"]!().encrypt(secretOf(writer)),
      };
      for (const [name, build] of Object.entries(keys)) {
        values[name] = await build().encrypt(plaintext(writer, name));
      }
      return JSON.stringify(values);
    },
  };
}

/** Decrypts what all wrote, and compares it. */
export function readsInterop(all: Readonly<Record<string, InteropValues>>): BoundCase {
  return {
    name: "interop: reads what all wrote",
    async run() {
      let count = 0;
      for (const [name, build] of Object.entries(keys)) {
        const key = build();
        for (const [writer, values] of Object.entries(all)) {
          // The original package knows scrypt alone.
          if (values[name] === undefined) continue;
          assertEquals(await key.decrypt(values[name]), plaintext(writer, name));
          count++;
        }
      }
      assert(count >= 3);
    },
  };
}
