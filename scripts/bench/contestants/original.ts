/**
 * The npm package that this one continues, with mitthooks' factory.
 *
 * @module
 */
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
// @ts-types="@types/pg"
import pg from "pg";
import { POOL } from "./data.ts";
import { createSigner } from "./deliveries.ts";
import { createOriginal } from "./original_stack.ts";
import { readJob, serve } from "./serve.ts";
import { storageWorkloads } from "./storage_workloads.ts";

const { url, instances } = readJob();
const pool = new pg.Pool({ connectionString: url, ...POOL });
const signer = await createSigner();
const { storage, handle, extensionInstances } = createOriginal(pool, signer);
const db = drizzle(pool);

await serve(storageWorkloads({
  pool,
  storage,
  signer,
  handle,
  // It has no method for this; its users select.
  get: async (id) => {
    const rows = await db.select().from(extensionInstances).where(eq(extensionInstances["id"], id));
    return rows[0] as { secret: string | null } | undefined;
  },
  instances,
  tables: ["extension_instance"],
}));
