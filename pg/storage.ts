/** The storage of extension instances. */

import type {
  ExtensionStorage,
  ExtensionToBeAdded,
  ExtensionToBeUpdated,
} from "@weissaufschwarz/mitthooks/storage/extensionStorage";
import { eq, isNotNull } from "drizzle-orm";
import { alias, type PgDatabase, type PgQueryResultHKT } from "drizzle-orm/pg-core";
import { UnknownExtensionInstanceError } from "../errors.ts";
import type { ExtensionInstanceTable } from "./schema.ts";
import { keyOf } from "./internal/encrypted_column.ts";
import { runStatement } from "./internal/run_statement.ts";
import { assertStorableText } from "./internal/well_formed.ts";
import { type EncryptableDatabase, withEncryption } from "./session.ts";

/** How messages begin. */
const ATTEMPTS = {
  upsertExtension: "Storing an extension instance",
  updateExtension: "Updating an extension instance",
  rotateSecret: "Rotating the secret of an extension instance",
  removeInstance: "Removing an extension instance",
  getExtension: "Reading an extension instance",
} as const;

/**
 * A Drizzle PostgreSQL database, or a transaction of one, of any driver. It need not be wrapped by
 * `withEncryption`.
 */
export type DbClientWithExtensionInstances = EncryptableDatabase;

/** What an extension instance belongs to. */
export type ContextKind = "customer" | "project";

/** An instance as mitthooks hands it over when it was added, and what mittwald sends besides. */
export interface ExtensionInstanceToBeAdded extends ExtensionToBeAdded {
  /** Without it a new row gets the table's default, `project`, and an existing one keeps what it has. */
  context?: ContextKind;
  /** Whether the instance is enabled; `true` without it. */
  enabled?: boolean;
}

/** An instance as mitthooks hands it over when it was updated, and what mittwald sends besides. */
export interface ExtensionInstanceToBeUpdated extends ExtensionToBeUpdated {
  /** Without it the row keeps what it has. */
  context?: ContextKind;
}

/** Options of {@linkcode PgExtensionStorage}. */
export interface PgExtensionStorageOptions {
  /**
   * What an update of an instance that is not stored does: reject with an
   * {@linkcode UnknownExtensionInstanceError}, so that mittwald delivers it again, or nothing.
   * A new secret for an unknown instance always rejects.
   */
  unknownInstances: "error" | "ignore";
}

