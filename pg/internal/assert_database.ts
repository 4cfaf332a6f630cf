/** Makes sure that something is a database of Drizzle. */

import { is } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import { describeKind, type EncryptableDatabase, undecorated } from "../session.ts";

/**
 * The database as it was before `withEncryption` wrapped it; of one with replicas the primary, because replicas
 * lag behind. What is stored is neither encrypted nor decrypted by it, and may be compared.
 *
 * @throws {TypeError} It is none.
 */
export function assertDatabase(attempt: string, db: EncryptableDatabase): EncryptableDatabase {
  const primary = (db as { $primary?: EncryptableDatabase } | undefined)?.$primary ?? db;
  const { dialect } = (primary ?? {}) as { dialect?: unknown };
  if (!is(dialect, PgDialect)) {
    throw new TypeError(
      `${attempt}: db is not a PostgreSQL database of Drizzle${describeKind(dialect)}`,
    );
  }
  return undecorated(primary);
}
