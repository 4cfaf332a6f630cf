/** The storage of extension instances. */

import { eq, getTableColumns, isNotNull, sql } from "drizzle-orm";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import { UnknownExtensionInstanceError } from "../errors.ts";
import { checkNames } from "../internal/check_options.ts";
import { kindOf } from "../internal/kind_of.ts";
import type { ExtensionStorage } from "../webhooks/storage.ts";
import type { ColumnKey } from "./internal/columns/column_key.ts";
import { primaryOf, undecorated } from "./internal/columns/database.ts";
import { isEncrypted } from "./internal/columns/encrypted_column.ts";
import {
  assertGiven,
  assertId,
  assertState,
  assertText,
  isStorable,
} from "./internal/storage/check_event.ts";
import {
  keyOfSecrets,
  readStorageOptions,
  type StorageSettings,
} from "./internal/storage/check_storage.ts";
import { ColumnNames } from "./internal/storage/column_names.ts";
import { EventFence } from "./internal/storage/event_fence.ts";
import { eventMoment, readEventTime } from "./internal/storage/event_moment.ts";
import { EventStore } from "./internal/storage/event_store.ts";
import { RecoveryAccess } from "./internal/storage/recovery_access.ts";
import { runStatement } from "./internal/storage/run_statement.ts";
import type { EncryptedNames } from "./internal/storage/schema_types.ts";
import type { ExtensionInstanceTable, InstanceWithoutSecret } from "./schema.ts";
import type { EncryptableDatabase } from "./interfaces.ts";
import { withEncryption } from "./session.ts";
import type { EventTime } from "../webhooks/storage.ts";
import type { StorageRecovery } from "./storage_recovery.ts";
import type {
  DbClientWithExtensionInstances,
  ExtensionInstanceToBeAdded,
  ExtensionInstanceToBeUpdated,
  PgExtensionStorageOptions,
  StorageHealth,
} from "./storage_options.ts";

/** How messages of reads begin. */
const ATTEMPTS = {
  getExtension: "Reading an extension instance",
  getInstance: "Reading an extension instance without its secret",
  forgetRemoved: "Forgetting removed extension instances",
} as const;

/** A statement of Drizzle's that is built once. */
interface PreparedSelect {
  execute(values?: Record<string, unknown>): Promise<Record<string, unknown>[]>;
}

