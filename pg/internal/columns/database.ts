/** What a database of Drizzle is, and what was decorated. */

import { is } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import type { EncryptableDatabase } from "../../session.ts";

/** Decorated databases, by themselves, and what they decorate. */
const originals = new WeakMap<object, object>();

/** Notes what a database decorates. */
export function rememberUndecorated<T extends object>(decorated: T, original: T): T {
  originals.set(decorated, original);
  return decorated;
}

/**
 * The database that a decorated one decorates, or the given one itself.
 *
 * For this package's own statements, which hold ciphertext.
 */
export function undecorated<TDatabase extends object>(db: TDatabase): TDatabase {
  return (originals.get(db) ?? db) as TDatabase;
}

/**
 * The database as it was before `withEncryption` decorated it; of one with replicas the primary, because replicas
 * lag behind. What is stored is neither encrypted nor decrypted by it, and may be compared.
 *
 * @throws {TypeError} It is none.
 */
export function undecoratedPrimary(attempt: string, db: EncryptableDatabase): EncryptableDatabase {
  const primary = (db as { $primary?: EncryptableDatabase } | undefined)?.$primary ?? db;
  const { dialect } = (primary ?? {}) as { dialect?: unknown };
  if (!is(dialect, PgDialect)) throw noPostgres(`${attempt}: db`, dialect);
  return undecorated(primary);
}

/** The error for what is no PostgreSQL database of Drizzle. */
export function noPostgres(subject: string, dialect: unknown): TypeError {
  const kind = typeof dialect === "object" && dialect !== null ? kindOf(dialect) : "";
  const other = /^(MySql|SQLite|SingleStore|MsSql|Cockroach)/i.exec(kind)?.[1];
  return new TypeError(
    `${subject} is not a PostgreSQL database of Drizzle${other ? ` but one for ${other}` : ""}`,
  );
}

/** Drizzle's own name for the class of an object. */
export function kindOf(value: object): string {
  const { constructor } = value as { constructor?: Record<symbol, unknown> & { name: string } };
  return String(constructor?.[Symbol.for("drizzle:entityKind")] ?? constructor?.name);
}
