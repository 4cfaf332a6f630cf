/**
 * `withEncryption`: a Drizzle database whose session encrypts before and decrypts after each query.
 */

import { is } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import { isDecorated, kindOf, noPostgres } from "./internal/columns/database.ts";
import { type Database, decorate, decorationOf } from "./internal/columns/decorated_database.ts";
import { assertItself } from "./internal/columns/itself.ts";
import type { EncryptableDatabase } from "./interfaces.ts";

/**
 * Makes a Drizzle database read and write encrypted columns. Exported by
 * `@wais/mitthooks-drizzle/pg`.
 *
 * The result is the same database with the same client; `db` itself is unchanged. Values of
 * encrypted columns are encrypted before a query is sent, and decrypted before its result is
 * returned. Everything else is Drizzle's: queries of every kind, transactions, prepared statements,
 * batches. Loggers, tracers and caches see only ciphertext. Wrapping twice has no further effect.
 * Transactions of the result are wrapped, and so is every other database that its methods create.
 *
 * Results of `db.execute` have no columns of Drizzle, so they stay as the driver returned them. For
 * replicas, wrap each database: `withReplicas(withEncryption(primary), [withEncryption(replica)])`.
 *
 * One rule applies to encrypted columns: they can be written, selected as themselves, tested for
 * `is null`, and counted. A query that does anything else with them (compare, sort, group, pass
 * them to a function) is refused with a `TypeError` before anything is sent. Raw statements for
 * `db.execute` see ciphertext: use `key.encrypt` and `key.decrypt`.
 *
 * A value that cannot be decrypted rejects the whole query with a `DecryptionError`, whose `table`,
 * `column` and `path` locate the value.
 *
 * @param db A Drizzle PostgreSQL database or transaction of any driver.
 * @returns The wrapped database, of the same type.
 * @throws {TypeError} When `db` is not a Drizzle PostgreSQL database, has replicas that are not
 *   wrapped, is a Proxy (which creates a database on first use, or redirects to the current
 *   transaction), or has an unknown kind of session. In use: when a Proxy redirects it to another
 *   database.
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

/** The methods that a dialect needs to be decorated. */
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

/** Accepts a database whose replicas are all decorated. */
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
  // These run queries or map rows in ways that a decoration cannot reach.
  const { shapeGenerator } = dialect as { shapeGenerator?: unknown };
  const kind = kindOf(session);
  if (missing.length > 0 || shapeGenerator !== undefined || /Effect|Prisma/.test(kind)) {
    throw new TypeError(
      `${ATTEMPT}: its session, ${kind}, is not supported` +
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
