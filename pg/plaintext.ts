/** Migrates a plaintext column to an encrypted one. */

import { DecryptionError } from "../errors.ts";
import type { EncryptionKey } from "./interfaces.ts";
import { hasStoredForm } from "./internal/columns/stored_form.ts";

/**
 * Reads values that are not encrypted, while a plaintext column is migrated to an encrypted one.
 * Use it in `alsoReads`; it never encrypts. Exported by `@wais/mitthooks-drizzle/pg/encryption`.
 *
 * **Until you remove it, the column does not authenticate its values: anybody who can write to the
 * database can plant values that the application accepts.** Remove it as soon as `keyStatus` counts
 * no value under another key.
 *
 * 1. Deploy the encrypted column with `alsoReads: [plaintext()]`. New values are encrypted, old
 *    ones remain readable. Older processes cannot read the new values, so stop them first.
 * 2. Run `reencrypt`, which encrypts the old values while the application is running.
 * 3. Run `keyStatus`, which counts the remaining values as `otherKey`. At 0, remove `plaintext()`.
 *
 * It refuses values in the form of a ciphertext, `base64(iv):base64(ciphertext):base64(tag)` with
 * an IV of 12 bytes and a tag of 16 bytes. So it never returns a ciphertext, and a plaintext in
 * that form counts as unreadable.
 *
 * @returns The key. Its `encrypt` rejects with a `TypeError`.
 *
 * @example Encrypt an existing column
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
        "Encrypting a value: plaintext() only reads, pass it to a key as alsoReads: [plaintext()]",
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
