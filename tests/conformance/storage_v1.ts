/**
 * The storage suite for Drizzle 1.0, which has no `casing` option for databases any more.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import * as pgCore from "drizzle-orm/pg-core";
import { buildExtensionInstanceTable, PgExtensionStorage } from "../../pg/mod.ts";
import { storage as storageOfToday } from "../suites/storage.ts";
import type { Case } from "../suites/suite.ts";
import { assertStored, textUnderA } from "../suites/tables.ts";
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

/** Drizzle 1.0's ways to build a table, by what they are called there. Its types are not here. */
const { snakeCase, pgTable, pgSchema } = pgCore as unknown as {
  snakeCase: { table: typeof pgCore.pgTable };
  pgTable: { withRLS: typeof pgCore.pgTable };
  pgSchema: typeof pgCore.pgSchema;
};
const factories = {
  "snakeCase.table": { table: snakeCase.table, place: '"installed"', ddl: "" },
  "pgTable.withRLS": {
    table: pgTable.withRLS,
    place: '"installed"',
    ddl: 'ALTER TABLE "installed" ENABLE ROW LEVEL SECURITY',
  },
  "pgSchema(…).table": { table: pgSchema("app").table, place: '"app"."installed"', ddl: "" },
};

const tables: Case[] = Object.entries(factories).map(([name, { table, place, ddl }]) => ({
  name: `in a table of ${name}, with the original's columns`,
  async run(context) {
    await context.sql("CREATE SCHEMA IF NOT EXISTS app; DROP TABLE IF EXISTS app.installed");
    await context.sql(extensionInstanceDdl.replace('"extension_instance"', place) + ddl);
    const installed = buildExtensionInstanceTable(textUnderA, {}, {
      table: table as never,
      name: "installed",
    });
    const storage = new PgExtensionStorage(context.open(), installed);
    const id = "22222222-2222-4222-8222-222222222222";
    await storage.upsertExtension({
      extensionInstanceId: id,
      contextId: "p-abc123",
      consentedScopes: ["a"],
      secret: "first",
    });
    await storage.rotateSecret(id, "second");
    await assertStored(context, `SELECT secret FROM ${place}`, "second");
    const found = await storage.getExtension(id);
    assertEquals([found?.contextId, found?.secret], ["p-abc123", "second"]);
    await storage.removeInstance(id);
    assertEquals(await context.sql(`SELECT id FROM ${place}`), []);
  },
}));

if (!storageOfToday.some(({ name }) => name === CASING)) {
  throw new Error(`Replacing a case of the storage suite: it has no "${CASING}"`);
}

export const storage: Case[] = [
  ...storageOfToday.map((found) => found.name === CASING ? casing : found),
  ...tables,
];
