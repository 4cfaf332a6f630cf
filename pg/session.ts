/** `withEncryption`: a Drizzle database whose session encrypts before and decrypts after each query. */

import { is } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import { isDecorated, kindOf, noPostgres } from "./internal/columns/database.ts";
import { type Database, decorate, decorationOf } from "./internal/columns/decorated_database.ts";
import { assertItself } from "./internal/columns/itself.ts";
import type { EncryptableDatabase } from "./interfaces.ts";

/**
 * Makes a Drizzle database read and write encrypted columns, from `@wais/mitthooks-drizzle/pg`.
 *
 * The result is the same database with the same client, the given one stays as it is. Values of encrypted
 * columns are encrypted before a query is sent, and decrypted before its result is handed over; all else
 * is Drizzle's: queries of every kind, transactions, prepared statements, batches. Loggers, tracers and
 * caches see ciphertext only. Wrapping twice is wrapping once. Transactions of the result are wrapped, and so
 * is every other database that its methods make.
 *
 * Results of `db.execute` have no columns that Drizzle knows of, so they stay as the driver returned them.
 * For replicas, wrap each database: `withReplicas(withEncryption(primary), [withEncryption(replica)])`.
 *
 * One rule holds for encrypted columns: a value of them can be stored, they can be selected as themselves, be
 * asked for `is null`, and be counted. A query that does anything else with them (compare, sort, group, hand
 * them to a function) is refused with a `TypeError` before anything is sent. In statements that the
 * application writes itself, for `db.execute`, it handles ciphertext itself, with `key.encrypt` and
 * `key.decrypt`.
 *
 * A value that cannot be decrypted rejects the query with a `DecryptionError` whose `table`, `column` and
 * `path` say where it stands; none of the result is handed over then.
 *
 * @param db A PostgreSQL database or transaction of Drizzle, of any driver.
 * @returns The database with the same type.
 * @throws {TypeError} `db` is no PostgreSQL database of Drizzle, it has replicas that are not wrapped, something
 * stands in front of it (a Proxy that makes it on first use, or leads to the current transaction), or its session
 * is of a kind that is not known here. While it is used: something in front of it leads to another database.
 *
 * @example Read a secret
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { pgTable, text } from "drizzle-orm/pg-core";
 * import { withEncryption } from "@wais/mitthooks-drizzle/pg";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 *
 * const encryptedText = buildEncryptedTextColumn(buildEncryptionKey("master password", "salt"));
 * const tokens = pgTable("token", { owner: text().notNull(), token: encryptedText() });
 *
 * await using client = await PGlite.create();
 * await client.exec("CREATE TABLE token (owner text NOT NULL, token text)");
 * const db = withEncryption(drizzle(client));
 *
 * const rows = await db.insert(tokens).values({ owner: "ada", token: "t0k3n" }).returning();
 * assertEquals(rows, [{ owner: "ada", token: "t0k3n" }]);
 * ```
 */
export function withEncryption<TDatabase extends EncryptableDatabase>(db: TDatabase): TDatabase {
  const found = replicatedOf(db) ?? decorationOf(db) ?? decorate(assertDatabase(db));
  return found as unknown as TDatabase;
}

/** The methods without which a dialect is none that can be decorated. */
const DIALECT_METHODS = [
  "sqlToQuery",
  "buildSelection",
  "buildSelectQuery",
  "buildSetOperationQuery",
  "buildWithCTE",
  "buildInsertQuery",
  "buildUpdateQuery",
  "buildUpdateSet",
  "buildDeleteQuery",
] as const;

const ATTEMPT = "Wrapping a database with withEncryption";

/** A database with replicas that are decorated. */
function replicatedOf(db: unknown): object | undefined {
  const { $primary, $replicas } = (db ?? {}) as Partial<Replicated>;
  if (!$primary || !$replicas) return undefined;
  if ([$primary, ...$replicas].every(isDecorated)) return db as object;
  throw new TypeError(
    `${ATTEMPT}: it has replicas, wrap each of them instead: ` +
      "withReplicas(withEncryption(primary), [withEncryption(replica)])",
  );
}

function assertDatabase(db: unknown): Database {
  const candidate = db as Partial<Database> | null | undefined;
  const { dialect, session } = candidate ?? {};
  if (!session || !is(dialect, PgDialect)) throw noPostgres(`${ATTEMPT}: it`, dialect);
  const missing = [
    ...DIALECT_METHODS.filter((method) => typeof dialect[method] !== "function"),
    ...["prepareQuery", "execute"].filter((method) =>
      typeof (session as unknown as Record<string, unknown>)[method] !== "function"
    ),
  ];
  // These map rows, or run queries, in a way that no decoration reaches, or map none at all.
  const { shapeGenerator } = dialect as { shapeGenerator?: unknown };
  const kind = kindOf(session);
  if (missing.length > 0 || shapeGenerator !== undefined || /Effect|Prisma/.test(kind)) {
    throw new TypeError(
      `${ATTEMPT}: its session, ${kind}, is of a kind that this version does not know` +
        (missing.length > 0 ? ` (it has no ${missing.join(", ")})` : "") +
        "; Drizzle 0.44, 0.45 and 1.0 from rc.5 on are supported",
    );
  }
  assertItself(ATTEMPT, candidate as Database);
  return candidate as Database;
}

/** What Drizzle's `withReplicas` adds. */
interface Replicated {
  readonly $primary: object;
  readonly $replicas: readonly object[];
}
