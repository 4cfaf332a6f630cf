/** Makes sure that something is a database of Drizzle. */

import type { EncryptableDatabase } from "../session.ts";

/**
 * The database itself; of one with replicas the primary, because replicas lag behind.
 *
 * @throws {TypeError} It is none.
 */
export function assertDatabase(attempt: string, db: EncryptableDatabase): EncryptableDatabase {
  const primary = (db as { $primary?: EncryptableDatabase } | undefined)?.$primary ?? db;
  if (typeof primary?.select !== "function" || typeof primary.update !== "function") {
    throw new TypeError(`${attempt}: db is not a PostgreSQL database of Drizzle`);
  }
  return primary;
}
