/** Stores events: one at a time per instance, within a time limit, and checks the outcome. */

import {
  StaleEventError,
  StorageError,
  type StorageOperation,
  UnknownExtensionInstanceError,
} from "../../../errors.ts";
import type { ExtensionInstanceTable } from "../../schema.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import { type Change, Changes } from "./change_handlers.ts";
import { isLongId, isStorable } from "./check_event.ts";
import type { StorageSettings } from "./check_storage.ts";
import { ColumnNames } from "./column_names.ts";
import { EventFence, fenceValues, type StoringKind } from "./event_fence.ts";
import type { EventMoment, Signed } from "./event_moment.ts";
import { clientOf, isSingleConnection } from "./client.ts";
import { retryConflicts } from "./retry.ts";
import { runStatement, sqlState } from "./run_statement.ts";
import { invalidateCache, nameForCache, type Statement } from "./statement.ts";
import { type Outcome, StorageStatements, type StoredEvent } from "./storage_statements.ts";
import { GRACE_MS, type Terms, TimeLimit } from "./time_limit.ts";
import { isTransaction, lacksTransactions, noTransactions } from "./transaction.ts";
import { inTurn } from "./turns.ts";

/** Events by the methods that store them: start of the messages, kind, and possible changes. */
const EVENTS = {
  upsertExtension: {
    attempt: "Storing an extension instance",
    kind: "ExtensionAddedToContext",
    changes: ["added", "updated", "secretRotated"],
  },
  updateExtension: {
    attempt: "Updating an extension instance",
    kind: "InstanceUpdated",
    changes: ["updated"],
  },
  rotateSecret: {
    attempt: "Rotating the secret of an extension instance",
    kind: "SecretRotated",
    changes: ["secretRotated"],
  },
  removeInstance: {
    attempt: "Removing an extension instance",
    changes: ["removed"],
  },
} as const;

/** A method that stores an event. */
type EventOperation = keyof typeof EVENTS;

/** The operation and time limit of an event. */
interface EventTerms<TOperation extends EventOperation = EventOperation> extends Terms {
  readonly operation: TOperation;
}

// SQLSTATEs (PostgreSQL manual, appendix A).
const TOO_LONG = "22001"; // string_data_right_truncation
const DIVISION_BY_ZERO = "22012";

/** Stores the events of one storage. */
export class EventStore {
  readonly #db: EncryptableDatabase;
  readonly #settings: StorageSettings;
  readonly #fence: EventFence | undefined;
  readonly #passes = new Map<string, Statement>();
  readonly #statements: StorageStatements;
  /** For transactions that have already passed the fence. */
  readonly #unfenced: StorageStatements;
  readonly #changes: Changes;
  readonly #cachedTables: readonly string[];
  #noteRemoval: Statement | undefined;
  #forgetRemoved: Statement | undefined;

  /**
   * @param db The undecorated database.
   * @param decorate Decorates the handlers' transactions.
   * @throws {TypeError} When there are handlers, but the driver has no transactions.
   */
  constructor(
    db: EncryptableDatabase,
    decorate: (db: EncryptableDatabase) => EncryptableDatabase,
    table: ExtensionInstanceTable,
    settings: StorageSettings,
  ) {
    const { lastEvents, on } = settings;
    this.#db = db;
    this.#settings = settings;
    this.#fence = lastEvents && new EventFence(lastEvents, new ColumnNames(db));
    this.#statements = new StorageStatements(db, table, this.#fence);
    this.#unfenced = new StorageStatements(db, table, undefined);
    this.#changes = new Changes(db, decorate, table, on);
    this.#cachedTables = [table, ...lastEvents ? [lastEvents] : []].map(nameForCache);
    if (
      this.#changes.concern("added", "updated", "secretRotated", "removed") &&
      lacksTransactions(db)
    ) throw noTransactions();
  }

