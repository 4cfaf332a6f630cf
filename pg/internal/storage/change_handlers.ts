/** Events that handlers of the application take part in: each in a transaction, its changes told apart. */

import { eq, getTableColumns, sql } from "drizzle-orm";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import {
  DecryptionError,
  HandlerFailedError,
  StaleEventError,
  type StorageOperation,
} from "../../../errors.ts";
import type { ExtensionInstanceTable } from "../../schema.ts";
import type { EncryptableDatabase } from "../../session.ts";
import type { ChangeHandlers } from "../../storage_options.ts";
import { undecorated } from "../columns/database.ts";
import { keyOf } from "../columns/encrypted_column.ts";
import type { Column } from "../columns/encrypted_table.ts";
import { runStatement } from "./run_statement.ts";
import { retryConflicts, runTransaction } from "./transaction.ts";
import type { Remember } from "./storage_statements.ts";

/** How often the stored values are decrypted ahead before it is done while the row is locked. */
const MAX_TRIES_AHEAD = 5;

/** What differs for `updated`, by the names in TypeScript. */
const STATE = ["contextId", "context", "active", "variantKey", "consentedScopes"] as const;

type Row = ExtensionInstanceTable["$inferSelect"] & Record<string, unknown>;

/** An event, and how it is stored. */
export interface Change {
  readonly operation: StorageOperation;
  /** How messages begin. */
  readonly attempt: string;
  readonly id: string;
  /** The secret that it brings, and what is stored of it. */
  readonly secret?: { readonly plaintext: string; readonly ciphertext: string } | undefined;
  /** Notes it as the instance's last event, and has its other events wait; or is refused. */
  pass(db: EncryptableDatabase): Promise<boolean>;
  /** Makes what writes the row, or throws if there is none to be written. It tells which ciphertexts it has made. */
  prepare(remember: Remember): Promise<(db: EncryptableDatabase) => Promise<void>>;
}

/** A removal, and how it is stored. */
export interface Removal {
  readonly id: string;
  /** Notes it as the instance's last event, and has its other events wait. */
  mark(db: EncryptableDatabase): Promise<unknown>;
  /** Deletes the row. */
  delete(db: EncryptableDatabase): Promise<unknown>;
}

/** Stored values that nobody has decrypted so far; leaves a transaction, and this file never. */
class Unopened extends Error {
  constructor(readonly row: Row) {
    super();
  }
}

/** Plaintexts, or why there is none, by what is stored. */
class Opened {
  readonly #plaintexts = new Map<string, string | DecryptionError>();

  constructor(readonly columns: Readonly<Record<string, Column>>) {}

  remember(ciphertext: string, plaintext: string): void {
    this.#plaintexts.set(ciphertext, plaintext);
  }

  has(row: Row): boolean {
    return this.#sealed(row).every(([, , ciphertext]) => this.#plaintexts.has(ciphertext));
  }

  async open(row: Row): Promise<void> {
    await Promise.all(
      this.#sealed(row).map(async ([, column, ciphertext]) => {
        if (this.#plaintexts.has(ciphertext)) return;
        try {
          this.#plaintexts.set(ciphertext, await keyOf(column)!.decrypt(ciphertext));
        } catch (error) {
          // What cannot be read may be about to be replaced.
          if (!(error instanceof DecryptionError)) throw error;
          this.#plaintexts.set(ciphertext, error);
        }
      }),
    );
  }

  /** The plaintext, if it can be read. */
  plaintext(ciphertext: string | null): string | undefined {
    const found = ciphertext === null ? undefined : this.#plaintexts.get(ciphertext);
    return typeof found === "string" ? found : undefined;
  }

  /** @throws {DecryptionError} One of the values cannot be read. */
  read(row: Row): Row {
    const result = { ...row };
    for (const [property, , ciphertext] of this.#sealed(row)) {
      const found = this.#plaintexts.get(ciphertext)!;
      if (typeof found !== "string") throw found;
      Object.assign(result, { [property]: found });
    }
    return result;
  }

  #sealed(row: Row): (readonly [property: string, column: Column, ciphertext: string])[] {
    return Object.entries(this.columns).flatMap(([property, column]) => {
      const stored = row[property];
      return typeof stored === "string" ? [[property, column, stored] as const] : [];
    });
  }
}

/** The handlers of one storage. */
export class Changes {
  readonly #db: EncryptableDatabase;
  readonly #table: ExtensionInstanceTable;
  readonly #handlers: ChangeHandlers;
  readonly #encrypted: Readonly<Record<string, Column>>;

