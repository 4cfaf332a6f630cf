/** Stores extension instances. */

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

/** Start of the messages of reads. */
const ATTEMPTS = {
  getExtension: "Reading an extension instance",
  getInstance: "Reading an extension instance without its secret",
  forgetRemoved: "Forgetting removed extension instances",
} as const;

/** A Drizzle statement that is built once. */
interface PreparedSelect {
  execute(values?: Record<string, unknown>): Promise<Record<string, unknown>[]>;
}

/**
 * Stores the instances of a mittwald extension in PostgreSQL. Pass it to mitthooks or to this
 * package's webhook handler. Exported by `@wais/mitthooks-drizzle/pg`.
 *
 * With the option `lastEvents`, the table matches mStudio however late, often or concurrently
 * events arrive: an event is applied only if no newer one was, a removal is always applied, and
 * after a removal only further removals are applied. With the option `on`, the application takes
 * part in the transactions that change instances, see {@linkcode ChangeHandlers}.
 *
 * Each method sends one statement; `removeInstance` sends two with `lastEvents`; events with a
 * handler are stored in a transaction. Statements are not named prepared statements, so it works
 * behind a connection pooler such as PgBouncer. Secrets are encrypted before a statement or
 * transaction begins. Deadlocks and serialization failures are retried, with up to five attempts in
 * total. If `db` is a transaction, the storage takes part in it and retries nothing.
 *
 * Errors:
 * - {@linkcode StorageError}: the database refused a statement or could not be reached; `cause` is
 *   the driver's error,
 * - {@linkcode TableMissingError}: the migrations have not been run,
 * - {@linkcode UnknownExtensionInstanceError}: see the methods,
 * - {@linkcode StaleEventError}: a newer event was already applied, or the instance was removed;
 *   only with `lastEvents`,
 * - {@linkcode HandlerFailedError}: a handler of the option `on` failed, and nothing was stored;
 *   `cause` is its error,
 * - `TypeError`: an argument is missing or invalid, or a secret is not well-formed Unicode,
 * - `RangeError`: an event's time is more than 5 minutes in the future,
 * - errors of your own `EncryptionKey`, unchanged.
 *
 * @typeParam TTable The table, including the application's own columns.
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
   * Whether the storage refuses late and repeated events, that is, whether it has `lastEvents`. A
   * webhook handler warns if it is `false`.
   */
  readonly ordersEvents: boolean;

  // These types are independent of the type parameters, so that any storage is assignable to
  // `PgExtensionStorage`.
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
   * Stores the instances of a mittwald extension in PostgreSQL. Sends no statement yet.
   *
   * @param db The database or transaction.
   * @param table The result of `buildExtensionInstanceTable`.
   * @param options The table of last events, handlers for changes, and the treatment of unknown
   *   instances.
   * @throws {TypeError} When `db` is not a Drizzle PostgreSQL database, or has replicas that are
   *   not wrapped; when the table's secrets are not encrypted; when an option is invalid or
   *   unknown; when `on` is given without `lastEvents`, or for a driver without transactions.
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
   * Stores the whole state of an instance, new or existing. An existing row keeps `createdAt` and
   * the application's own columns.
   *
   * @param extension The instance. A missing variant key removes the stored one.
   * @throws {StaleEventError} When a newer event was already applied, or the instance was removed.
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
   * Replaces the state of a stored instance, except its secret.
   *
   * @param extension The instance. A missing variant key removes the stored one.
   * @throws {UnknownExtensionInstanceError} When the instance is not stored, unless unknown
   *   instances are ignored. The event is not recorded as its last one then.
   * @throws {StaleEventError} When a newer event was already applied, or the instance was removed.
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
   * @param extensionInstanceId The instance's id.
   * @param secret The new secret.
   * @param options The time of the event.
   * @throws {UnknownExtensionInstanceError} When the instance is not stored, even if unknown
   *   instances are ignored: the old secret is no longer valid, so the new one must not get lost.
   *   The event is not recorded as its last one then.
   * @throws {StaleEventError} When a newer event was already applied, or the instance was removed.
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
   * Removes an instance, whatever its last event was. Succeeds if it is not stored.
   *
   * @param extensionInstanceId The instance's id.
   * @param options The time of the event.
   */
  async removeInstance(extensionInstanceId: string, options: EventTime = {}): Promise<void> {
    const terms = this.#events.begin("removeInstance");
    assertId(terms.attempt, extensionInstanceId);
    const moment = readEventTime(terms.attempt, options);
    await this.#events.remove(terms, moment, extensionInstanceId);
  }

  /**
   * Deletes the last events of removed instances. Afterwards, a late or replayed delivery from
   * before the removal would be stored again, so keep them for longer than deliveries are accepted,
   * see `maxAgeMs` of `createWebhookHandler`.
   *
   * @param before Instances removed before this time are forgotten.
   * @returns How many instances were forgotten.
   * @throws {TypeError} When `before` is not a valid `Date`, or the storage has no table of last
   *   events.
   * @throws {RangeError} When `before` is in the future.
   *
   * @example Clean up once a day
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
   * Reads an instance. Bypasses Drizzle's cache.
   *
   * @param extensionInstanceId The instance's id.
   * @returns The row with its decrypted secret and the application's own columns, or `undefined` if
   *   it is not stored.
   * @throws {DecryptionError} When the secret was encrypted with another key, or is damaged.
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
   * Reads an instance without its secret, but with the named encrypted columns of the application.
   *
   * @param extensionInstanceId The instance's id.
   * @param options The columns to decrypt.
   * @returns The row without its secret, or `undefined` if it is not stored.
   * @throws {TypeError} When `decrypt` contains the secret, or a name that is not an encrypted column.
   * @throws {DecryptionError} When a named column was encrypted with another key, or is damaged.
   */
  getInstance<TName extends EncryptedNames<TTable>>(
    extensionInstanceId: string,
    options: { readonly decrypt: readonly TName[] },
  ): Promise<InstanceWithoutSecret<TTable, TName> | undefined>;
  /**
   * Reads the part of an instance that a page may see: its row without the secret and without the
   * application's encrypted columns. Decrypts nothing, so it needs no key. Bypasses Drizzle's
   * cache.
   *
   * @param extensionInstanceId The instance's id.
   * @returns The row, or `undefined` if it is not stored.
   *
   * @example A page's backend
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
        throw new TypeError(`${ATTEMPTS.getInstance}: decrypt contains it, use getExtension`);
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
   * Checks that the storage works: the database answers, the tables exist with all columns, the key
   * is available, and a stored secret, if there is one, can be decrypted. Use it in health checks
   * or at the start of an application. Writes nothing.
   *
   * @returns The storage's guarantees.
   * @throws {TableMissingError} When a table does not exist.
   * @throws {StorageError} When a column does not exist, or the database cannot be reached.
   * @throws {DecryptionError} When the stored secret cannot be decrypted, most likely because it
   *   was encrypted with another master password or salt.
   *
   * @example A health endpoint
   * ```ts
   * import type { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
   *
   * export async function health(storage: PgExtensionStorage): Promise<Response> {
   *   try {
   *     const { ordersEvents } = await storage.verify();
   *     return new Response(ordersEvents ? "healthy" : "healthy, but recorded deliveries can be replayed");
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
    // An answer from the cache says nothing about the database.
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
    // Without a stored secret, the key has not been used so far.
    if (rows.length === 0) await this.#key.decrypt(await this.#key.encrypt(""));
    return { ordersEvents: this.ordersEvents };
  }

  /**
   * Reads and repairs instances outside events, without ever overriding one. For
   * `compareWithMstudio` and `repair` of `./recovery`; may change in any version.
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

  /** The decorated database with Drizzle's types, which are the same for every driver. */
  #reader(): PgDatabase<PgQueryResultHKT> {
    return this.#db as unknown as PgDatabase<PgQueryResultHKT>;
  }
}

/** Prepares a statement without a name; `prepare` of Drizzle 1.0 would generate one. */
function prepare(select: unknown): PreparedSelect {
  return (select as { _prepare(): PreparedSelect })._prepare();
}

function readDecrypt(options: { readonly decrypt: readonly string[] }): readonly string[] {
  const attempt = ATTEMPTS.getInstance;
  checkNames(attempt, options, ["decrypt"]);
  if (!Array.isArray(options.decrypt)) throw new TypeError(`${attempt}: decrypt is not an array`);
  return options.decrypt;
}
