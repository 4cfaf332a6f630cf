import process from "node:process"; // also available when drizzle-kit loads this file
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
} from "@wais/mitthooks-drizzle/pg/encryption";
import {
  buildExtensionInstanceTable,
  buildLastEventTable,
} from "@wais/mitthooks-drizzle/pg/schema";
import { text } from "drizzle-orm/pg-core";

export { context } from "@wais/mitthooks-drizzle/pg/schema";

const encryptionKey = buildEncryptionKey(
  process.env.ENCRYPTION_MASTER_PASSWORD!,
  process.env.ENCRYPTION_SALT!,
);

export const extensionInstances = buildExtensionInstanceTable(
  buildEncryptedTextColumn(encryptionKey),
  { note: text() },
);

export const lastEvents = buildLastEventTable();
