/** Stores events with handlers: each in a transaction, with its changes determined. */

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
import { decryptNow, decryptsNow } from "../../encryption_key.ts";
import { keyOf } from "../columns/encrypted_column.ts";
import type { Column } from "../columns/encrypted_table.ts";
import { retryConflicts } from "./retry.ts";
import { runStatement } from "./run_statement.ts";
import type { Remember } from "./storage_statements.ts";
import type { Terms } from "./time_limit.ts";
import { type OwnTransaction, Transactions } from "./transaction.ts";

/** How often to decrypt stored values in advance before doing it while the row is locked. */
const MAX_TRIES_AHEAD = 5;

/** A difference in these columns (TypeScript names) is an `updated`. */
const STATE = ["contextId", "context", "active", "variantKey", "consentedScopes"] as const;

type Row = ExtensionInstanceTable["$inferSelect"] & Record<string, unknown>;

/** An event and how it is stored. */
export interface Change {
  readonly id: string;
  /** The event's secret, and the ciphertext to store. */
  readonly secret?: { readonly plaintext: string; readonly ciphertext: string } | undefined;
  /**
   * Records it as the instance's last event and makes other events of it wait; or throws why it is
   * refused.
   */
  pass(db: EncryptableDatabase): Promise<void>;
  /**
   * Returns the function that writes the row, or throws if there is none. Reports new ciphertexts.
   */
  prepare(remember: Remember): Promise<(db: EncryptableDatabase) => Promise<void>>;
}

/** A removal and how it is stored. */
export interface Removal {
  readonly id: string;
  /** Records it as the instance's last event and makes other events of it wait. */
  mark(db: EncryptableDatabase): Promise<void>;
  /** Deletes the row, or throws if it still exists. */
  delete(db: EncryptableDatabase): Promise<void>;
}

/** Leaves a transaction, but never this file: stored values have not been decrypted yet. */
class Unopened extends Error {
  constructor(readonly row: Row) {
    super();
  }
}

/** Plaintexts, or errors, by ciphertext. */
class Opened {
  readonly #plaintexts = new Map<string, string | DecryptionError>();

  constructor(readonly columns: Readonly<Record<string, Column>>) {}

  remember(ciphertext: string, plaintext: string): void {
    this.#plaintexts.set(ciphertext, plaintext);
  }

  /** Whether all values are known, or can be decrypted without waiting. */
  has(row: Row): boolean {
    return this.#sealed(row).every(([, column, ciphertext]) => {
      if (this.#plaintexts.has(ciphertext)) return true;
      const plaintext = decryptNow(keyOf(column)!.given, ciphertext);
      if (plaintext !== undefined) this.remember(ciphertext, plaintext);
      return plaintext !== undefined;
    });
  }

  async open(row: Row): Promise<void> {
    await Promise.all(
      this.#sealed(row).map(async ([, column, ciphertext]) => {
        if (this.#plaintexts.has(ciphertext)) return;
        try {
          this.#plaintexts.set(ciphertext, await keyOf(column)!.decrypt(ciphertext));
        } catch (error) {
          // The event may be about to replace an unreadable value.
          if (!(error instanceof DecryptionError)) throw error;
          this.#plaintexts.set(ciphertext, error);
        }
      }),
    );
  }

  /** The plaintext of a readable value. */
  plaintext(ciphertext: string | null): string | undefined {
    const found = ciphertext === null ? undefined : this.#plaintexts.get(ciphertext);
    return typeof found === "string" ? found : undefined;
  }

  /** @throws {DecryptionError} When one of the values cannot be read. */
  read(row: Row): Row {
    const { instance, errors } = this.#readAll(row);
    for (const error of Object.values(errors)) throw error;
    return instance;
  }

  /** Unreadable values are null, and their properties are listed. */
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

/** A storage's handlers. */
export class Changes {
  readonly #db: EncryptableDatabase;
  readonly #decorate: (db: EncryptableDatabase) => EncryptableDatabase;
  readonly #transactions: Transactions;
  readonly #table: ExtensionInstanceTable;
  readonly #handlers: ChangeHandlers;
  readonly #encrypted: Readonly<Record<string, Column>>;

  /**
   * @param db The undecorated database.
   * @param decorate Decorates the handlers' transactions.
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

  /** Whether one of these changes has a handler. */
  concern(...names: readonly (keyof ChangeHandlers)[]): boolean {
    return names.some((name) => this.#handlers[name] !== undefined);
  }

  /**
   * Stores an event and calls the handlers of its changes.
   *
   * @throws {StorageError} When the written row is gone.
   * @throws {HandlerFailedError} When a handler fails.
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
      // All values are known unless a trigger changed one.
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
   * Removes an instance. Calls the handler before it deletes the row.
   *
   * @returns Whether there was a row.
   * @throws {HandlerFailedError} When the handler fails.
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
   * Begins a transaction, passes the fence and locks the row. Unless its values can be decrypted
   * without waiting, that is done in advance, so that a slow key service holds no lock. If a value
   * has changed by then, the transaction starts again.
   */
  async #inTransaction<T>(
    terms: Terms,
    id: string,
    opened: Opened,
    pass: (db: EncryptableDatabase) => Promise<void>,
    run: (transaction: OwnTransaction, before: Row | undefined) => Promise<T>,
  ): Promise<T> {
    const { operation } = terms;
    const isFast = Object.values(opened.columns).every((column) =>
      decryptsNow(keyOf(column)!.given)
    );
    const ahead = isFast ? undefined : await this.#read(operation, this.#db, id);
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

  /** Reads the row without decrypting its values. */
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
