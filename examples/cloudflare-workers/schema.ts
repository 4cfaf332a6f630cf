import process from "node:process";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
} from "@wais/mitthooks-drizzle/pg/encryption";
import {
  buildExtensionInstanceTable,
  buildLastEventTable,
} from "@wais/mitthooks-drizzle/pg/schema";

// drizzle-kit creates only what the schema exports.
export { context } from "@wais/mitthooks-drizzle/pg/schema";

const encryptionKey = buildEncryptionKey(
  process.env.ENCRYPTION_MASTER_PASSWORD!,
  process.env.ENCRYPTION_SALT!,
);

export const extensionInstances = buildExtensionInstanceTable(
  buildEncryptedTextColumn(encryptionKey),
);

export const lastEvents = buildLastEventTable();
