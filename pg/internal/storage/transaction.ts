/**
 * The storage's transactions. With every driver, a transaction is new when it begins, still the
 * same when a handler returns, and over when it ends.
 */

import { DrizzleQueryError, entityKind, type SQL, sql } from "drizzle-orm";
import { StorageError, type StorageOperation } from "../../../errors.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import { Access } from "./access.ts";
import { handsOnByItself, isOfConnection, onOwnClient, poolOf } from "./client.ts";
import { runStatement, sqlState, toStorageError } from "./run_statement.ts";
import { Statement } from "./statement.ts";
import { GRACE_MS, type Terms } from "./time_limit.ts";

/** Sessions of drivers that send each statement separately. */
const WITHOUT_TRANSACTIONS: ReadonlySet<unknown> = new Set([
  "NeonHttpSession",
  "XataHttpSession",
  "PgRemoteSession",
]);

/** Messages with which such drivers refuse transactions. */
const NO_TRANSACTIONS = /no (?:interactive )?transactions support|transactions are not supported/i;

/**
 * Setting it fails if an open transaction has already run a query (PostgreSQL manual, SET
 * TRANSACTION). It is the default, so it has no other effect.
 */
const FRESH = { deferrable: false };

/** The SQLSTATE of that refusal: active_sql_transaction. */
const ACTIVE_TRANSACTION = "25001";

/**
 * A setting local to the transaction: reading it back shows whether the transaction is still the
 * same.
 */
const MARK = sql.raw("'mitthooks.transaction'");

/** Whether a database is known to have no transactions. */
export function lacksTransactions(db: EncryptableDatabase): boolean {
  const { session } = db as unknown as { session: { constructor: { [entityKind]?: string } } };
  return WITHOUT_TRANSACTIONS.has(session.constructor[entityKind]);
}

/** Thrown when the driver has no transactions. */
export function noTransactions(options?: ErrorOptions): TypeError {
  return new TypeError(
    "Creating a storage with handlers: the database's driver has no transactions",
    options,
  );
}

/** Whether a database is a transaction: only Drizzle's transactions have `rollback`. */
export function isTransaction(db: EncryptableDatabase): boolean {
  return typeof (db as { rollback?: unknown }).rollback === "function";
}

/** A transaction in progress. */
export interface OwnTransaction {
  /** For the statements of this package. */
  readonly db: EncryptableDatabase;
  /** Whether the application has ended it. */
  hasEnded: boolean;
  /**
   * Passes the transaction to the application until its function has ended.
   *
   * @throws {TypeError} When statements are still in flight as the function returns.
   * @throws {StorageError} When the function ended the transaction, or one of its statements
   *   failed.
   */
  lend(use: (tx: EncryptableDatabase) => unknown): Promise<void>;
}

/** The part of a database that is used here. */
interface Transactional {
  transaction<T>(run: (tx: EncryptableDatabase) => Promise<T>, config?: object): Promise<T>;
}

/** The transactions of one database, or the savepoints of one transaction. */
export class Transactions {
  readonly #db: EncryptableDatabase;
  readonly #begin: Statement;
  readonly #look: Statement;

  /** @param db The undecorated database or transaction. */
  constructor(db: EncryptableDatabase) {
    this.#db = db;
    // Changes no settings of the caller's transaction.
    const begin = isTransaction(db) ? sql`select ${setMark()}, 'true' as "fresh"` : sql`select
          ${limitSetting("lock_timeout", "ms")},
          ${limitSetting("statement_timeout", "ms")},
          ${limitSetting("idle_in_transaction_session_timeout", "idleMs")},
          ${setMark()},
          (txid_current_if_assigned() is null)::text as "fresh"`;
    this.#begin = new Statement(db, begin);
    this.#look = new Statement(db, sql`select current_setting(${MARK}, true) as "mark"`);
  }