/**
 * Keeps the instances of a mittwald extension in PostgreSQL, from `@wais/mitthooks-drizzle/pg`. Hand it to
 * mitthooks, or to the webhook handler of this package.
 *
 * Each method sends one statement, none of them a named prepared statement, so it works behind a
 * connection pooler such as PgBouncer. Given a transaction it takes part in it. Errors:
 * - {@linkcode StorageError}: the database refused or could not be reached; `cause` is the driver's error,
 * - {@linkcode TableMissingError}: the migration has not been run,
 * - {@linkcode UnknownExtensionInstanceError}: see the methods,
 * - `TypeError`: an argument is missing, or a secret is not well-formed Unicode,
 * - what a key of your own rejects with.
 *
 * @typeParam TTable The table, with the application's own columns if it has some.
 *
 * @example Store an instance and read its secret
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { buildExtensionInstanceTable } from "@wais/mitthooks-drizzle/pg/schema";
 *
 * const extensionInstances = buildExtensionInstanceTable(
 *   buildEncryptedTextColumn(buildEncryptionKey("master password", "salt")),
 * );
 *
 * await using client = await PGlite.create();
 * await client.exec(`
 *   CREATE TYPE context AS ENUM ('customer', 'project');
 *   CREATE TABLE extension_instance (
 *     id varchar(36) PRIMARY KEY, "contextId" varchar(36) NOT NULL,
 *     context context DEFAULT 'project' NOT NULL, active boolean NOT NULL, variant_key text,
 *     consented_scopes text[] NOT NULL, secret text,
 *     "createdAt" timestamp DEFAULT now() NOT NULL, "updatedAt" timestamp DEFAULT now() NOT NULL
 *   )`);
 *
 * const storage = new PgExtensionStorage(drizzle(client), extensionInstances);
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
export class PgExtensionStorage<TTable extends ExtensionInstanceTable = ExtensionInstanceTable>
  implements ExtensionStorage {
  // Drizzle's own types of what the statements below need. They are the same for every driver.
  readonly #db: PgDatabase<PgQueryResultHKT>;
  readonly #table: ExtensionInstanceTable;
  readonly #unknownInstances: PgExtensionStorageOptions["unknownInstances"];

  /**
   * Sends nothing yet.
   *
   * @param db The database or transaction to store in.
   * @param table What `buildExtensionInstanceTable` built.
   * @param options What happens on updates of unknown instances; they are errors by default.
   * @throws {TypeError} `db` is no PostgreSQL database of Drizzle, or has replicas and is not wrapped.
   */
  constructor(
    db: DbClientWithExtensionInstances,
    table: TTable,
    options: PgExtensionStorageOptions = { unknownInstances: "error" },
  ) {
    this.#db = withEncryption(db) as unknown as PgDatabase<PgQueryResultHKT>;
    this.#table = table;
    this.#unknownInstances = options.unknownInstances;
  }

  /**
   * Stores an instance: the whole new state, whether or not it is stored already. `createdAt` stays what
   * it was, and so do the application's own columns.
   *
   * @param extension The instance. Without a variant key, a stored one is removed.
   */
  async upsertExtension(extension: ExtensionInstanceToBeAdded): Promise<void> {
    const { context, extensionInstanceId, contextId, consentedScopes, secret } = extension;
    assertGiven(ATTEMPTS.upsertExtension, { extensionInstanceId, contextId, consentedScopes });
    assertStorableText(secret);
    const now = new Date();
    // The row that was proposed for insertion: what stands in VALUES is not sent, or encrypted, again.
    const excluded = alias(this.#table, "excluded");
    await runStatement("upsertExtension", () =>
      this.#db.insert(this.#table).values({
        id: extensionInstanceId,
        contextId,
        ...(context && { context }),
        active: extension.enabled ?? true,
        variantKey: extension.variantKey ?? null,
        consentedScopes,
        secret,
        createdAt: now,
        updatedAt: now,
      }).onConflictDoUpdate({
        target: this.#table.id,
        set: {
          contextId: excluded.contextId,
          ...(context && { context: excluded.context }),
          active: excluded.active,
          variantKey: excluded.variantKey,
          consentedScopes: excluded.consentedScopes,
          secret: excluded.secret,
          updatedAt: excluded.updatedAt,
        },
      }));
  }

  /**
   * Replaces the state of a stored instance, all but its secret.
   *
   * @param extension The instance. Without a variant key, a stored one is removed.
   * @throws {UnknownExtensionInstanceError} It is not stored, unless unknown instances are ignored.
   */
  async updateExtension(extension: ExtensionInstanceToBeUpdated): Promise<void> {
    const { context, extensionInstanceId, contextId, consentedScopes, enabled } = extension;
    assertGiven(ATTEMPTS.updateExtension, {
      extensionInstanceId,
      contextId,
      consentedScopes,
      enabled,
    });
    const updated = await runStatement("updateExtension", () =>
      this.#db.update(this.#table).set({
        contextId,
        ...(context && { context }),
        active: enabled,
        variantKey: extension.variantKey ?? null,
        consentedScopes,
        updatedAt: new Date(),
      }).where(eq(this.#table.id, extensionInstanceId)).returning({ id: this.#table.id }));
    if (updated.length === 0 && this.#unknownInstances === "error") {
      throw new UnknownExtensionInstanceError(ATTEMPTS.updateExtension, extensionInstanceId);
    }
  }

  /**
   * Replaces the secret of a stored instance.
   *
   * @param extensionInstanceId Id of the instance.
   * @param secret The new secret.
   * @throws {UnknownExtensionInstanceError} It is not stored, also if unknown instances are ignored: the
   * old secret is no longer valid, so the new one must not get lost.
   */
  async rotateSecret(extensionInstanceId: string, secret: string): Promise<void> {
    assertGiven(ATTEMPTS.rotateSecret, { extensionInstanceId });
    assertStorableText(secret);
    const updated = await runStatement(
      "rotateSecret",
      () =>
        this.#db.update(this.#table).set({ secret, updatedAt: new Date() })
          .where(eq(this.#table.id, extensionInstanceId)).returning({ id: this.#table.id }),
    );
    if (updated.length === 0) {
      throw new UnknownExtensionInstanceError(ATTEMPTS.rotateSecret, extensionInstanceId);
    }
  }

  /**
   * Removes an instance. Succeeds also if it is not stored.
   *
   * @param extensionInstanceId Id of the instance.
   */
  async removeInstance(extensionInstanceId: string): Promise<void> {
    assertGiven(ATTEMPTS.removeInstance, { extensionInstanceId });
    await runStatement(
      "removeInstance",
      () => this.#db.delete(this.#table).where(eq(this.#table.id, extensionInstanceId)),
    );
  }

  /**
   * Reads an instance.
   *
   * @param extensionInstanceId Id of the instance.
   * @returns The row with its secret decrypted and the application's own columns, or `undefined` where it
   * is not stored.
   * @throws {DecryptionError} The secret was written under another key, or it is damaged.
   */
  async getExtension(
    extensionInstanceId: string,
  ): Promise<TTable["$inferSelect"] | undefined> {
    assertGiven(ATTEMPTS.getExtension, { extensionInstanceId });
    const rows = await runStatement(
      "getExtension",
      () => this.#db.select().from(this.#table).where(eq(this.#table.id, extensionInstanceId)),
    );
    return rows[0];
  }

  /**
   * Checks that the storage can do its work: the database answers, the table is there with every column,
   * the key can be had, and a stored secret, if there is one, can be read. Meant for a health check or the
   * start of an application; nothing is written.
   *
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
   *     await storage.verify();
   *     return new Response("healthy");
   *   } catch (error) {
   *     console.error(error);
   *     return new Response("unhealthy", { status: 503 });
   *   }
   * }
   * ```
   */
  async verify(): Promise<void> {
    const table = this.#table;
    const rows = await runStatement(
      "verify",
      () =>
        this.#db.select().from(table).where(isNotNull(table.secret)).limit(1)
          // What a cache answers says nothing about the database.
          .$withCache(false),
    );
    const key = keyOf(table.secret);
    // Where no secret is stored, nothing has asked for the key so far.
    if (rows.length === 0 && key) await key.decrypt(await key.encrypt(""));
  }
}

/** Drizzle leaves out what is undefined, and the old value would silently stay. */
function assertGiven(attempt: string, fields: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) {
      throw new TypeError(`${attempt}: ${name} is missing`);
    }
  }
}
