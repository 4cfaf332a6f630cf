/**
 * # Encryption
 *
 * Encryption keys, and the column type for encrypted text.
 *
 * scrypt derives a key from a master password and a salt. Values are encrypted with it by
 * AES-256-GCM and stored as `base64(iv):base64(ciphertext):base64(tag)`, the form of the npm
 * package `@weissaufschwarz/mitthooks-drizzle`. Use the column through a database wrapped by
 * `withEncryption` from `@wais/mitthooks-drizzle/pg`; without it, writes and reads are refused.
 *
 * @example An encrypted column in your own table
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { pgTable, serial } from "drizzle-orm/pg-core";
 * import { withEncryption } from "@wais/mitthooks-drizzle/pg";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 *
 * const encryptedText = buildEncryptedTextColumn(buildEncryptionKey("master password", "salt"));
 * const notes = pgTable("note", { id: serial().primaryKey(), body: encryptedText("body").notNull() });
 *
 * await using client = await PGlite.create();
 * await client.exec("CREATE TABLE note (id serial PRIMARY KEY, body text NOT NULL)");
 * const db = withEncryption(drizzle(client));
 *
 * await db.insert(notes).values({ body: "for my eyes only" });
 * assertEquals(await db.select().from(notes), [{ id: 1, body: "for my eyes only" }]);
 * ```
 *
 * @module
 */

export {
  buildEncryptedTextColumn,
  type EncryptedTextColumn,
  type EncryptedTextColumnBuilder,
} from "./encrypted_text_column.ts";
export {
  buildEncryptionKey,
  type BuildEncryptionKeyOptions,
  importEncryptionKey,
  type ImportEncryptionKeyOptions,
  type KeyDerivation,
} from "./encryption_key.ts";
export type { EncryptionKey } from "./interfaces.ts";
export { plaintext } from "./plaintext.ts";