/**
 * Keeps the instances of a mittwald extension in PostgreSQL, from `@wais/mitthooks-drizzle/pg`. Hand it to
 * mitthooks, or to the webhook handler of this package.
 *
 * With the option `lastEvents` the table is what mittwald says, whatever arrives in whatever order: an event is applied
 * only if no newer one of its instance was, after a removal nothing but a removal is, and a removal always is. With the
 * option `on` the application takes part in the transactions that change instances, see {@linkcode ChangeHandlers}.
 *
 * Each method sends one statement; `removeInstance` sends two with `lastEvents`, and events that there is a handler for
 * are stored in a transaction. None of the statements is a named prepared statement, so it works behind a connection
 * pooler such as PgBouncer. Secrets are encrypted before a statement or a transaction begins. Deadlocks and
 * serialization failures are tried again, up to five times in all. Given a transaction the storage takes part in it,
 * and tries nothing again. Errors:
 * - {@linkcode StorageError}: the database refused or could not be reached; `cause` is the driver's error,
 * - {@linkcode TableMissingError}: the migration has not been run,
 * - {@linkcode UnknownExtensionInstanceError}: see the methods,
 * - {@linkcode StaleEventError}: a newer event was applied before, or the instance was removed; only with `lastEvents`,
 * - {@linkcode HandlerFailedError}: a handler of the option `on` threw; nothing is stored, `cause` is what it threw,
 * - `TypeError`: an argument is missing, or a secret is not well-formed Unicode,
 * - `RangeError`: an event occurred more than 5 minutes in the future,
 * - what a key of your own rejects with.
 *
 * @typeParam TTable The table, with the application's own columns if it has some.
 * @typeParam TDatabase The database.
 *
 * @example Store an instance and read its secret
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { buildExtensionInstanceTable, buildLastEventTable } from "@wais/mitthooks-drizzle/pg/schema";
 *
 * const extensionInstances = buildExtensionInstanceTable(
 *   buildEncryptedTextColumn(buildEncryptionKey("master password", "salt")),
 * );
 * const lastEvents = buildLastEventTable();
 *
 * await using client = await PGlite.create();
 * await client.exec(`
 *   CREATE TYPE context AS ENUM ('customer', 'project');
 *   CREATE TABLE extension_instance (
 *     id varchar(36) PRIMARY KEY, "contextId" varchar(36) NOT NULL,
 *     context context DEFAULT 'project' NOT NULL, active boolean NOT NULL, variant_key text,
 *     consented_scopes text[] NOT NULL, secret text,
 *     "createdAt" timestamp DEFAULT now() NOT NULL, "updatedAt" timestamp DEFAULT now() NOT NULL
 *   );
 *   CREATE TABLE extension_instance_last_event (
 *     instance_id varchar(36) PRIMARY KEY, kind text NOT NULL, created_at timestamptz NOT NULL,
 *     request_ids text[] DEFAULT '{}' NOT NULL, called_at timestamptz
 *   )`);
 *
 * const storage = new PgExtensionStorage(drizzle(client), extensionInstances, { lastEvents });
 * await storage.upsertExtension({
 *   extensionInstanceId: "instance-1",
 *   contextId: "p-abc123",
 *   consentedScopes: ["project:read"],
 *   secret: "s3cr3t",
 * });
 *
 * const instance = await storage.getExtension("instance-1");
 * assertEquals(instance?.secret, "s3cr3t");
 * ```
 */
