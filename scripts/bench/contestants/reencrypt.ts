/**
 * Re-encrypts a table, in a process of its own, so that no size profits from the memory of another.
 *
 * @module
 */
import process from "node:process";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable } from "drizzle-orm/pg-core";
// @ts-types="@types/pg"
import pg from "pg";
import {
  buildEncryptedTextColumn,
  importEncryptionKey,
} from "@wais/mitthooks-drizzle/pg/encryption";
import { keyStatus, reencrypt } from "@wais/mitthooks-drizzle/pg";
import { key as oldKey } from "./our_key.ts";
import { readJob } from "./serve.ts";

const newKey = importEncryptionKey(new Uint8Array(32).fill(2), { alsoReads: [oldKey] });
const items = pgTable("reencrypted", {
  id: integer().primaryKey(),
  secret: buildEncryptedTextColumn(newKey)(),
});

const client = new pg.Pool({ connectionString: readJob().url, max: 1 });
const db = drizzle(client);
await oldKey.encrypt("");

let memory = 0;
const look = () => memory = Math.max(memory, process.memoryUsage().rss);
const start = performance.now();
const { total, reencrypted } = await reencrypt(db, items, { onProgress: look });
const middle = performance.now();
const { secret } = await keyStatus(db, items);
const end = performance.now();
look();
await client.end();
if (reencrypted !== total || secret?.current !== total) {
  throw new Error(`Re-encrypting ${total} rows: ${secret?.current} are current`);
}
process.stdout.write(
  `${JSON.stringify({ count: total, ms: middle - start, memory, countingMs: end - middle })}\n`,
);
