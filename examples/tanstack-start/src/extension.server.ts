import process from "node:process";
import { PgExtensionStorage } from "@weissaufschwarz/mitthooks-drizzle/pg";
import { InstanceTokens } from "@weissaufschwarz/mitthooks-drizzle/tokens";
import {
  createWebhookHandler,
  MittwaldPublicKeys,
} from "@weissaufschwarz/mitthooks-drizzle/webhooks";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { extensionInstances, lastEvents } from "./schema.ts";

/** Reads a variable that this application cannot do without. */
function env(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Starting: the environment variable ${name} is missing`);
  return value;
}

const apiUrl = process.env.MITTWALD_API_URL || "https://api.mittwald.de";

// After SIGTERM the server finishes what has begun; an open connection would keep its process alive then.
const client = postgres(env("DATABASE_URL"), { idle_timeout: 2 });
export const storage = new PgExtensionStorage(drizzle(client), extensionInstances, { lastEvents });

export const handleWebhook = createWebhookHandler({
  storage,
  extensionId: env("EXTENSION_ID"),
  publicKeys: new MittwaldPublicKeys({ apiUrl }),
  logger: console,
});

const tokens = new InstanceTokens({ storage, apiUrl });

/** Asks mittwald about an instance, in its name. */
export async function askMittwald(instanceId: string): Promise<Response> {
  return await fetch(`${apiUrl}/v2/extension-instances/${encodeURIComponent(instanceId)}`, {
    headers: { "x-access-token": await tokens.get(instanceId) },
  });
}
