/**
 * # mitthooks-drizzle
 *
 * Stores the instances of a mittwald extension in PostgreSQL through Drizzle ORM, with encrypted
 * secrets, and handles their lifecycle webhooks, on every JavaScript runtime. This module exports
 * the functions, classes and main types of `@wais/mitthooks-drizzle/pg` and
 * `@wais/mitthooks-drizzle/webhooks`, which export all types.
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
  context,
  type DbClientWithExtensionInstances,
  DeadlineExceededError,
  DecryptionError,
  type EncryptableDatabase,
  type EncryptedTextColumn,
  type EncryptionKey,
  type ErrorCode,
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
  keyStatus,
  type LastEventTable,
  MitthooksDrizzleError,
  type OrderedStorageOptions,
  PgExtensionStorage,
  type PgExtensionStorageOptions,
  plaintext,
  reencrypt,
  StaleEventError,
  StorageError,
  type StorageHealth,
  TableMissingError,
  type TransactionOf,
  UnknownExtensionInstanceError,
  type UnorderedStorageOptions,
  withEncryption,
} from "./pg/mod.ts";
export {
  BusyError,
  createWebhookHandler,
  type EventTime,
  type ExtensionStorage,
  type ExtensionToBeAdded,
  type ExtensionToBeUpdated,
  type Logger,
  MittwaldPublicKeys,
  type MittwaldPublicKeysOptions,
  type PublicKeyOptions,
  type PublicKeyProvider,
  PublicKeyUnavailableError,
  SignatureInvalidError,
  SignatureMalformedError,
  SignatureVerificationHandler,
  UnknownPublicKeyError,
  type VerifiedWebhook,
  verifyWebhook,
  type VerifyWebhookOptions,
  type WebhookErrorDetails,
  type WebhookEvent,
  type WebhookHandlerOptions,
  WebhookRequestError,
  type WebhookResponseBody,
  type WebhookResponseCode,
  type WebhookStorage,
} from "./webhooks/mod.ts";
