/** Events that handlers of the application take part in: each in a transaction, its changes told apart. */

import { eq, getTableColumns, sql } from "drizzle-orm";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import {
  DecryptionError,
  HandlerFailedError,
  StorageError,
  type StorageOperation,
} from "../../../errors.ts";
import type { ExtensionInstanceTable } from "../../schema.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type { ChangeHandlers } from "../../storage_options.ts";
import { keyOf } from "../columns/encrypted_column.ts";
import type { Column } from "../columns/encrypted_table.ts";
import { retryConflicts } from "./retry.ts";
import { runStatement } from "./run_statement.ts";
import type { Remember } from "./storage_statements.ts";
import type { Terms } from "./time_limit.ts";
import { type OwnTransaction, Transactions } from "./transaction.ts";

/** How often the stored values are decrypted ahead before it is done while the row is locked. */
const MAX_TRIES_AHEAD = 5;

/** What differs for `updated`, by the names in TypeScript. */
const STATE = ["contextId", "context", "active", "variantKey", "consentedScopes"] as const;

type Row = ExtensionInstanceTable["$inferSelect"] & Record<string, unknown>;

/** An event, and how it is stored. */
export interface Change {
  readonly id: string;
  /** The secret that it brings, and what is stored of it. */
  readonly secret?: { readonly plaintext: string; readonly ciphertext: string } | undefined;
  /** Notes it as the instance's last event, and has its other events wait; or throws why it is refused. */
  pass(db: EncryptableDatabase): Promise<void>;
  /** Makes what writes the row, or throws if there is none to be written. It tells which ciphertexts it has made. */
  prepare(remember: Remember): Promise<(db: EncryptableDatabase) => Promise<void>>;
}

/** A removal, and how it is stored. */
export interface Removal {
  readonly id: string;
  /** Notes it as the instance's last event, and has its other events wait. */
  mark(db: EncryptableDatabase): Promise<void>;
  /** Deletes the row, or throws if it is still there. */
  delete(db: EncryptableDatabase): Promise<void>;
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
    const { instance, errors } = this.#readAll(row);
    for (const error of Object.values(errors)) throw error;
    return instance;
  }

  /** Values that cannot be read are null, and their properties are listed. */
  readReadable(row: Row): { readonly instance: Row; readonly unreadable: readonly string[] } {
    const { instance, errors } = this.#readAll(row);
    return { instance, unreadable: Object.keys(errors) };
  }

  #readAll(row: Row) {
    const instance = { ...row };
    const errors: Record<string, DecryptionError> = {};
    for (const [property, , ciphertext] of this.#sealed(row)) {
      const found = this.#plaintexts.get(ciphertext)!;
      if (typeof found !== "string") errors[property] = found;
      Object.assign(instance, { [property]: typeof found === "string" ? found : null });
    }
    return { instance, errors };
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
  readonly #decorate: (db: EncryptableDatabase) => EncryptableDatabase;
  readonly #transactions: Transactions;
  readonly #table: ExtensionInstanceTable;
  readonly #handlers: ChangeHandlers;
  readonly #encrypted: Readonly<Record<string, Column>>;

  /**
   * @param db The undecorated database.
   * @param decorate Decorates the transactions that handlers get.
   * @param table The table of extension instances.
   * @param handlers The application's handlers.
   */
  constructor(
    db: EncryptableDatabase,
    decorate: (db: EncryptableDatabase) => EncryptableDatabase,
    table: ExtensionInstanceTable,
    handlers: ChangeHandlers,
  ) {
    this.#db = db;
    this.#decorate = decorate;
    this.#transactions = new Transactions(db);
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
   * @throws {StorageError} The row that was written is gone.
   * @throws {HandlerFailedError} A handler threw.
   */
  async store(terms: Terms, change: Change): Promise<void> {
    const { id, secret } = change;
    const { operation } = terms;
    const opened = new Opened(this.#encrypted);
    const remember = opened.remember.bind(opened);
    if (secret) remember(secret.ciphertext, secret.plaintext);
    const write = await change.prepare(remember);
    await this.#inTransaction(terms, id, opened, change.pass, async (transaction, before) => {
      const { db } = transaction;
      await write(db);
      const after = await this.#read(operation, db, id);
      if (!after) {
        throw new StorageError(operation, undefined, "a trigger deleted the row that was written");
      }
      // Known but for what a trigger may have put there.
      await opened.open(after);
      const instance = () => opened.read(after);
      if (!before) return await this.#call("added", transaction, () => ({ instance: instance() }));
      if (STATE.some((name) => !isSame(before[name], after[name]))) {
        await this.#call(
          "updated",
          transaction,
          () => ({ before: opened.read(before), instance: instance() }),
        );
      }
      if (secret && opened.plaintext(before.secret) !== secret.plaintext) {
        await this.#call("secretRotated", transaction, () => ({ instance: instance() }));
      }
    });
  }

  /**
   * Removes an instance and calls the handler for it before its row is deleted.
   *
   * @returns Whether there was a row.
   * @throws {HandlerFailedError} The handler threw.
   */
  async remove(terms: Terms, { id, mark, delete: deleteRow }: Removal): Promise<boolean> {
    const opened = new Opened(this.#encrypted);
    return await this.#inTransaction(terms, id, opened, mark, async (transaction, before) => {
      if (!before) return false;
      await this.#call("removed", transaction, () => opened.readReadable(before));
      await deleteRow(transaction.db);
      return true;
    });
  }

  /**
   * Begins a transaction, passes the fence, locks the row and hands it over. What is stored is decrypted before: a slow
   * key service holds no lock. Where it is another value by then, the transaction ends and begins anew.
   */
  async #inTransaction<T>(
    terms: Terms,
    id: string,
    opened: Opened,
    pass: (db: EncryptableDatabase) => Promise<void>,
    run: (transaction: OwnTransaction, before: Row | undefined) => Promise<T>,
  ): Promise<T> {
    const { operation } = terms;
    const ahead = await this.#read(operation, this.#db, id);
    if (ahead) await opened.open(ahead);
    for (let tried = 1;; tried++) {
      const attempt = () =>
        this.#transactions.run(terms, async (transaction) => {
          const { db } = transaction;
          await pass(db);
          const before = await this.#read(operation, db, id, "locked");
          if (before && !opened.has(before)) {
            if (tried < MAX_TRIES_AHEAD) throw new Unopened(before);
            await opened.open(before);
          }
          return await run(transaction, before);
        });
      try {
        return await retryConflicts(this.#db, terms.limit, attempt);
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
    transaction: OwnTransaction,
    change: () => object,
  ): Promise<void> {
    const handler = this.#handlers[name] as ((change: unknown) => unknown) | undefined;
    if (!handler) return;
    const known = change();
    try {
      await transaction.lend((tx) => handler({ ...known, tx: this.#decorate(tx) }));
    } catch (error) {
      throw new HandlerFailedError(error);
    }
  }
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
