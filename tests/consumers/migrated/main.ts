/**
 * What changes for an application of the original package: reading `secret` takes `withEncryption`, and a key
 * that it made itself goes through `importEncryptionKey`. Prints `ok` lines.
 */
import assert from "node:assert/strict";
import { randomBytes, scryptSync } from "node:crypto";
import { PgExtensionStorage, withEncryption } from "@weissaufschwarz/mitthooks-drizzle/pg";
import {
    buildEncryptedTextColumn,
    buildEncryptionKey,
    importEncryptionKey,
} from "@weissaufschwarz/mitthooks-drizzle/pg/encryption";
import { buildExtensionInstanceTable } from "@weissaufschwarz/mitthooks-drizzle/pg/schema";
import { asc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { Pool } from "pg";

export { context } from "@weissaufschwarz/mitthooks-drizzle/pg/schema";

const password = process.env.ENCRYPTION_MASTER_PASSWORD!;
const salt = process.env.ENCRYPTION_SALT!;
const instances = buildExtensionInstanceTable(
    buildEncryptedTextColumn(buildEncryptionKey(password, salt)),
);
const pool = new Pool({ connectionString: process.env.DATABASE_URL });
const db = drizzle(pool, { schema: { instances } });

const checks: Record<string, () => Promise<void>> = {
    async "what the original and this package wrote is read through withEncryption"() {
        const rows = await withEncryption(db).select().from(instances).orderBy(asc(instances.id));
        assert.deepEqual(
            rows.map(({ id, secret }) => [id, secret]),
            process.env.INSTANCE_IDS!.split(",").sort().map((id) => [id, `secret of ${id}`]),
        );
    },
    async "without it, a secret refuses to be used"() {
        const [row] = await db.select().from(instances);
        assert.throws(() => `${row!.secret}`, { name: "TypeError", message: /withEncryption/ });
        assert.throws(() => JSON.stringify(row), { name: "TypeError", message: /withEncryption/ });
        const found = await db.query.instances.findFirst();
        assert.throws(() => found!.secret!.length, { name: "TypeError", message: /withEncryption/ });
    },
    async "without it, a secret refuses to be written"() {
        await assert.rejects(
            async () => await db.update(instances).set({ secret: "plain" }),
            { name: "TypeError", message: /withEncryption/ },
        );
    },
    async "a Buffer is no key, and the error says what makes one of it"() {
        const key = scryptSync(password, salt, 32);
        assert.throws(
            // @ts-expect-error the original's key
            () => buildEncryptedTextColumn(key),
            { name: "TypeError", message: /importEncryptionKey/ },
        );
        const table = buildExtensionInstanceTable(
            buildEncryptedTextColumn(importEncryptionKey(key)),
        );
        const [row] = await withEncryption(db).select().from(table)
            .where(eq(table.id, process.env.INSTANCE_IDS!.split(",")[0]!));
        assert.equal(row!.secret, `secret of ${row!.id}`);
        importEncryptionKey(randomBytes(32));
    },
    async "the storage reads the secret itself"() {
        const storage = new PgExtensionStorage(db, instances);
        for (const id of process.env.INSTANCE_IDS!.split(",")) {
            assert.equal((await storage.getExtension(id))?.secret, `secret of ${id}`);
        }
    },
};

console.log(`1..${Object.keys(checks).length}`);
let index = 0;
for (const [name, check] of Object.entries(checks)) {
    try {
        await check();
        console.log(`ok ${++index} - ${name}`);
    } catch (error) {
        process.exitCode = 1;
        console.log(`not ok ${++index} - ${name}\n# ${String(error).replaceAll("\n", "\n# ")}`);
    }
}
await pool.end();
