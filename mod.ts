/**
 * # mitthooks-drizzle
 *
 * Keeps the instances of a mittwald extension, and their secrets encrypted, in PostgreSQL through Drizzle
 * ORM, and takes the lifecycle webhooks about them, on every JavaScript runtime. This module has all public
 * names of `@wais/mitthooks-drizzle/pg` and `@wais/mitthooks-drizzle/webhooks`.
 *
 * @example Storage for mitthooks
 * ```ts
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import {
 *   buildEncryptedTextColumn,
 *   buildEncryptionKey,
 *   buildExtensionInstanceTable,
 *   buildLastEventTable,
 *   PgExtensionStorage,
 * } from "@wais/mitthooks-drizzle";
 *
 * const extensionInstances = buildExtensionInstanceTable(
 *   buildEncryptedTextColumn(buildEncryptionKey("master password", "salt")),
 * );
 * await using client = await PGlite.create();
 * export const storage = new PgExtensionStorage(drizzle(client), extensionInstances, {
 *   lastEvents: buildLastEventTable(),
 * });
 * ```
 *
 * @module
 */

export {
  type AdditionalColumns,
  buildEncryptedTextColumn,
  buildEncryptionKey,
  type BuildEncryptionKeyOptions,
  buildExtensionInstanceTable,
  buildLastEventTable,
  type ChangeHandlers,
  type CheckedColumns,
  context,
  type ContextKind,
  type DbClientWithExtensionInstances,
  DeadlineExceededError,
  DecryptionError,
  type EncryptableDatabase,
  type EncryptedTextColumn,
  type EncryptedTextColumnBuilder,
  type EncryptionKey,
  type ErrorCode,
  type EventTime,
  type ExtensionInstanceTable,
  type ExtensionInstanceToBeAdded,
  type ExtensionInstanceToBeUpdated,
  HandlerFailedError,
  importEncryptionKey,
  type ImportEncryptionKeyOptions,
  type InstanceChange,
  type InstanceRemoval,
  type InstanceUpdate,
  type InstanceWithoutSecret,
  InvalidCiphertextError,
  type KeyCounts,
  type KeyDerivation,
  keyStatus,
  type KeyStatusOptions,
  type KeyStatusProgress,
  type LastEventTable,
  MitthooksDrizzleError,
  PgExtensionStorage,
  type PgExtensionStorageOptions,
  plaintext,
  type PrimaryKeyOf,
  reencrypt,
  type ReencryptionProgress,
  type ReencryptionReport,
  type ReencryptOptions,
  type RemovedInstance,
  StaleEventError,
  StorageError,
  type StorageHealth,
  type StorageLogger,
  type StorageOperation,
  TableMissingError,
  type TableOptions,
  type TransactionOf,
  UnknownExtensionInstanceError,
  withEncryption,
} from "./pg/mod.ts";
export {
  BusyError,
  createWebhookHandler,
  type ExtensionAddedToContextEvent,
  type ExtensionStorage,
  type ExtensionToBeAdded,
  type ExtensionToBeUpdated,
  type InstanceDetails,
  type InstanceRemovedFromContextEvent,
  type InstanceState,
  type InstanceUpdatedEvent,
  type Logger,
  MittwaldPublicKeys,
  type MittwaldPublicKeysOptions,
  type Occurrence,
  type PublicKeyOptions,
  type PublicKeyProvider,
  PublicKeyUnavailableError,
  type SecretRotatedEvent,
  SignatureInvalidError,
  SignatureMalformedError,
  SignatureVerificationHandler,
  UnknownPublicKeyError,
  type VerifiedWebhook,
  verifyWebhook,
  type VerifyWebhookOptions,
  type WebhookErrorDetails,
  type WebhookEvent,
  type WebhookEventBase,
  type WebhookHandlerOptions,
  WebhookRequestError,
  type WebhookRequestErrorCode,
  type WebhookResponseBody,
  type WebhookResponseCode,
  type WebhookStorage,
} from "./webhooks/mod.ts";
