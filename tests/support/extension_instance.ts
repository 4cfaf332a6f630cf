/** The extension instance table for tests of its stored rows. */

import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  buildLastEventTable,
} from "../../mod.ts";

/** The table as drizzle-kit generates it from the original package. */
export const extensionInstanceDdl = `
CREATE TYPE "public"."context" AS ENUM('customer', 'project');
CREATE TABLE "extension_instance" (
  "id" varchar(36) PRIMARY KEY NOT NULL,
  "contextId" varchar(36) NOT NULL,
  "context" "context" DEFAULT 'project' NOT NULL,
  "active" boolean NOT NULL,
  "variant_key" text,
  "consented_scopes" text[] NOT NULL,
  "secret" text,
  "createdAt" timestamp DEFAULT now() NOT NULL,
  "updatedAt" timestamp DEFAULT now() NOT NULL
);`;

export const encryptionKey = buildEncryptionKey("master password", "salt");

/** The table without an application's columns. */
export const extensionInstances = buildExtensionInstanceTable(
  buildEncryptedTextColumn(encryptionKey),
);

/** The table of last events as drizzle-kit generates it. */
export const lastEventDdl = `
CREATE TABLE "extension_instance_last_event" (
  "instance_id" varchar(36) PRIMARY KEY NOT NULL,
  "kind" text NOT NULL,
  "created_at" timestamp with time zone NOT NULL,
  "request_ids" text[] DEFAULT '{}' NOT NULL,
  "called_at" timestamp with time zone
);`;

export const lastEvents = buildLastEventTable();
