/**
 * The key of this library's contestants.
 *
 * @module
 */
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  type EncryptedTextColumn,
  type EncryptionKey,
} from "@wais/mitthooks-drizzle/pg/encryption";
import { PASSWORD, SALT } from "./data.ts";

/** Not derived yet. */
export const key: EncryptionKey = buildEncryptionKey(PASSWORD, SALT);

/** Makes columns. */
export const encryptedText: EncryptedTextColumn = buildEncryptedTextColumn(key);
