/**
 * The storage suite for Drizzle 1.0, which has no `casing` option for databases any more.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { PgExtensionStorage } from "../../pg/mod.ts";
import { storage as storageOfToday } from "../suites/storage.ts";
import type { Case } from "../suites/suite.ts";
import { extensionInstanceDdl, extensionInstances } from "../support/extension_instance.ts";

const CASING = "with Drizzle's casing the names in the database follow it, as in the original";

const casing: Case = {
  name: "Drizzle 1.0 has no casing option: the names in the database are the original's",
  async run(context) {
    await context.sql(extensionInstanceDdl);
    const db = context.open({ casing: "snake_case" });
    const storage = new PgExtensionStorage(db, extensionInstances);
    await storage.upsertExtension({
      extensionInstanceId: "instance",
      contextId: "p-abc123",
      consentedScopes: [],
      secret: "s3cr3t",
    });
    const rows = await context.sql(`SELECT "contextId" FROM extension_instance`);
    assertEquals(rows, [{ contextId: "p-abc123" }]);
  },
};

if (!storageOfToday.some(({ name }) => name === CASING)) {
  throw new Error(`Replacing a case of the storage suite: it has no "${CASING}"`);
}

export const storage: Case[] = storageOfToday.map((found) =>
  found.name === CASING ? casing : found
);