  /**
   * Runs a function in a transaction, or in a savepoint of the caller's. Passes its errors on. At
   * the time limit everything is rolled back, and later statements of the function are not sent.
   *
   * @throws {StorageError} When the transaction cannot begin or commit.
   * @throws {DeadlineExceededError} When the deadline passes first.
   * @throws {TypeError} When the driver has no transactions.
   */
  async run<T>(terms: Terms, work: (transaction: OwnTransaction) => Promise<T>): Promise<T> {
    const pool = isTransaction(this.#db) ? undefined : poolOf(this.#db);
    if (pool === undefined) return await this.#runOn(this.#db, terms, work);
    return await onOwnClient(
      pool,
      this.#db,
      terms,
      (db) => this.#runOn(db, terms, work, FRESH),
    );
  }

  async #runOn<T>(
    db: EncryptableDatabase,
    terms: Terms,
    work: (transaction: OwnTransaction) => Promise<T>,
    config?: object,
  ): Promise<T> {
    const { operation, attempt, limit } = terms;
    let failed: { readonly error: unknown } | undefined;
    let begun = false;
    let isOver = false;
    let leave: (error: unknown) => void;
    const left = new Promise<never>((_, reject) => leave = reject);
    const access = new Access();
    try {
      const running = (db as unknown as Transactional).transaction(async (tx) => {
        begun = true;
        let own: OwnTransaction | undefined;
        try {
          const working = this.#begun(access.lend(tx), terms).then((begun) => work(own = begun));
          return await (isTransaction(this.#db) ? working : limit.wait(attempt, working));
        } catch (error) {
          failed = { error };
          // Without an answer to a statement, the connection's state is unknown. The server's
          // limits end an open transaction.
          const isLost = own?.hasEnded || isOfConnection(error) ||
            limit.remainingMs() === 0 && access.isBusy;
          if (isLost && handsOnByItself(db)) {
            isOver = true;
            leave(error);
          }
          throw error;
        } finally {
          access.end();
          // Never settles: otherwise the driver would send a COMMIT or a ROLLBACK in any case.
          if (isOver) await new Promise<never>(() => {});
        }
      }, config);
      return await Promise.race([running, left]);
    } catch (error) {
      if (failed) throw failed.error;
      if (!begun && error instanceof Error && NO_TRANSACTIONS.test(error.message)) {
        throw noTransactions({ cause: error });
      }
      const cause = error instanceof DrizzleQueryError ? error.cause : error;
      if (!begun && sqlState(cause) === ACTIVE_TRANSACTION) throw notFresh(operation, cause);
      throw toStorageError(operation, cause);
    } finally {
      // Some drivers end a transaction when its connection breaks, while the function still runs.
      isOver = true;
      access.end();
    }
  }

  /** Sets the limits and checks that the transaction is new. */
  async #begun(db: EncryptableDatabase, terms: Terms): Promise<OwnTransaction> {
    const { operation, limit } = terms;
    const mark = crypto.randomUUID();
    const ms = Math.max(1, Math.ceil(limit.remainingMs()));
    const [row] = await runStatement(
      operation,
      () => this.#begin.run(db, { mark, ms, idleMs: ms + GRACE_MS }),
    );
    if (row?.["fresh"] !== "true") throw notFresh(operation);
    const own: OwnTransaction = {
      db,
      hasEnded: false,
      lend: async (use) => {
        const access = new Access(refuseEnd);
        try {
          await use(access.lend(db));
        } finally {
          access.end();
        }
        if (access.isBusy) {
          throw new TypeError(
            "Running a handler: it returned before its statements had finished, await all of them",
          );
        }
        // Fails if an earlier statement failed; otherwise the aborted transaction would seem to
        // commit.
        const [row] = await runStatement(operation, () => this.#look.run(db, {}));
        if (row?.["mark"] === mark) return;
        own.hasEnded = true;
        throw new StorageError(
          operation,
          undefined,
          "a handler ended the transaction that it runs in",
        );
      },
    };
    return own;
  }
}

/** Strings, names and comments, which may contain or precede something like a statement. */
const NO_STATEMENTS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[^]*?\$\1\$|--[^\n]*|\/\*[^]*?\*\//g;

/** The statements that end a transaction. Rolling back to a savepoint does not. */
const ENDING =
  /(?:^|;)\s*(?:commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b/i;

/**
 * Refuses statements that end a transaction, after which the driver may reuse the connection at
 * once. Whether the transaction has ended in another way is checked later at the database.
 */
function refuseEnd(statement: string): void {
  if (ENDING.test(statement.replaceAll(NO_STATEMENTS, " "))) {
    throw new TypeError("Using the transaction of a handler: it cannot be ended there");
  }
}

function notFresh(operation: StorageOperation, cause?: unknown): StorageError {
  return new StorageError(
    operation,
    cause,
    "the connection already had an open transaction",
  );
}

function setMark(): SQL {
  return sql`set_config(${MARK}, ${sql.placeholder("mark")}, true)`;
}

/** Sets a limit for the transaction unless a shorter one is set. 0 means no limit. */
function limitSetting(name: string, placeholder: string): SQL {
  const setting = sql.raw(`'${name}'`);
  const current = sql`(extract(epoch from current_setting(${setting})::interval) * 1000)::int`;
  return sql`set_config(${setting}, least(nullif(${current}, 0), ${
    sql.placeholder(placeholder)
  }::int)::text, true)`;
}
