/** The schema of the demo, as an application would write it. */

import { integer, pgTable, serial, text } from "drizzle-orm/pg-core";
import { buildEncryptedTextColumn, buildEncryptionKey } from "../../pg/encryption.ts";
import { buildExtensionInstanceTable, buildLastEventTable } from "../../pg/schema.ts";

export { context } from "../../pg/schema.ts";

/** Applications read these from the environment. */
export const MASTER_PASSWORD = "correct horse battery staple";
export const SALT = "Fleur de Sel";

export const extensionInstances = buildExtensionInstanceTable(
  buildEncryptedTextColumn(buildEncryptionKey(MASTER_PASSWORD, SALT)),
  { visits: integer().notNull().default(0) },
);

export const lastEvents = buildLastEventTable();

/** The application's own table, to which its change handlers write. */
export const journal = pgTable("journal", {
  id: serial().primaryKey(),
  instanceId: text().notNull(),
  change: text().notNull(),
});
