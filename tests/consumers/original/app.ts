import {
    type DbClientWithExtensionInstances,
    PgExtensionStorage,
} from "@weissaufschwarz/mitthooks-drizzle/index.js";
import type { ExtensionInstanceTable } from "@weissaufschwarz/mitthooks-drizzle/schema";
import { HttpWebhookHandler } from "@weissaufschwarz/mitthooks/bootstrapping/http-wrapper";
import { CombinedWebhookHandlerFactory } from "@weissaufschwarz/mitthooks/factory/combined";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { Pool } from "pg";
import * as schema from "./schema.js";

const pool = new Pool({
    connectionString: process.env.DATABASE_URL,
});

const db = drizzle(pool, {
    schema,
});

function createStorage(
    client: DbClientWithExtensionInstances,
    table: ExtensionInstanceTable,
): PgExtensionStorage {
    return new PgExtensionStorage(client, table);
}

/** One storage per request, as on serverless platforms. */
export async function handleWebhook(request: Request): Promise<Response> {
    const combinedHandler = new CombinedWebhookHandlerFactory(
        createStorage(db, schema.extensionInstances),
        process.env.EXTENSION_ID!,
    ).withoutLogging().withoutWebhookSignatureVerification().build();
    return await new HttpWebhookHandler(combinedHandler).handleWebhook(request);
}

/** The application's own query, including its own column. */
export async function listInstances(): Promise<{ id: string; scopes: string[]; active: boolean }[]> {
    return await db.select({
        id: schema.extensionInstances.id,
        scopes: schema.extensionInstances.consentedScopes,
        active: schema.extensionInstances.active,
    }).from(schema.extensionInstances).orderBy(schema.extensionInstances.id);
}

export async function touch(id: string): Promise<void> {
    await db.update(schema.extensionInstances).set({ active: true })
        .where(eq(schema.extensionInstances.id, id));
}

export async function close(): Promise<void> {
    await pool.end();
}
