/**
 * Handler and storage of this library.
 *
 * @module
 */
import { drizzle } from "drizzle-orm/node-postgres";
import type { PgTable } from "drizzle-orm/pg-core";
import type pg from "pg";
import { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
import * as schema from "@wais/mitthooks-drizzle/pg/schema";
import { createWebhookHandler } from "@wais/mitthooks-drizzle/webhooks";
import { EXTENSION_ID } from "./data.ts";
import { encryptedText, key } from "./our_key.ts";

/** The runner looks whether the library has it before it asks for it. */
type LastEvents = { buildLastEventTable: () => PgTable };

/** Makes handler and storage; the key is derived already. */
export async function createOurs(
  pool: pg.Pool,
  { publicKey }: { publicKey: string },
  lastEvents: boolean,
) {
  const extensionInstances = schema.buildExtensionInstanceTable(encryptedText);
  const options = () => ({
    lastEvents: (schema as unknown as LastEvents).buildLastEventTable(),
  });
  const storage = new PgExtensionStorage(
    drizzle(pool),
    extensionInstances,
    ...(lastEvents ? [options() as never] : []),
  );
  await key.decrypt(await key.encrypt(""));
  const handle = createWebhookHandler({
    storage,
    extensionId: EXTENSION_ID,
    publicKeys: { getPublicKey: () => publicKey },
  });
  const tables = ["extension_instance", ...lastEvents ? ["extension_instance_last_event"] : []];
  return { storage, handle, tables };
}
