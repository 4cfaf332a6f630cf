/** Detects the driver's kind of client, and runs transactions on a client of their own. */

import { DrizzleQueryError } from "drizzle-orm";
import { StorageError } from "../../../errors.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import { copyWith } from "../columns/copy_with.ts";
import { kindOf } from "../columns/database.ts";
import { toStorageError } from "./run_statement.ts";
import { GRACE_MS, type Terms } from "./time_limit.ts";

type Listener = (error: unknown) => void;

/** The part of node-postgres' client that is used here. */
interface PoolClient {
  query(...args: unknown[]): Promise<{ readonly command?: unknown }> | undefined;
  on(event: "error", listener: Listener): unknown;
  removeListener(event: "error", listener: Listener): unknown;
  /** @param destroy Whether to close the connection. */
  release(destroy?: boolean): void;
}

/** The part of node-postgres' pool that is used here. */
export interface Pool {
  connect(done: (error: unknown, client?: PoolClient) => void): void;
  readonly totalCount: number;
}

interface Internals {
  readonly session: { readonly client?: object };
}

/** The object that sends everything to a database. */
export function clientOf(db: EncryptableDatabase): object {
  const { session } = db as unknown as Internals;
  return session.client ?? session;
}

/**
 * The database's pool, if it is one of node-postgres or of Neon's driver, which has the same code.
 */
export function poolOf(db: EncryptableDatabase): Pool | undefined {
  const client = clientOf(db);
  const { connect, totalCount } = client as Partial<Pool>;
  return typeof connect === "function" && typeof totalCount === "number"
    ? client as Pool
    : undefined;
}

/** Whether a database sends everything through a single connection of such a client. */
export function isSingleConnection(db: EncryptableDatabase): boolean {
  const { connect, query, totalCount } = clientOf(db) as Partial<Pool & PoolClient>;
  return typeof connect === "function" && typeof query === "function" && totalCount === undefined;
}

/** How many nested causes of an error to check. */
const MAX_CAUSES = 8;

/**
 * Whether the driver may reuse a connection while the transaction's function still runs: when the
 * server reports that no transaction is open, or after a reconnect. The function's final COMMIT or
 * ROLLBACK then hits another transaction, or ends the process (porsager/postgres issue 1208).
 */
export function handsOnByItself(db: EncryptableDatabase): boolean {
  return kindOf((db as unknown as Internals).session) === "PostgresJsSession";
}

/** Whether a statement's error means that its connection is lost or about to be. */
export function isOfConnection(error: unknown): boolean {
  let found = error;
  for (let depth = 0; depth < MAX_CAUSES && found instanceof Error; depth++) {
    const { cause } = found;
    // Other errors of an application say nothing about this connection.
    if (found instanceof DrizzleQueryError || found instanceof StorageError) {
      const { code, severity, syscall } = (cause ?? {}) as Readonly<Record<string, unknown>>;
      if (severity === "FATAL" || severity === "PANIC" || syscall !== undefined) return true;
      if (String(code).startsWith("CONNECTION_")) return true;
    }
    found = cause;
  }
  return false;
}

/** The command tags with which PostgreSQL confirms the end of a transaction. */
const ENDS: ReadonlySet<unknown> = new Set(["COMMIT", "ROLLBACK"]);

/** The next statement reports a broken connection. */
const ignore: Listener = () => {};

/**
 * Runs a function with a database on one client of the pool, including a transaction from begin to
 * end. The client returns to the pool if the transaction has certainly ended; otherwise its
 * connection is closed.
 *
 * Drizzle itself may return a client to the pool with its transaction still open after a time limit
 * of the driver (drizzle-orm issue 6114), or never if the transaction does not begin (6241).
 * Drivers emit a lost connection as an error event, which would crash an application without a
 * listener.
 *
 * @throws {StorageError} When no client could connect.
 * @throws {DeadlineExceededError} When no client was free in time, or the function did not end in
 *   time.
 */
export async function onOwnClient<T>(
  pool: Pool,
  db: EncryptableDatabase,
  { operation, attempt, limit }: Terms,
  run: (db: EncryptableDatabase) => Promise<T>,
): Promise<T> {
  const connecting = new Promise<PoolClient>((resolve, reject) => {
    // Not the promise: an error emitted with the connection would precede the listener.
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
    // Returns a client that arrives too late.
    connecting.then(giveBack, () => {});
    throw error;
  }
  /** Whether PostgreSQL confirmed that the last statement ended the transaction. */
  let hasEnded = false;
  let last: unknown;
  const watched: PoolClient = Object.create(owned, {
    query: {
      value(...args: unknown[]) {
        hasEnded = false;
        const result = last = owned.query(...args);
        // Statements that bypass Drizzle may not return a promise.
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
