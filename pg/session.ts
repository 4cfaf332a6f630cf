/** `withEncryption`: a Drizzle database whose session encrypts before and decrypts after each query. */

import { is, type SQL } from "drizzle-orm";
import { PgDialect, QueryBuilder } from "drizzle-orm/pg-core";
import { copyWith } from "./internal/columns/copy_with.ts";
import { kindOf, noPostgres, rememberUndecorated } from "./internal/columns/database.ts";
import {
  allowRaw,
  type Dialect,
  DIALECT_METHODS,
  encryptingDialect,
  ownStatement,
} from "./internal/columns/encrypting_dialect.ts";
import {
  type Batchable,
  batchEncrypting,
  prepareEncrypting,
  type Preparing,
} from "./internal/columns/prepared_query.ts";

/**
 * The part of a Drizzle PostgreSQL database that this package relies on. Every driver's database has it,
 * in each of the supported lines of Drizzle, and so does a transaction.
 */
export interface EncryptableDatabase {
  /** Starts a SELECT. */
  select(...args: never[]): unknown;
  /** Starts an INSERT. */
  insert(...args: never[]): unknown;
  /** Starts an UPDATE. */
  update(...args: never[]): unknown;
  /** Starts a DELETE. */
  delete(...args: never[]): unknown;
  /** Runs a statement as it is. */
  execute(...args: never[]): unknown;
  /** Runs a function in a transaction. */
  transaction(...args: never[]): unknown;
}

// What Drizzle's classes have in common across drivers and versions, under the names they have there. None
// of it is in Drizzle's public types.

interface Session extends Preparing {
  dialect: Dialect;
  batch?(queries: readonly Batchable[]): Promise<unknown[]>;
}

interface Builder {
  dialect: Dialect;
  session: Session;
}

interface Database {
  dialect: Dialect;
  session: Session;
  _: { session: Session };
  query?: Record<string, Builder>;
  _query?: Record<string, Builder>;
  execute(query: unknown): unknown;
  $with(...args: unknown[]): { as(query: unknown): unknown };
  transaction(run: (tx: Database) => unknown, ...rest: unknown[]): Promise<unknown>;
}

/** Each wrapped database, session and dialect by what it wraps, and each wrapped one by itself. */
const wrapped = new WeakMap<object, object>();

/**
 * Makes a Drizzle database read and write encrypted columns, from `@wais/mitthooks-drizzle/pg`.
 *
 * The result is the same database with the same client, the given one stays as it is. Values of encrypted
 * columns are encrypted before a query is sent, and decrypted before its result is handed over; all else
 * is Drizzle's: queries of every kind, transactions, prepared statements, batches. Loggers, tracers and
 * caches see ciphertext only. Wrapping twice is wrapping once.
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
 * @throws {TypeError} `db` is no PostgreSQL database of Drizzle, it was made by `withReplicas`, or its session
 * is of a kind that is not known here.
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
  return wrapDatabase(assertDatabase(db)) as unknown as TDatabase;
}

const ATTEMPT = "Wrapping a database with withEncryption";

function assertDatabase(db: unknown): Database {
  const candidate = db as Partial<Database> & { $replicas?: unknown } | null | undefined;
  if (candidate?.$replicas !== undefined) {
    throw new TypeError(
      `${ATTEMPT}: it has replicas, wrap each of them instead: ` +
        "withReplicas(withEncryption(primary), [withEncryption(replica)])",
    );
  }
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
  return candidate as Database;
}

function remember<T extends object>(original: T, wrap: (original: T) => T): T {
  let result = wrapped.get(original) as T | undefined;
  if (!result) {
    result = wrap(original);
    wrapped.set(original, result).set(result, result);
  }
  return result;
}

function wrapDatabase(db: Database): Database {
  return remember(db, () => {
    const session = wrapSession(db.session);
    const dialect = remember(db.dialect, encryptingDialect);
    const changes: Partial<Database> = {
      dialect,
      session,
      _: { ...db._, session },
      execute(query) {
        const statement = (query as { getSQL?(): SQL }).getSQL?.();
        if (statement) allowRaw(statement);
        return db.execute.call(this, statement ?? query);
      },
      $with: (...args) => {
        const { as } = (new QueryBuilder(dialect as never) as unknown as Database).$with(...args);
        return { as: (query) => as(ownStatement(dialect, query)) };
      },
      // A transaction gets a session of its own, and a nested one does not ask the outer one's for it.
      transaction: (run, ...rest) => db.transaction((tx) => run(wrapDatabase(tx)), ...rest),
    };
    // The builders of relational queries keep references to both.
    for (const name of ["query", "_query"] as const) {
      if (!db[name]) continue;
      changes[name] = Object.fromEntries(
        Object.entries(db[name]).map((
          [table, builder],
        ) => [table, copyWith(builder, { dialect, session })]),
      );
    }
    const result = copyWith(db, changes);
    return rememberUndecorated(result, db);
  });
}

function wrapSession(session: Session): Session {
  return remember(session, () => {
    // Everything else is inherited and calls these.
    const wrapper = Object.create(session) as Session;
    wrapper.dialect = remember(session.dialect, encryptingDialect);
    wrapper.prepareQuery = (query, ...rest) => prepareEncrypting(session, query, rest);
    if (session.batch) {
      wrapper.batch = (queries) => batchEncrypting((filled) => session.batch!(filled), queries);
    }
    return wrapper;
  });
}
