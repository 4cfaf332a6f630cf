/**
 * One row for each runtime in a database that all of them share.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { PgExtensionStorage } from "../../pg/mod.ts";
import { secretOf } from "../conformance/exchange.ts";
import { extensionInstances } from "../support/extension_instance.ts";

async function withStorage<T>(
  url: string,
  use: (storage: PgExtensionStorage, client: postgres.Sql) => Promise<T>,
): Promise<T> {
  const client = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await use(new PgExtensionStorage(drizzle({ client }), extensionInstances), client);
  } finally {
    await client.end();
  }
}

/** Stores the row of a runtime. */
export async function writeRow(url: string, writer: string): Promise<void> {
  await withStorage(url, (storage) =>
    storage.upsertExtension({
      extensionInstanceId: writer,
      contextId: "p-abc123",
      consentedScopes: ["a"],
      secret: secretOf(writer),
    }));
}

/** Reads the rows of all runtimes. */
export async function readRows(url: string, writers: readonly string[]): Promise<void> {
  await withStorage(url, async (storage) => {
    for (const writer of writers) {
      assertEquals((await storage.getExtension(writer))?.secret, secretOf(writer));
    }
  });
}