export class PgExtensionStorage<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDatabase extends DbClientWithExtensionInstances = DbClientWithExtensionInstances,
> implements ExtensionStorage {
  /**
   * Whether the storage refuses events that come late, or again: whether it was made with `lastEvents`. A handler of
   * webhooks asks for it, and warns where it is `false`.
   */
  readonly ordersEvents: boolean;

  // Types that do not depend on the type parameters: a storage of any table and database is a storage.
  readonly #db: EncryptableDatabase;
  readonly #table: ExtensionInstanceTable;
  readonly #key: ColumnKey;
  readonly #settings: StorageSettings;
  readonly #events: EventStore;
  #get: PreparedSelect | undefined;
  #getInstance: PreparedSelect | undefined;
  #recovery: StorageRecovery | undefined;
  #verify: readonly PreparedSelect[] | undefined;

  /**
   * Sends nothing yet.
   *
   * @param db The database or transaction to store in.
   * @param table What `buildExtensionInstanceTable` built.
   * @param options The table of last events, handlers for changes, and what happens on updates of unknown instances.
   * @throws {TypeError} `db` is no PostgreSQL database of Drizzle, or has replicas and is not wrapped. The table's
   * secrets are not encrypted. An option is unknown or of the wrong type, `on` is given without `lastEvents`, or for a
   * driver that has no transactions.
   */
  constructor(
    db: TDatabase,
    table: TTable,
    options: PgExtensionStorageOptions<TTable, TDatabase> = {},
  ) {
    this.#db = withEncryption<EncryptableDatabase>(db ? primaryOf<EncryptableDatabase>(db) : db);
    this.#table = table;
    this.#key = keyOfSecrets(table);
    this.#settings = readStorageOptions(options);
    this.ordersEvents = this.#settings.lastEvents !== undefined;
    this.#events = new EventStore(undecorated(this.#db), withEncryption, table, this.#settings);
  }

  /**
   * Stores an instance: the whole new state, whether or not it is stored already. `createdAt` stays what
   * it was, and so do the application's own columns.
   *
   * @param extension The instance. Without a variant key, a stored one is removed.
   * @throws {StaleEventError} A newer event of the instance was applied before, or it was removed.
   */
  async upsertExtension(extension: ExtensionInstanceToBeAdded): Promise<void> {
    const { context, extensionInstanceId, contextId, consentedScopes, secret } = extension;
    const terms = this.#events.begin("upsertExtension");
    const { attempt } = terms;
    assertId(attempt, extensionInstanceId);
    assertText(attempt, "extensionInstanceId", extensionInstanceId);
    assertState(attempt, extension);
    this.#key.storable(secret);
    const moment = eventMoment(attempt, extension);
    const ciphertext = await this.#key.encrypt(secret);
    const now = new Date();
    await this.#events.store(terms, moment, {
      id: extensionInstanceId,
      contextId,
      ...(context && { context }),
      active: extension.enabled ?? true,
      variantKey: extension.variantKey ?? null,
      consentedScopes,
      secret: ciphertext,
      createdAt: now,
      updatedAt: now,
    }, { plaintext: secret, ciphertext });
  }

  /**
   * Replaces the state of a stored instance, all but its secret.
   *
   * @param extension The instance. Without a variant key, a stored one is removed.
   * @throws {UnknownExtensionInstanceError} It is not stored, unless unknown instances are ignored. It is not noted as
   * the instance's last event then.
   * @throws {StaleEventError} A newer event of the instance was applied before, or it was removed.
   */
  async updateExtension(extension: ExtensionInstanceToBeUpdated): Promise<void> {
    const { context, extensionInstanceId, contextId, consentedScopes, enabled } = extension;
    const terms = this.#events.begin("updateExtension");
    const { attempt } = terms;
    assertId(attempt, extensionInstanceId);
    assertGiven(attempt, { enabled });
    assertState(attempt, extension);
    const moment = eventMoment(attempt, extension);
    try {
      await this.#events.store(terms, moment, {
        id: extensionInstanceId,
        contextId,
        ...(context && { context }),
        active: enabled,
        variantKey: extension.variantKey ?? null,
        consentedScopes,
        updatedAt: new Date(),
      });
    } catch (error) {
      if (
        error instanceof UnknownExtensionInstanceError &&
        this.#settings.unknownInstances === "ignore"
      ) return;
      throw error;
    }
  }

  /**
   * Replaces the secret of a stored instance.
   *
   * @param extensionInstanceId Id of the instance.
   * @param secret The new secret.
   * @param options The time of the event.
   * @throws {UnknownExtensionInstanceError} It is not stored, also if unknown instances are ignored: the
   * old secret is no longer valid, so the new one must not get lost. It is not noted as the instance's last event.
   * @throws {StaleEventError} A newer event of the instance was applied before, or it was removed.
   */
  async rotateSecret(
    extensionInstanceId: string,
    secret: string,
    options: EventTime = {},
  ): Promise<void> {
    const terms = this.#events.begin("rotateSecret");
    assertId(terms.attempt, extensionInstanceId);
    this.#key.storable(secret);
    const moment = readEventTime(terms.attempt, options);
    const ciphertext = await this.#key.encrypt(secret);
    await this.#events.store(terms, moment, {
      id: extensionInstanceId,
      secret: ciphertext,
      updatedAt: new Date(),
    }, { plaintext: secret, ciphertext });
  }

  /**
   * Removes an instance. Succeeds also if it is not stored, and whatever its last event was.
   *
   * @param extensionInstanceId Id of the instance.
   * @param options The time of the event.
   */
  async removeInstance(extensionInstanceId: string, options: EventTime = {}): Promise<void> {
    const terms = this.#events.begin("removeInstance");
    assertId(terms.attempt, extensionInstanceId);
    const moment = readEventTime(terms.attempt, options);
    await this.#events.remove(terms, moment, extensionInstanceId);
  }

  /**
   * Forgets instances that were removed: deletes the rows of their last events. From then on a delivery from before the
   * removal that arrives late, or is played back, would be stored; so keep them for longer than deliveries are accepted,
   * see `maxAgeMs` of `createWebhookHandler`.
   *
   * @param before Instances that were removed before this time are forgotten.
   * @returns How many were forgotten.
   * @throws {TypeError} `before` is not a valid `Date`, or the storage has no table of last events.
   * @throws {RangeError} `before` is in the future.
   *
   * @example Once a day
   * ```ts
   * import type { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
   *
   * const KEEP_MS = 90 * 24 * 60 * 60 * 1000;
   *
   * export async function cleanUp(storage: PgExtensionStorage): Promise<void> {
   *   const forgotten = await storage.forgetRemoved(new Date(Date.now() - KEEP_MS));
   *   console.log(`${forgotten} removed instances forgotten`);
   * }
   * ```
   */
  async forgetRemoved(before: Date): Promise<number> {
    const attempt = ATTEMPTS.forgetRemoved;
    if (!this.ordersEvents) {
      throw new TypeError(`${attempt}: the storage has no table of last events`);
    }
    if (kindOf(before) !== "Date" || Number.isNaN(before.getTime())) {
      throw new TypeError(`${attempt}: before is not a valid Date`);
    }
    if (before.getTime() > Date.now()) throw new RangeError(`${attempt}: before is in the future`);
    return await this.#events.forgetRemoved(before);
  }

  /**
   * Reads an instance, never from Drizzle's cache.
   *
   * @param extensionInstanceId Id of the instance.
   * @returns The row with its secret decrypted and the application's own columns, or `undefined` where it
   * is not stored.
   * @throws {DecryptionError} The secret was written under another key, or it is damaged.
   */
  async getExtension(
    extensionInstanceId: string,
  ): Promise<TTable["$inferSelect"] | undefined> {
    assertId(ATTEMPTS.getExtension, extensionInstanceId);
    if (!isStorable(extensionInstanceId)) return undefined;
    const table = this.#table;
    const select = this.#get ??= prepare(
      this.#reader().select().from(table).where(eq(table.id, sql.placeholder("id")))
        .$withCache(false),
    );
    const rows = await runStatement(
      "getExtension",
      () => select.execute({ id: extensionInstanceId }),
    );
    return rows[0] as TTable["$inferSelect"] | undefined;
  }

  /**
   * Reads an instance and names encrypted columns of the application's own that it is to have.
   *
   * @param extensionInstanceId Id of the instance.
   * @param options The columns to decrypt.
   * @returns The row without its secret, or `undefined` where it is not stored.
   * @throws {TypeError} `decrypt` names the secret, or what is no encrypted column.
   * @throws {DecryptionError} A named column was written under another key, or it is damaged.
   */
  getInstance<TName extends EncryptedNames<TTable>>(
    extensionInstanceId: string,
    options: { readonly decrypt: readonly TName[] },
  ): Promise<InstanceWithoutSecret<TTable, TName> | undefined>;
  /**
   * Reads what a page may know of an instance: its row without the secret and without encrypted columns of the
   * application's own. Nothing is decrypted, so no key is needed. Never from Drizzle's cache.
   *
   * @param extensionInstanceId Id of the instance.
   * @returns The row, or `undefined` where it is not stored.
   *
   * @example The backend of a page
   * ```ts
   * import type { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
   *
   * export async function instancePage(storage: PgExtensionStorage, id: string): Promise<Response> {
   *   const instance = await storage.getInstance(id);
   *   return instance ? Response.json(instance) : new Response("No such instance", { status: 404 });
   * }
   * ```
   */
  getInstance(extensionInstanceId: string): Promise<InstanceWithoutSecret<TTable> | undefined>;
  async getInstance(
    extensionInstanceId: string,
    options?: { readonly decrypt: readonly string[] },
  ): Promise<unknown> {
    assertId(ATTEMPTS.getInstance, extensionInstanceId);
    if (!isStorable(extensionInstanceId)) return undefined;
    const select = options === undefined
      ? this.#getInstance ??= this.#selectInstance([])
      : this.#selectInstance(readDecrypt(options));
    const rows = await runStatement(
      "getInstance",
      () => select.execute({ id: extensionInstanceId }),
    );
    return rows[0];
  }

  #selectInstance(decrypt: readonly string[]): PreparedSelect {
    const table = this.#table;
    const encrypted = Object.entries(getTableColumns(table)).filter(([, column]) =>
      isEncrypted(column)
    ).map(([name]) => name);
    for (const name of decrypt) {
      if (name === "secret") {
        throw new TypeError(`${ATTEMPTS.getInstance}: decrypt names it, use getExtension`);
      }
      if (!encrypted.includes(name)) {
        throw new TypeError(
          `${ATTEMPTS.getInstance}: the table has no encrypted column ${JSON.stringify(name)}`,
        );
      }
    }
    const columns = Object.entries(getTableColumns(table)).filter(([name]) =>
      !encrypted.includes(name) || decrypt.includes(name)
    );
    return prepare(
      this.#reader().select(Object.fromEntries(columns)).from(table)
        .where(eq(table.id, sql.placeholder("id"))).$withCache(false),
    );
  }

  /**
   * Checks that the storage can do its work: the database answers, the tables are there with every column,
   * the key can be had, and a stored secret, if there is one, can be read. Meant for a health check or the
   * start of an application; nothing is written.
   *
   * @returns What the storage guards.
   * @throws {TableMissingError} The table does not exist.
   * @throws {StorageError} A column does not exist, or the database cannot be reached.
   * @throws {DecryptionError} The stored secret cannot be read, most likely because master password or
   * salt are not those it was written under.
   *
   * @example A health endpoint
   * ```ts
   * import type { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
   *
   * export async function health(storage: PgExtensionStorage): Promise<Response> {
   *   try {
   *     const { ordersEvents } = await storage.verify();
   *     return new Response(ordersEvents ? "healthy" : "healthy, but recorded deliveries can be played back");
   *   } catch (error) {
   *     console.error(error);
   *     return new Response("unhealthy", { status: 503 });
   *   }
   * }
   * ```
   */
  async verify(): Promise<StorageHealth> {
    const table = this.#table;
    const { lastEvents } = this.#settings;
    // What a cache answers says nothing about the database.
    const [instance, ...others] = this.#verify ??= [
      prepare(
        this.#reader().select().from(table).where(isNotNull(table.secret)).limit(1)
          .$withCache(false),
      ),
      ...lastEvents
        ? [prepare(this.#reader().select().from(lastEvents).limit(1).$withCache(false))]
        : [],
    ];
    const rows = await runStatement("verify", () => instance!.execute());
    for (const other of others) await runStatement("verify", () => other.execute());
    // Where no secret is stored, nothing has asked for the key so far.
    if (rows.length === 0) await this.#key.decrypt(await this.#key.encrypt(""));
    return { ordersEvents: this.ordersEvents };
  }

  /**
   * How `./recovery` reads and mends instances: past the events, but never against them. `compareWithMstudio` and
   * `repair` take the storage and ask for this; it may change in every version.
   */
  get recovery(): StorageRecovery {
    const { lastEvents } = this.#settings;
    const db = undecorated(this.#db);
    return this.#recovery ??= new RecoveryAccess({
      db,
      table: this.#table,
      key: this.#key,
      fence: lastEvents && new EventFence(lastEvents, new ColumnNames(db)),
      store: (operation, ...event) => this.#events.store(this.#events.begin(operation), ...event),
      remove: (id) => this.removeInstance(id),
    });
  }

  /** The decorated database, with Drizzle's own types: they are the same for every driver. */
  #reader(): PgDatabase<PgQueryResultHKT> {
    return this.#db as unknown as PgDatabase<PgQueryResultHKT>;
  }
}

/** Without a name, unlike the `prepare` of Drizzle 1.0, which makes one up where none is given. */
function prepare(select: unknown): PreparedSelect {
  return (select as { _prepare(): PreparedSelect })._prepare();
}

function readDecrypt(options: { readonly decrypt: readonly string[] }): readonly string[] {
  const attempt = ATTEMPTS.getInstance;
  checkNames(attempt, options, ["decrypt"]);
  if (!Array.isArray(options.decrypt)) throw new TypeError(`${attempt}: decrypt is not an array`);
  return options.decrypt;
}
