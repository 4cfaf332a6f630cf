/**
 * Changes for an application of the original package: reading `secret` needs `withEncryption`, and
 * its own key needs `importEncryptionKey`.
 */
import assert from "node:assert/strict";
import { scryptSync } from "node:crypto";
import { PgExtensionStorage, withEncryption } from "@weissaufschwarz/mitthooks-drizzle/pg";
import {
    buildEncryptedTextColumn,
    buildEncryptionKey,
    importEncryptionKey,
} from "@weissaufschwarz/mitthooks-drizzle/pg/encryption";
import { buildExtensionInstanceTable } from "@weissaufschwarz/mitthooks-drizzle/pg/schema";
import { drizzle } from "drizzle-orm/node-postgres";
import { Pool } from "pg";

export { context } from "@weissaufschwarz/mitthooks-drizzle/pg/schema";

const password = process.env.ENCRYPTION_MASTER_PASSWORD!;
const salt = process.env.ENCRYPTION_SALT!;
const ids = process.env.INSTANCE_IDS!.split(",");
const instances = buildExtensionInstanceTable(
    buildEncryptedTextColumn(buildEncryptionKey(password, salt)),
);
const pool = new Pool({ connectionString: process.env.DATABASE_URL });
const db = drizzle(pool, { schema: { instances } });
const refusal = { name: "TypeError", message: /withEncryption/ };

// Values of the original and this package are read through withEncryption, and by the storage.
const rows = await withEncryption(db).select().from(instances).orderBy(instances.id);
assert.deepEqual(rows.map(({ id, secret }) => [id, secret]), ids.map((id) => [id, `secret of ${id}`]));
const storage = new PgExtensionStorage(db, instances);
for (const id of ids) assert.equal((await storage.getExtension(id))?.secret, `secret of ${id}`);

// Without it, using or writing a secret is refused.
const [row] = await db.select().from(instances);
assert.throws(() => `${row!.secret}`, refusal);
assert.throws(() => JSON.stringify(row), refusal);
const found = await db.query.instances.findFirst();
assert.throws(() => found!.secret!.length, refusal);
await assert.rejects(async () => await db.update(instances).set({ secret: "plain" }), refusal);

// The original's key is refused, and the error names the conversion.
const key = scryptSync(password, salt, 32);
assert.throws(
    // @ts-expect-error it is a Buffer
    () => buildEncryptedTextColumn(key),
    { name: "TypeError", message: /importEncryptionKey/ },
);
const table = buildExtensionInstanceTable(buildEncryptedTextColumn(importEncryptionKey(key)));
const imported = await withEncryption(db).select().from(table).orderBy(table.id);
assert.deepEqual(imported, rows);
await pool.end();
