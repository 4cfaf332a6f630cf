import {
    buildEncryptedTextColumn,
    buildEncryptionKey,
    type EncryptedTextColumn,
} from "@weissaufschwarz/mitthooks-drizzle/encryption";
import { buildExtensionInstanceTable } from "@weissaufschwarz/mitthooks-drizzle/schema.js";
import { integer, text } from "drizzle-orm/pg-core";

// Export the context enum for use in your schema
export { context } from "@weissaufschwarz/mitthooks-drizzle/schema";

// Build the encryption key from your environment variables
const encryptionKey = buildEncryptionKey(
    process.env.ENCRYPTION_MASTER_PASSWORD!,
    process.env.ENCRYPTION_SALT!,
);

// Build the encrypted text column
const encryptedTextColumn: EncryptedTextColumn = buildEncryptedTextColumn(encryptionKey);

// Export the extension instances table
export const extensionInstances = buildExtensionInstanceTable(encryptedTextColumn, {
    customField: text("custom_field"),
    counter: integer("counter").default(0),
});
