/**
 * # Recovery
 *
 * Compares the table of instances with mStudio and repairs it: after a restore from a backup, after
 * mStudio has halted deliveries, or after the loss of the table. Needs an API token of a member of
 * the extension's contributor.
 *
 * @example Restore a lost table
 * ```ts
 * import { assert, assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import {
 *   buildEncryptedTextColumn,
 *   buildEncryptionKey,
 *   buildExtensionInstanceTable,
 *   buildLastEventTable,
 *   PgExtensionStorage,
 * } from "@wais/mitthooks-drizzle/pg";
 * import { compareWithMstudio, repair } from "@wais/mitthooks-drizzle/recovery";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 * import { createWebhookHandler } from "@wais/mitthooks-drizzle/webhooks";
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
 * const storage = new PgExtensionStorage(
 *   drizzle(client),
 *   buildExtensionInstanceTable(
 *     buildEncryptedTextColumn(buildEncryptionKey("master password", "salt")),
 *   ),
 *   { lastEvents: buildLastEventTable() },
 * );
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: (request) =>
 *     createWebhookHandler({
 *       storage,
 *       extensionId: "my-extension",
 *       publicKeys: mstudio.publicKeys,
 *     })(request),
 * });
 * const { id } = await mstudio.addInstance();
 * await client.exec("DELETE FROM extension_instance; DELETE FROM extension_instance_last_event");
 *
 * const api = {
 *   storage,
 *   apiToken: mstudio.apiToken, // in real life from the environment
 *   fetch: (input: RequestInfo | URL, init?: RequestInit) => mstudio.api(new Request(input, init)), // in real life left out
 * };
 * const comparison = await compareWithMstudio({ ...api, extensionId: "my-extension" });
 * assertEquals(comparison.missing.map((instance) => instance.id), [id]);
 *
 * const { inserted, rotated } = await repair(comparison, api);
 * assertEquals([inserted, rotated], [1, 1]);
 * assert((await storage.getExtension(id))?.secret);
 * ```
 *
 * @module
 */

export { type CompareOptions, compareWithMstudio, type ComparisonProgress } from "./compare.ts";
export type { ApiAccess, RecoverableStorage } from "./internal/options.ts";
export {
  repair,
  type RepairOptions,
  type RepairProgress,
  type RepairReport,
  type UnrepairedInstance,
} from "./repair.ts";
export type {
  ComparedState,
  Comparison,
  InstanceDifference,
  UnusableReason,
  UnusableSecret,
  WebhookDelivery,
} from "./report.ts";
export { CompareError, type ErrorCode, MitthooksDrizzleError } from "../errors.ts";
export type { RecordedInstance, StorageRecovery } from "../pg/storage_recovery.ts";
