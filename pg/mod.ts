/**
 * # PostgreSQL
 *
 * Storage and encryption in PostgreSQL: {@linkcode PgExtensionStorage} stores extension instances,
 * {@linkcode withEncryption} makes an application's queries read and write encrypted columns, and
 * `reencrypt` changes their keys. Also exports everything from
 * `@wais/mitthooks-drizzle/pg/encryption` and `@wais/mitthooks-drizzle/pg/schema`.
 *
 * @example Query the instances with Drizzle
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { eq } from "drizzle-orm";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { pgTable, text } from "drizzle-orm/pg-core";
 * import { buildEncryptedTextColumn, buildEncryptionKey, withEncryption } from "@wais/mitthooks-drizzle/pg";
 *
 * const encryptedText = buildEncryptedTextColumn(buildEncryptionKey("master password", "salt"));
 * const accounts = pgTable("account", { id: text().primaryKey(), apiToken: encryptedText("api_token") });
 *
 * await using client = await PGlite.create();
 * await client.exec("CREATE TABLE account (id text PRIMARY KEY, api_token text)");
 * const db = withEncryption(drizzle(client));
 *
 * await db.insert(accounts).values({ id: "ada", apiToken: "t0k3n" });
 * const [ada] = await db.select().from(accounts).where(eq(accounts.id, "ada"));
 * assertEquals(ada?.apiToken, "t0k3n");
 * ```
 *
 * @module
 */

export {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  type BuildEncryptionKeyOptions,
  type EncryptedTextColumn,
  type EncryptedTextColumnBuilder,
  type EncryptionKey,
  importEncryptionKey,
  type ImportEncryptionKeyOptions,
  type KeyDerivation,
  plaintext,
} from "./encryption.ts";
export {
  DeadlineExceededError,
  DecryptionError,
  type ErrorCode,
  HandlerFailedError,
  InvalidCiphertextError,
  MitthooksDrizzleError,
  StaleEventError,
  StorageError,
  type StorageOperation,
  TableMissingError,
  UnknownExtensionInstanceError,
} from "../errors.ts";
export {
  type KeyCounts,
  keyStatus,
  type KeyStatusOptions,
  type KeyStatusProgress,
  type PrimaryKeyOf,
  reencrypt,
  type ReencryptionProgress,
  type ReencryptionReport,
  type ReencryptOptions,
} from "./reencryption.ts";
export {
  type AdditionalColumns,
  buildExtensionInstanceTable,
  buildLastEventTable,
  type CheckedColumns,
  type CheckedSecret,
  context,
  type ExtensionInstanceTable,
  type InstanceWithoutSecret,
  type LastEventTable,
  type TableOptions,
} from "./schema.ts";
export type { EncryptableDatabase } from "./interfaces.ts";
export { withEncryption } from "./session.ts";
export { PgExtensionStorage } from "./storage.ts";
export type {
  ChangeHandlers,
  ContextKind,
  DbClientWithExtensionInstances,
  ExtensionInstanceToBeAdded,
  ExtensionInstanceToBeUpdated,
  InstanceChange,
  InstanceRemoval,
  InstanceUpdate,
  OrderedStorageOptions,
  PgExtensionStorageOptions,
  RemovedInstance,
  StorageHealth,
  StorageLogger,
  TransactionOf,
  UnorderedStorageOptions,
} from "./storage_options.ts";
export type {
  ComparedState,
  OpenedSecret,
  RecordedInstance,
  RecordedSecret,
  StorageRecovery,
} from "./storage_recovery.ts";
export type { EventTime } from "../webhooks/storage.ts";
