/**
 * Drizzle as it is, and bare Web Crypto where there is something to encrypt or decrypt.
 *
 * @module
 */
import { eq, lte } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
// @ts-types="@types/pg"
import pg from "pg";
import { decrypt, deriveKey, encrypt } from "./bare_crypto.ts";
import { POOL } from "./data.ts";
import { readJob, serve } from "./serve.ts";
import { tableWorkloads } from "./table_workloads.ts";
import { notes, plainInserted, plainItems } from "./tables.ts";

const pool = new pg.Pool({ connectionString: readJob().url, ...POOL });
const db = drizzle(pool);
const key = await deriveKey();

await serve(tableWorkloads({
  pool,
  async select(rows) {
    const selected = await db.select().from(plainItems).where(lte(plainItems.id, rows))
      .orderBy(plainItems.id);
    await Promise.all(selected.map(async (row) => {
      row.secret = await decrypt(key, row.secret!);
    }));
    return selected;
  },
  async insert(items) {
    const encrypted = await Promise.all(
      items.map(async ({ id, secret }) => ({ id, secret: await encrypt(key, secret) })),
    );
    await db.insert(plainInserted).values(encrypted);
  },
  selectPlain: (id) => db.select().from(notes).where(eq(notes.id, id)),
}));
