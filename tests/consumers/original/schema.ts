import {
    buildEncryptedTextColumn,
    buildEncryptionKey,
    type EncryptedTextColumn,
} from "@weissaufschwarz/mitthooks-drizzle/encryption";
import { buildExtensionInstanceTable } from "@weissaufschwarz/mitthooks-drizzle/schema.js";
import { integer, text } from "drizzle-orm/pg-core";

export { context } from "@weissaufschwarz/mitthooks-drizzle/schema";

const encryptionKey = buildEncryptionKey(
    process.env.ENCRYPTION_MASTER_PASSWORD!,
    process.env.ENCRYPTION_SALT!,
);

const encryptedTextColumn: EncryptedTextColumn = buildEncryptedTextColumn(encryptionKey);

export const extensionInstances = buildExtensionInstanceTable(encryptedTextColumn, {
    customField: text("custom_field"),
    counter: integer("counter").default(0),
});
