/** Recognises Drizzle's databases, and decorated ones. */

import { is } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import type { EncryptableDatabase } from "../../interfaces.ts";
import { copyWith } from "./copy_with.ts";

/**
 * Key of the original in a decorated object. A registered symbol, as copies of this package share
 * it.
 */
export const DECORATED = Symbol.for("mitthooks-drizzle:decorated");

type Decorated<T> = T & { readonly [DECORATED]?: T };

/** Whether a database, a session or a dialect is decorated. */
export function isDecorated(part: object): boolean {
  return DECORATED in part;
}

interface Parts {
  readonly dialect: object;
  readonly session: { readonly dialect: object };
}

const undecoratedViews = new WeakMap<object, object>();

/**
 * The original of a decorated database, or the given one itself.
 *
 * For this package's own statements, which contain ciphertext.
 */
export function undecorated<TDatabase extends object>(db: TDatabase): TDatabase {
  const given = within(primaryOf(db));
  let view = undecoratedViews.get(given) as TDatabase | undefined;
  if (!view) {
    // A transaction of a decorated database has decorated parts.
    const { dialect, session } = given as unknown as Parts;
    const parts = { dialect: within(dialect), session: within(session) };
    if (parts.session.dialect !== parts.dialect) {
      parts.session = Object.create(parts.session, { dialect: { value: parts.dialect } });
    }
    view = parts.dialect === dialect && parts.session === session ? given : copyWith(given, parts);
    undecoratedViews.set(given, view);
  }
  return view;
}

function within<T extends object>(part: T): T {
  return (part as Decorated<T>)[DECORATED] ?? part;
}

/** The primary of a database with replicas, because replicas lag; any other database itself. */
export function primaryOf<TDatabase extends object>(db: TDatabase): TDatabase {
  return (db as { readonly $primary?: TDatabase }).$primary ?? db;
}

/**
 * The database from before `withEncryption`, and the primary if it has replicas. It reads and
 * writes stored values as they are, and may compare them.
 *
 * @throws {TypeError} When db is not a PostgreSQL database of Drizzle.
 */
export function undecoratedPrimary(attempt: string, db: EncryptableDatabase): EncryptableDatabase {
  const { dialect } = primaryOf(db ?? {}) as { dialect?: unknown };
  if (!is(dialect, PgDialect)) throw noPostgres(`${attempt}: db`, dialect);
  return undecorated(db);
}

/** Whether an object of Drizzle is a database or a transaction, and not a builder. */
export function isDatabase(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const { transaction, dialect } = value as { transaction?: unknown; dialect?: unknown };
  return typeof transaction === "function" && is(dialect, PgDialect);
}

/** The error for anything but a PostgreSQL database of Drizzle. */
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
