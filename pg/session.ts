/** `withEncryption`: a Drizzle database whose session encrypts before and decrypts after each query. */

import { fillPlaceholders, type SQLWrapper } from "drizzle-orm";
import { assertNoComparedPlaceholder } from "./internal/compared_placeholders.ts";
import { decryptResult } from "./internal/decrypt_result.ts";
import { encryptParameters } from "./internal/encrypt_parameters.ts";
import { sealedValuesCreated } from "./internal/sealed_value.ts";

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

interface Query {
  readonly sql: string;
  readonly params: unknown[];
}

interface PreparedQuery {
  execute(placeholderValues?: Record<string, unknown>, ...rest: unknown[]): Promise<unknown>;
  getQuery(): Query;
  // Both are set from outside after the query was prepared.
  joinsNotNullableMap?: unknown;
  authToken?: unknown;
}

interface Batchable {
  _prepare(): PreparedQuery;
}

interface Dialect {
  sqlToQuery(query: SQLWrapper, ...rest: unknown[]): Query;
  _sqlToQuery?(query: SQLWrapper, ...rest: unknown[]): Query;
}

interface Session {
  dialect: Dialect;
  prepareQuery(query: Query, ...rest: unknown[]): PreparedQuery;
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
  transaction(run: (tx: Database) => unknown, ...rest: unknown[]): Promise<unknown>;
}

/** Each wrapped database, session and dialect by what it wraps, and each wrapped one by itself. */
const wrapped = new WeakMap<object, object>();

/** What each wrapped database, session and dialect wraps. */
const originals = new WeakMap<object, object>();

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
 * Queries of the wrapped database reject with
 * - a `TypeError`, before anything is sent, if an encrypted column is compared with a value,
 * - a `DecryptionError` whose `path` names the place in the result, if a value cannot be decrypted; none of
 *   the result is handed over then.
 *
 * @param db A PostgreSQL database or transaction of Drizzle, of any driver.
 * @returns The database with the same type.
 * @throws {TypeError} `db` is no PostgreSQL database of Drizzle, or it was made by `withReplicas`.
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

/**
 * The database that `withEncryption` wrapped, or the given one: it sends parameters as they are, ciphertext included.
 */
export function undecorated<TDatabase extends object>(db: TDatabase): TDatabase {
  return (originals.get(db) ?? db) as TDatabase;
}

function assertDatabase(db: unknown): Database {
  const candidate = db as Partial<Database> & { $replicas?: unknown } | null | undefined;
  if (candidate?.$replicas !== undefined) {
    throw new TypeError(
      "Wrapping a database with withEncryption: it has replicas, wrap each of them instead: " +
        "withReplicas(withEncryption(primary), [withEncryption(replica)])",
    );
  }
  if (typeof candidate?.session?.prepareQuery !== "function") {
    throw new TypeError(
      "Wrapping a database with withEncryption: it is not a PostgreSQL database of Drizzle",
    );
  }
  return candidate as Database;
}

/** A copy of an object with the same prototype, so that Drizzle's own type checks hold for it. */
function copyWith<T extends object>(original: T, changes: Partial<T>): T {
  const copy = Object.create(
    Object.getPrototypeOf(original),
    Object.getOwnPropertyDescriptors(original),
  );
  return Object.assign(copy, changes);
}

function remember<T extends object>(original: T, wrap: (original: T) => T): T {
  let result = wrapped.get(original) as T | undefined;
  if (!result) {
    result = wrap(original);
    wrapped.set(original, result).set(result, result);
    originals.set(result, original);
  }
  return result;
}

function wrapDatabase(db: Database): Database {
  return remember(db, () => {
    const session = wrapSession(db.session);
    const dialect = wrapDialect(db.dialect);
    const changes: Partial<Database> = {
      dialect,
      session,
      _: { ...db._, session },
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
    return copyWith(db, changes);
  });
}

function wrapSession(session: Session): Session {
  return remember(session, () => {
    // Everything else is inherited and calls these.
    const wrapper = Object.create(session) as Session;
    wrapper.dialect = wrapDialect(session.dialect);
    wrapper.prepareQuery = (query, ...rest) => wrapPrepared(session, query, rest);
    if (session.batch) wrapper.batch = (queries) => runBatch(session, queries);
    return wrapper;
  });
}

/** The dialect sees a query for the last time while its columns can be told from its text. */
function wrapDialect(dialect: Dialect): Dialect {
  return remember(dialect, () => {
    const wrapper = Object.create(dialect) as Dialect;
    for (const name of ["sqlToQuery", "_sqlToQuery"] as const) {
      if (!dialect[name]) continue;
      wrapper[name] = (query, ...rest) => {
        assertNoComparedPlaceholder(query);
        return dialect[name]!(query, ...rest);
      };
    }
    return wrapper;
  });
}

function wrapPrepared(session: Session, query: Query, rest: unknown[]): PreparedQuery {
  const prepared = session.prepareQuery(query, ...rest);
  const wrapper = Object.create(prepared) as PreparedQuery;
  // The columns to map to, or the function that maps.
  const mapped = rest.some((argument) => Array.isArray(argument) || typeof argument === "function");
  wrapper.execute = async (placeholderValues = {}, ...others) => {
    const createdBefore = sealedValuesCreated();
    const params = fillPlaceholders(query.params, placeholderValues);
    const encrypted = await encryptParameters(query.sql, params);
    let result: unknown;
    if (encrypted) {
      // A query of its own for every execution: concurrent ones must not share parameters.
      const filled = session.prepareQuery({ ...query, params: encrypted }, ...rest);
      if (wrapper.joinsNotNullableMap !== undefined) {
        filled.joinsNotNullableMap = wrapper.joinsNotNullableMap;
      }
      if (wrapper.authToken !== undefined) filled.authToken = wrapper.authToken;
      result = await filled.execute({}, ...others);
    } else {
      result = await prepared.execute.call(wrapper, placeholderValues, ...others);
    }
    return mapped ? await decryptResult(result, sealedValuesCreated() - createdBefore) : result;
  };
  return wrapper;
}

/** The batch of neon-http reads each query's statement and maps its result itself. */
async function runBatch(session: Session, queries: readonly Batchable[]): Promise<unknown[]> {
  const createdBefore = sealedValuesCreated();
  const encrypted = await Promise.all(queries.map(async (query) => {
    const prepared = query._prepare();
    const built = prepared.getQuery();
    const params = await encryptParameters(built.sql, built.params) ?? built.params;
    const filled = Object.create(prepared) as PreparedQuery;
    filled.getQuery = () => ({ ...built, params });
    return { _prepare: () => filled };
  }));
  const results = await session.batch!(encrypted);
  return await decryptResult(results, sealedValuesCreated() - createdBefore);
}
