/** The way from a filled plaintext column to an encrypted one. */

import { DecryptionError } from "../errors.ts";
import type { EncryptionKey } from "./interfaces.ts";
import { hasStoredForm } from "./internal/columns/stored_form.ts";

/**
 * Reads values that are not encrypted as what they are, from `@wais/mitthooks-drizzle/pg/encryption`: for the
 * time in which a column that holds plaintext becomes an encrypted one. It belongs into `alsoReads`, and it
 * never writes.
 *
 * **As long as it is there, the column does not authenticate what it holds: whoever can write to the database
 * can plant values, and the application takes them for its own.** Take it out as soon as `keyStatus` counts
 * no value under another key.
 *
 * 1. Everywhere: the column becomes an encrypted one, with `alsoReads: [plaintext()]`. New values are
 *    encrypted, old ones are still read. Processes from before cannot read the new ones, so stop them first.
 * 2. `reencrypt` encrypts the old values, while the application runs.
 * 3. `keyStatus` counts what is left as `otherKey`. At 0, take `plaintext()` out.
 *
 * Values that have the stored form of an encrypted value, `base64(iv):base64(ciphertext):base64(tag)` with an
 * IV of 12 and a tag of 16 bytes, are not its own: it never hands out a ciphertext, and a plaintext that looks
 * like one is counted as unreadable.
 *
 * @returns The key. Its `encrypt` rejects with a `TypeError`.
 *
 * @example Encrypt a column that is filled
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { pgTable, text } from "drizzle-orm/pg-core";
 * import {
 *   buildEncryptedTextColumn,
 *   buildEncryptionKey,
 *   plaintext,
 * } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { keyStatus, reencrypt } from "@wais/mitthooks-drizzle/pg";
 *
 * await using client = await PGlite.create();
 * await client.exec("CREATE TABLE account (id text PRIMARY KEY, token text)");
 * await client.exec("INSERT INTO account VALUES ('ada', 't0k3n')");
 *
 * const key = buildEncryptionKey("master password", "salt", { alsoReads: [plaintext()] });
 * const token = buildEncryptedTextColumn(key);
 * const accounts = pgTable("account", { id: text().primaryKey(), token: token() });
 *
 * const db = drizzle(client);
 * assertEquals((await keyStatus(db, accounts)).token?.otherKey, 1);
 * await reencrypt(db, accounts);
 * assertEquals((await keyStatus(db, accounts)).token?.otherKey, 0);
 * ```
 */
export function plaintext(): EncryptionKey {
  return new PlaintextReader();
}

class PlaintextReader implements EncryptionKey {
  encrypt(): Promise<string> {
    return Promise.reject(
      new TypeError(
        "Encrypting a value: plaintext() only reads, give it to a key as alsoReads: [plaintext()]",
      ),
    );
  }

  decrypt(stored: string): Promise<string> {
    return hasStoredForm(stored) ? Promise.reject(new DecryptionError()) : Promise.resolve(stored);
  }

  isCurrent(): Promise<boolean> {
    return Promise.resolve(false);
  }
}
