/**
 * The transactions of a storage: fresh when they begin, the same when a handler returns, and over when they end,
 * whatever the driver.
 */

import { DrizzleQueryError, entityKind, type SQL, sql } from "drizzle-orm";
import { StorageError, type StorageOperation } from "../../../errors.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import { Access } from "./access.ts";
import { handsOnByItself, isOfConnection, onOwnClient, poolOf } from "./client.ts";
import { runStatement, sqlState, toStorageError } from "./run_statement.ts";
import { Statement } from "./statement.ts";
import { GRACE_MS, type Terms } from "./time_limit.ts";

/** Sessions of Drizzle's drivers that send each statement by itself. */
const WITHOUT_TRANSACTIONS: ReadonlySet<unknown> = new Set([
  "NeonHttpSession",
  "XataHttpSession",
  "PgRemoteSession",
]);

/** How such drivers refuse a transaction. */
const NO_TRANSACTIONS = /no (?:interactive )?transactions support|transactions are not supported/i;

/**
 * Refuses to begin where a transaction is open that has run a query (PostgreSQL manual, SET TRANSACTION); transactions
 * are not deferrable without it, either.
 */
const FRESH = { deferrable: false };

/** The SQLSTATE of that refusal: active_sql_transaction. */
const ACTIVE_TRANSACTION = "25001";

/** A setting that ends with its transaction: with it, PostgreSQL tells whether the transaction is still the same. */
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

/** Whether a database is a transaction: all of Drizzle's have a method to roll back. */
export function isTransaction(db: EncryptableDatabase): boolean {
  return typeof (db as { rollback?: unknown }).rollback === "function";
}

/** A transaction that is under way. */
export interface OwnTransaction {
  /** For the statements of this package. */
  readonly db: EncryptableDatabase;
  /** Whether the application has ended it. */
  hasEnded: boolean;
  /**
   * Hands the transaction to the application, until its function has ended.
   *
   * @throws {TypeError} Statements are under way when the function returns.
   * @throws {StorageError} The function ended the transaction, or a statement failed in it.
   */
  lend(use: (tx: EncryptableDatabase) => unknown): Promise<void>;
}

/** The part of a database that this needs. */
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
    // Within a transaction of the caller's nothing of it is changed.
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
   * Runs a function in a transaction, or in a savepoint of the caller's. What it throws is thrown as it is. When the time
   * is up, all is rolled back, and statements of the function that come later are not sent.
   *
   * @throws {StorageError} The transaction could not be begun or committed.
   * @throws {DeadlineExceededError} The time was up first.
   * @throws {TypeError} The driver has no transactions.
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
          // Where a statement is not answered, nobody knows whose the connection is. The server's limits end what is open.
          const isLost = own?.hasEnded || isOfConnection(error) ||
            limit.remainingMs() === 0 && access.isBusy;
          if (isLost && handsOnByItself(db)) {
            isOver = true;
            leave(error);
          }
          throw error;
        } finally {
          access.end();
          // The driver would send a COMMIT or a ROLLBACK, whatever came of it.
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
      // A driver that gives a transaction up when its connection breaks does so while the function still runs.
      isOver = true;
      access.end();
    }
  }

  /** Sets the limits, and makes sure that the transaction is a new one. */
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
            "Running a handler: it returned while statements of it were under way, await all of them",
          );
        }
        // Where a statement has failed, this one does, too: the transaction would end as if it was committed.
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

/** What may stand where a statement begins and is none, and what only looks like one. */
const NO_STATEMENTS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[^]*?\$\1\$|--[^\n]*|\/\*[^]*?\*\//g;

/** The statements that end a transaction. Going back to a savepoint does not. */
const ENDING =
  /(?:^|;)\s*(?:commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b/i;

/**
 * Refuses what would end a transaction. The driver may hand the connection on to somebody else at once. Whether the
 * transaction has ended all the same is looked at later, and not read from statements.
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
    "the connection came with a transaction that somebody left open",
  );
}

function setMark(): SQL {
  return sql`set_config(${MARK}, ${sql.placeholder("mark")}, true)`;
}

/** Sets a limit for the transaction, unless a shorter one is set. 0 means none. */
function limitSetting(name: string, placeholder: string): SQL {
  const setting = sql.raw(`'${name}'`);
  const current = sql`(extract(epoch from current_setting(${setting})::interval) * 1000)::int`;
  return sql`set_config(${setting}, least(nullif(${current}, 0), ${
    sql.placeholder(placeholder)
  }::int)::text, true)`;
}