  /** Starts the time limit of an event. */
  begin<TOperation extends EventOperation>(operation: TOperation): EventTerms<TOperation> {
    return {
      operation,
      attempt: EVENTS[operation].attempt,
      limit: new TimeLimit(this.#settings.timeoutMs),
    };
  }

  /**
   * Stores an event with values.
   *
   * @throws {UnknownExtensionInstanceError} When it changes an instance that is not stored.
   * @throws {StaleEventError} When a newer event was already applied, or the instance was removed.
   * @throws {StorageError} Also when a trigger or a policy kept the event from being stored.
   */
  async store(
    terms: EventTerms<Exclude<EventOperation, "removeInstance">>,
    moment: EventMoment,
    values: StoredEvent["values"],
    secret?: Change["secret"],
  ): Promise<void> {
    const { operation, attempt } = terms;
    const { kind, changes } = EVENTS[operation];
    const { id } = values;
    const event = { kind, values, moment };
    if (operation !== "upsertExtension" && !await this.#canBeStored(terms, id)) {
      throw new UnknownExtensionInstanceError(attempt, id);
    }
    if (this.#fence && this.#changes.concern(...changes)) {
      const pass = this.#pass(kind, moment.signed);
      const fenced = fenceValues(id, moment);
      await this.#inTurn(terms, id, () =>
        this.#changes.store(terms, {
          id,
          secret,
          pass: async (db) => {
            const rows = await runStatement(operation, () => pass.run(db, fenced));
            if (rows.length === 0) await this.#explain(terms, event, "unrecorded", db);
          },
          prepare: async (remember) => {
            const write = await this.#unfenced.prepare(event, remember);
            return async (db) => {
              const outcome = await runStatement(operation, () => write(db));
              if (outcome !== "stored") await this.#explain(terms, event, outcome, db);
            };
          },
        }));
    } else {
      const write = await this.#statements.prepare(event);
      await this.#inTurn(terms, id, async () => {
        const outcome = await this.#run(terms, () => write(this.#db));
        if (outcome !== "stored") await this.#explain(terms, event, outcome, this.#db);
      });
    }
    await this.#invalidateCache();
  }

  /**
   * Removes an instance and verifies that it is gone.
   *
   * @throws {StorageError} Also when a trigger or a policy kept the row from being deleted, or its
   *   removal from being recorded.
   */
  async remove(terms: EventTerms, moment: EventMoment, id: string): Promise<void> {
    // An id that cannot be stored is not stored, and no later event can store it.
    if (!isStorable(id)) return;
    await this.#inTurn(terms, id, async () => {
      const values = fenceValues(id, moment);
      if (!await this.#canBeStored(terms, id)) {
        await this.#markIfPossible(terms, values);
      } else if (this.#changes.concern("removed")) {
        const removed = await this.#changes.remove(terms, {
          id,
          mark: (db) => this.#mark(terms, values, db),
          delete: async (db) => {
            if (!await this.#delete(terms, id, db)) throw notDeleted(terms);
          },
        });
        if (!removed) await this.#assertGone(terms, id);
      } else {
        await this.#run(terms, () => this.#mark(terms, values, this.#db));
        // Its snapshot is taken after the mark, so it sees every row written before.
        const deleted = await this.#run(terms, () => this.#delete(terms, id, this.#db));
        if (!deleted) await this.#assertGone(terms, id);
      }
    });
    await this.#invalidateCache();
  }

  /** Deletes and counts the last events of instances removed before a time. */
  async forgetRemoved(before: Date): Promise<number> {
    const operation = "forgetRemoved";
    const statement = this.#forgetRemoved ??= this.#fence!.forgetRemoved(this.#db);
    const run = () => runStatement(operation, () => statement.run(this.#db, { at: before }));
    const limit = new TimeLimit(this.#settings.timeoutMs);
    const [row] = await retryConflicts(this.#db, limit, run);
    return Number(row?.["count"]);
  }

  #pass(kind: StoringKind, signed: Signed): Statement {
    const key = `${kind} ${signed}`;
    const pass = this.#passes.get(key) ?? this.#fence!.pass(this.#db, kind, signed);
    this.#passes.set(key, pass);
    return pass;
  }

  /**
   * Runs the database work of an instance's event when no other event of it is running. Does not
   * wait much longer than the limit, because drivers can lose statements. In the caller's
   * transaction nothing waits, because that would hold a connection.
   */
  #inTurn<T>(terms: EventTerms, id: string, run: () => Promise<T>): Promise<T> {
    if (isTransaction(this.#db)) return run();
    const { limit, attempt } = terms;
    // On a single connection, another event's statements would run in this one's transaction.
    const key = isSingleConnection(this.#db) ? "" : `${this.#cachedTables[0]} ${id}`;
    const turn = inTurn(clientOf(this.#db), key, limit, attempt, run);
    return limit.wait(attempt, turn, 2 * GRACE_MS);
  }

  /** Runs a statement; retries after conflicts. */
  #run<T>(terms: EventTerms, statement: () => Promise<T>): Promise<T> {
    return retryConflicts(this.#db, terms.limit, () => runStatement(terms.operation, statement));
  }

  /** Whether the columns can store an id. Longer columns in the database may already have it. */
  async #canBeStored(terms: EventTerms, id: string): Promise<boolean> {
    if (!isStorable(id)) return false;
    if (!isLongId(id)) return true;
    const look = this.#unfenced.look(false);
    const [row] = await this.#run(terms, () => look.run(this.#db, { id }));
    return row?.["stored"] === "true";
  }

  async #mark(
    { operation }: EventTerms,
    values: ReturnType<typeof fenceValues>,
    db: EncryptableDatabase,
  ): Promise<void> {
    if (!this.#fence) return;
    const statement = this.#noteRemoval ??= this.#fence.noteRemoval(this.#db);
    const rows = await runStatement(operation, () => statement.run(db, values));
    if (rows.length > 0) return;
    throw new StorageError(
      operation,
      undefined,
      "a trigger or a policy kept the removal from being recorded",
    );
  }

  /**
   * For an id that exceeds the columns' length: if it cannot be stored, no later event needs
   * refusing.
   */
  async #markIfPossible(
    terms: EventTerms,
    values: ReturnType<typeof fenceValues>,
  ): Promise<void> {
    try {
      await this.#inSavepoint((db) => this.#mark(terms, values, db));
    } catch (error) {
      if (!(error instanceof StorageError) || sqlState(error.cause) !== TOO_LONG) throw error;
    }
  }

  async #delete(
    { operation }: EventTerms,
    id: string,
    db: EncryptableDatabase,
  ): Promise<boolean> {
    const statement = this.#statements.delete();
    return (await runStatement(operation, () => statement.run(db, { id }))).length > 0;
  }

  /** After nothing was deleted: checks that there was no row, rather than one that was kept. */
  async #assertGone(terms: EventTerms, id: string): Promise<void> {
    const { operation } = terms;
    const look = this.#unfenced.look(false);
    const [row] = await this.#run(terms, () => look.run(this.#db, { id }));
    if (row?.["stored"] !== "false") throw notDeleted(terms);
    const hides = this.#statements.hides();
    const [security] = await this.#run(terms, () => hides.run(this.#db, {}));
    if (security?.["hides"] === "false") return;
    const find = this.#statements.findHidden();
    try {
      await this.#inSavepoint((db) => runStatement(operation, () => find.run(db, { id })));
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (sqlState(error.cause) === DIVISION_BY_ZERO) return;
      throw new StorageError(
        operation,
        error.cause,
        "nothing was deleted, and row-level security may hide the row from the current user",
      );
    }
    throw notDeleted(terms);
  }

  /** In a savepoint: a failing statement would abort the caller's transaction. */
  #inSavepoint<T>(run: (db: EncryptableDatabase) => Promise<T>): Promise<T> {
    if (!isTransaction(this.#db)) return run(this.#db);
    const { transaction } = this.#db as unknown as {
      transaction(run: (db: EncryptableDatabase) => Promise<T>): Promise<T>;
    };
    return transaction.call(this.#db, run);
  }

  /** Throws the reason why an event was not stored. */
  async #explain(
    { operation, attempt }: EventTerms,
    { moment, values: { id } }: StoredEvent,
    outcome: Exclude<Outcome, "stored">,
    db: EncryptableDatabase,
  ): Promise<never> {
    const look = this.#statements.look(moment.signed);
    const [row] = await runStatement(operation, () => look.run(db, fenceValues(id, moment)));
    if (outcome === "unrecorded" && row?.["refused"] === "true") {
      throw new StaleEventError(attempt, id);
    }
    if (operation !== "upsertExtension" && row?.["stored"] !== "true") {
      throw new UnknownExtensionInstanceError(attempt, id);
    }
    const what = outcome === "unrecorded"
      ? "the event from being recorded"
      : "the row from being written";
    throw kept(operation, what);
  }

  /** After the rows have changed, so that the next read refills the cache. */
  async #invalidateCache(): Promise<void> {
    try {
      await invalidateCache(this.#db, this.#cachedTables);
    } catch (error) {
      // The event is stored; failing now would only cause a repeated delivery.
      const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
      this.#settings.logger?.warn(
        `Telling Drizzle's cache that extension instances changed: it failed (${name}${
          code === undefined ? "" : `, ${code}`
        }), so it may return outdated rows`,
      );
    }
  }
}

function kept(operation: StorageOperation, what: string): StorageError {
  return new StorageError(operation, undefined, `a trigger or a policy kept ${what}`);
}

function notDeleted({ operation }: Terms): StorageError {
  return kept(operation, "the row from being deleted");
}