  /**
   * @param db The decorated database: so are the transactions of it.
   * @param table The table of extension instances.
   * @param handlers The application's handlers.
   */
  constructor(db: EncryptableDatabase, table: ExtensionInstanceTable, handlers: ChangeHandlers) {
    this.#db = db;
    this.#table = table;
    this.#handlers = handlers;
    this.#encrypted = Object.fromEntries(
      Object.entries<Column>(getTableColumns(table)).filter(([, column]) => keyOf(column)),
    );
  }

  /** Whether there is a handler for one of these changes. */
  concern(...names: readonly (keyof ChangeHandlers)[]): boolean {
    return names.some((name) => this.#handlers[name] !== undefined);
  }

  /**
   * Stores an event and calls the handlers of the changes that it makes.
   *
   * @throws {StaleEventError} A newer event was applied before, or the instance was removed.
   * @throws {HandlerFailedError} A handler threw.
   */
  async store(change: Change): Promise<void> {
    const { operation, attempt, id, secret } = change;
    const opened = new Opened(this.#encrypted);
    const remember = opened.remember.bind(opened);
    if (secret) remember(secret.ciphertext, secret.plaintext);
    const write = await change.prepare(remember);
    await this.#inTransaction(operation, id, opened, change.pass, async (tx, before, passed) => {
      if (!passed) throw new StaleEventError(attempt, id);
      const raw = undecorated(tx);
      await runStatement(operation, () => write(raw));
      const after = (await this.#read(operation, raw, id))!;
      // Known but for what a trigger may have put there.
      await opened.open(after);
      if (!before) return await this.#call("added", tx, opened, after);
      if (STATE.some((name) => !isSame(before[name], after[name]))) {
        await this.#call("updated", tx, opened, after, before);
      }
      if (secret && opened.plaintext(before.secret) !== secret.plaintext) {
        await this.#call("secretRotated", tx, opened, after);
      }
    });
  }

  /**
   * Removes an instance and calls the handler for it before its row is deleted.
   *
   * @throws {DecryptionError} The handler's row cannot be read.
   * @throws {HandlerFailedError} The handler threw.
   */
  async remove(removal: Removal): Promise<void> {
    const opened = new Opened(this.#encrypted);
    const { id, mark } = removal;
    await this.#inTransaction("removeInstance", id, opened, mark, async (tx, before) => {
      if (!before) return;
      await this.#call("removed", tx, opened, before);
      await runStatement("removeInstance", () => removal.delete(undecorated(tx)));
    });
  }

  /**
   * Begins a transaction, passes the fence, locks the row and hands it over. What is stored is decrypted before: a slow
   * key service holds no lock. Where it is another value by then, the transaction ends and begins anew.
   */
  async #inTransaction<T>(
    operation: StorageOperation,
    id: string,
    opened: Opened,
    pass: (db: EncryptableDatabase) => Promise<T>,
    run: (tx: EncryptableDatabase, before: Row | undefined, passed: T) => Promise<void>,
  ): Promise<void> {
    const ahead = await this.#read(operation, undecorated(this.#db), id);
    if (ahead) await opened.open(ahead);
    for (let tried = 1;; tried++) {
      try {
        return await retryConflicts(
          this.#db,
          () =>
            runTransaction(operation, this.#db, async (tx) => {
              const raw = undecorated(tx);
              const passed = await runStatement(operation, () => pass(raw));
              const before = await this.#read(operation, raw, id, "locked");
              if (before && !opened.has(before)) {
                if (tried < MAX_TRIES_AHEAD) throw new Unopened(before);
                await opened.open(before);
              }
              await run(tx, before, passed);
            }),
        );
      } catch (error) {
        if (!(error instanceof Unopened)) throw error;
        await opened.open(error.row);
      }
    }
  }

  /** Reads the row with its encrypted values as they are stored. */
  async #read(
    operation: StorageOperation,
    db: EncryptableDatabase,
    id: string,
    locked?: "locked",
  ): Promise<Row | undefined> {
    const stored = Object.entries(this.#encrypted)
      .map(([property, column]) => [property, sql`${column}`] as const);
    const select = (db as unknown as PgDatabase<PgQueryResultHKT>)
      .select({ ...getTableColumns(this.#table), ...Object.fromEntries(stored) })
      .from(this.#table).where(eq(this.#table.id, id)).$withCache(false);
    const rows = await runStatement(operation, () => locked ? select.for("update") : select);
    return rows[0] as Row | undefined;
  }

  async #call(
    name: keyof ChangeHandlers,
    tx: EncryptableDatabase,
    opened: Opened,
    instance: Row,
    before: Row = instance,
  ): Promise<void> {
    const handler = this.#handlers[name] as ((change: unknown) => unknown) | undefined;
    if (!handler) return;
    const change = { instance: opened.read(instance), tx };
    try {
      await handler(name === "updated" ? { ...change, before: opened.read(before) } : change);
      // A handler that caught the database's error leaves a transaction that would end as if it was committed.
      await (tx as unknown as PgDatabase<PgQueryResultHKT>).execute(sql`select 1`);
    } catch (error) {
      throw new HandlerFailedError(error);
    }
  }
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
