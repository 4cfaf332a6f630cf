import process from "node:process";
import * as pg from "@wais/mitthooks-drizzle/pg";
import { pgTable, serial, text, varchar } from "drizzle-orm/pg-core";

export const { context } = pg;

const { ENCRYPTION_MASTER_PASSWORD, ENCRYPTION_SALT } = process.env;
const encryptedText = pg.buildEncryptedTextColumn(
  pg.buildEncryptionKey(ENCRYPTION_MASTER_PASSWORD!, ENCRYPTION_SALT!),
);

export const extensionInstances = pg.buildExtensionInstanceTable(encryptedText);
export const lastEvents = pg.buildLastEventTable();

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
