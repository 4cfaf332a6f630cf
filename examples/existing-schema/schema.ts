import process from "node:process";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
} from "@wais/mitthooks-drizzle/pg/encryption";
import {
  buildExtensionInstanceTable,
  buildLastEventTable,
} from "@wais/mitthooks-drizzle/pg/schema";
import { pgTable, serial, text, varchar } from "drizzle-orm/pg-core";

export { context } from "@wais/mitthooks-drizzle/pg/schema";

const encryptedText = buildEncryptedTextColumn(
  buildEncryptionKey(process.env.ENCRYPTION_MASTER_PASSWORD!, process.env.ENCRYPTION_SALT!),
);

export const extensionInstances = buildExtensionInstanceTable(encryptedText);
export const lastEvents = buildLastEventTable();

/** The application's own data, deleted with its instance. */
export const sites = pgTable("site", {
  instanceId: varchar("instance_id", { length: 36 }).primaryKey()
    .references(() => extensionInstances.id, { onDelete: "cascade" }),
  domain: text().notNull(),
  /** The application's own encrypted column. */
  apiToken: encryptedText("api_token"),
});

/** Work outside the database, for a worker of yours. */
export const tasks = pgTable("task", {
  id: serial().primaryKey(),
  kind: text().notNull(),
  domain: text().notNull(),
});
