/**
 * This library, called the way its users call it.
 *
 * @module
 */
import { eq, lte } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable } from "drizzle-orm/pg-core";
// @ts-types="@types/pg"
import pg from "pg";
import { withEncryption } from "@wais/mitthooks-drizzle/pg";
import { encryptedText } from "./our_key.ts";
import { createOurs } from "./our_stack.ts";
import { POOL } from "./data.ts";
import { createSigner } from "./deliveries.ts";
import { readJob, serve } from "./serve.ts";
import { storageWorkloads } from "./storage_workloads.ts";
import { tableWorkloads } from "./table_workloads.ts";
import { notes } from "./tables.ts";

const items = pgTable("item", { id: integer().primaryKey(), secret: encryptedText() });
const inserted = pgTable("inserted", { id: integer().primaryKey(), secret: encryptedText() });

const { url, instances, lastEvents } = readJob();
const pool = new pg.Pool({ connectionString: url, ...POOL });
const signer = await createSigner();
const { storage, handle, tables } = await createOurs(pool, signer, lastEvents);
const db = withEncryption(drizzle(pool));

await serve({
  ...storageWorkloads({
    pool,
    storage,
    signer,
    handle,
    get: (id) => storage.getExtension(id),
    instances,
    tables,
  }),
  ...tableWorkloads({
    pool,
    select: (rows) => db.select().from(items).where(lte(items.id, rows)).orderBy(items.id),
    insert: (given) => db.insert(inserted).values(given),
    selectPlain: (id) => db.select().from(notes).where(eq(notes.id, id)),
  }),
});
