import process from "node:process";
import { MittwaldAPIV2Client } from "@mittwald/api-client";
import { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
import { MstudioSessions } from "@wais/mitthooks-drizzle/sessions";
import { InstanceTokens } from "@wais/mitthooks-drizzle/tokens";
import { createWebhookHandler, MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { extensionInstances, lastEvents } from "./schema.ts";

/** Reads a required variable. */
function env(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Starting: the environment variable ${name} is missing`);
  return value;
}

const extensionId = env("EXTENSION_ID");
const apiUrl = process.env.MITTWALD_API_URL || "https://api.mittwald.de";

// After SIGTERM the server finishes its requests; an open connection would keep the process alive.
const client = postgres(env("DATABASE_URL"), { idle_timeout: 2 });
export const storage = new PgExtensionStorage(drizzle(client), extensionInstances, { lastEvents });

export const handleWebhook = createWebhookHandler({
  storage,
  extensionId,
  publicKeys: new MittwaldPublicKeys({ apiUrl }),
  logger: console,
});

export const sessions = new MstudioSessions({
  extensionId,
  extensionSecret: env("EXTENSION_SECRET"),
  storage,
  apiUrl,
});

const tokens = new InstanceTokens({ storage, apiUrl });

/** A reusable client: it gets a token for every request. */
function clientWith(token: () => Promise<string>): MittwaldAPIV2Client {
  const client = MittwaldAPIV2Client.newUnauthenticated();
  client.axios.defaults.baseURL = apiUrl;
  client.axios.interceptors.request.use(async (config) => {
    config.headers.set("x-access-token", await token());
    return config;
  });
  return client;
}

/** Acts as an extension instance, without a user. */
export function clientOfInstance(instanceId: string): MittwaldAPIV2Client {
  return clientWith(() => tokens.get(instanceId));
}

/** Acts as the user of a page's request. */
export function clientOfUser(request: Request): MittwaldAPIV2Client {
  return clientWith(async () => (await sessions.accessToken(request)).token);
}
