/** The tables of the server under test: the library's, and one that its handlers write to. */

import { jsonb, pgTable, serial, text } from "drizzle-orm/pg-core";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  importEncryptionKey,
} from "../../mod.ts";

/** The key of the secrets: it needs no derivation, for a server that starts often. */
export const key = importEncryptionKey(new Uint8Array(32).map((_, index) => index));

export const extensionInstances = buildExtensionInstanceTable(buildEncryptedTextColumn(key));

/** What the handlers write: a row for each call. */
export const changes = pgTable("change", {
  id: serial().primaryKey(),
  instanceId: text("instance_id").notNull(),
  change: text().notNull(),
  before: jsonb(),
  instance: jsonb().notNull(),
});

/** The DDL of the last one. */
export const changeDdl =
  `CREATE TABLE "change" ("id" serial PRIMARY KEY, "instance_id" text NOT NULL,
  "change" text NOT NULL, "before" jsonb, "instance" jsonb NOT NULL);`;
