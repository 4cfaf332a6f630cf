import process from "node:process";
import * as pg from "@wais/mitthooks-drizzle/pg";

export const { context } = pg; // an enum, which drizzle-kit creates, too

const { ENCRYPTION_MASTER_PASSWORD, ENCRYPTION_SALT } = process.env;
const key = pg.buildEncryptionKey(ENCRYPTION_MASTER_PASSWORD!, ENCRYPTION_SALT!);
export const extensionInstances = pg.buildExtensionInstanceTable(pg.buildEncryptedTextColumn(key));
export const lastEvents = pg.buildLastEventTable();
