/** The driver's client of a database: what kind it is, and a transaction on one that belongs to the storage. */

import { DrizzleQueryError } from "drizzle-orm";
import { StorageError } from "../../../errors.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import { copyWith } from "../columns/copy_with.ts";
import { kindOf } from "../columns/database.ts";
import { toStorageError } from "./run_statement.ts";
import { GRACE_MS, type Terms } from "./time_limit.ts";

type Listener = (error: unknown) => void;

/** The part of such a client that is needed here. */
interface PoolClient {
  query(...args: unknown[]): Promise<{ readonly command?: unknown }> | undefined;
  on(event: "error", listener: Listener): unknown;
  removeListener(event: "error", listener: Listener): unknown;
  /** @param destroy Whether the connection is closed. */
  release(destroy?: boolean): void;
}

/** The part of such a pool that is needed here. */
export interface Pool {
  connect(done: (error: unknown, client?: PoolClient) => void): void;
  readonly totalCount: number;
}

interface Internals {
  readonly session: { readonly client?: object };
}

/** What all that is sent to a database goes through. */
export function clientOf(db: EncryptableDatabase): object {
  const { session } = db as unknown as Internals;
  return session.client ?? session;
}

/** The pool of a database, if it is one of node-postgres, or of Neon's driver, which is made of the same code. */
export function poolOf(db: EncryptableDatabase): Pool | undefined {
  const client = clientOf(db);
  const { connect, totalCount } = client as Partial<Pool>;
  return typeof connect === "function" && typeof totalCount === "number"
    ? client as Pool
    : undefined;
}

/** Whether a database has one connection of such a client, for all that is sent. */
export function isSingleConnection(db: EncryptableDatabase): boolean {
  const { connect, query, totalCount } = clientOf(db) as Partial<Pool & PoolClient>;
  return typeof connect === "function" && typeof query === "function" && totalCount === undefined;
}

/** How many causes of an error are looked at. */
const MAX_CAUSES = 8;

/**
 * Whether the driver hands a connection on to others when it is told that no transaction is open there, or when the
 * connection breaks and is made anew, though the function that runs in the transaction has not come to its end. What it
 * sends at that end lands in another transaction, or ends the process (porsager/postgres issue 1208).
 */
export function handsOnByItself(db: EncryptableDatabase): boolean {
  return kindOf((db as unknown as Internals).session) === "PostgresJsSession";
}

/** Whether an error of a statement says that its connection is gone, or is about to be. */
export function isOfConnection(error: unknown): boolean {
  let found = error;
  for (let depth = 0; depth < MAX_CAUSES && found instanceof Error; depth++) {
    const { cause } = found;
    // What else an application throws says nothing of this connection.
    if (found instanceof DrizzleQueryError || found instanceof StorageError) {
      const { code, severity, syscall } = (cause ?? {}) as Readonly<Record<string, unknown>>;
      if (severity === "FATAL" || severity === "PANIC" || syscall !== undefined) return true;
      if (String(code).startsWith("CONNECTION_")) return true;
    }
    found = cause;
  }
  return false;
}

/** How PostgreSQL confirms the end of a transaction. */
const ENDS: ReadonlySet<unknown> = new Set(["COMMIT", "ROLLBACK"]);

/** A broken connection is noticed by the next statement. */
const ignore: Listener = () => {};

/**
 * Runs a function with a database that has one client of the pool, and a transaction that is begun and ended there. The
 * client goes back to the pool if the transaction has ended for sure; its connection is closed otherwise.
 *
 * Drizzle would take a client itself, and give it back whatever became of it: with its transaction open after a time limit
 * of the driver (drizzle-orm issue 6114), or never, if the transaction does not begin (6241). Nor does it listen for
 * errors, so that a connection which breaks meanwhile would end the process.
 *
 * @throws {StorageError} No client could be had.
 * @throws {DeadlineExceededError} None was free in time, or the function did not end in time.
 */
export async function onOwnClient<T>(
  pool: Pool,
  db: EncryptableDatabase,
  { operation, attempt, limit }: Terms,
  run: (db: EncryptableDatabase) => Promise<T>,
): Promise<T> {
  const connecting = new Promise<PoolClient>((resolve, reject) => {
    // Not by its promise: an error that came with the connection would be told before there is a listener.
    pool.connect((error, client) => {
      if (!client) return reject(toStorageError(operation, error));
      client.on("error", ignore);
      resolve(client);
    });
  });
  const giveBack = (client: PoolClient) => {
    client.removeListener("error", ignore);
    client.release();
  };
  let owned: PoolClient;
  try {
    owned = await limit.wait(attempt, connecting);
  } catch (error) {
    // One that comes later is not needed any more.
    connecting.then(giveBack, () => {});
    throw error;
  }
  /** Whether the last statement that was sent ended the transaction, as PostgreSQL confirmed. */
  let hasEnded = false;
  let last: unknown;
  const watched: PoolClient = Object.create(owned, {
    query: {
      value(...args: unknown[]) {
        hasEnded = false;
        const result = last = owned.query(...args);
        // What an application sends past Drizzle may give something else than a promise.
        Promise.resolve(result).then(
          (answer) => hasEnded = last === result && ENDS.has(answer?.command),
          () => {},
        );
        return result;
      },
    },
  });
  const { session } = db as unknown as Internals;
  const copy = copyWith(db, { session: copyWith(session, { client: watched }) });
  try {
    return await limit.wait(attempt, run(copy), GRACE_MS);
  } finally {
    if (hasEnded) giveBack(owned);
    else owned.release(true);
  }
}
