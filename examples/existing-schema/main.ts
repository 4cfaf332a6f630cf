import process from "node:process";
import { serve } from "@hono/node-server";
import { PgExtensionStorage, withEncryption } from "@wais/mitthooks-drizzle/pg";
import { MstudioSessions, SessionError } from "@wais/mitthooks-drizzle/sessions";
import { InstanceTokens } from "@wais/mitthooks-drizzle/tokens";
import { createWebhookHandler, MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/postgres-js";
import { Hono } from "hono";
import postgres from "postgres";
import { extensionInstances, lastEvents, sites, tasks } from "./schema.ts";

/** Reads a required variable. */
function env(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Starting: the environment variable ${name} is missing`);
  return value;
}

const extensionId = env("EXTENSION_ID");
const apiUrl = process.env.MITTWALD_API_URL || "https://api.mittwald.de";
const client = postgres(env("DATABASE_URL"));
const db = withEncryption(drizzle(client));

const storage = new PgExtensionStorage(db, extensionInstances, {
  lastEvents,
  // Runs in the change's transaction: once per change, however often an event is delivered.
  on: {
    added: async ({ instance, tx }) => {
      await tx.insert(sites).values({
        instanceId: instance.id,
        domain: `${instance.contextId}.example`,
        apiToken: crypto.randomUUID(),
      });
    },
    // Runs before the row is deleted and, by cascade, the site's row.
    removed: async ({ instance, tx }) => {
      const [site] = await tx.select().from(sites).where(eq(sites.instanceId, instance.id));
      if (site) await tx.insert(tasks).values({ kind: "delete site", domain: site.domain });
    },
  },
});
// Reports a missing table or a wrong key now, not at the first webhook.
await storage.verify();

const tokens = new InstanceTokens({ storage, apiUrl });
const sessions = new MstudioSessions({ extensionId, storage, apiUrl });
const handleWebhook = createWebhookHandler({
  storage,
  extensionId,
  publicKeys: new MittwaldPublicKeys({ apiUrl }),
  logger: console,
});

const app = new Hono();
app.post("/webhooks", (context) => handleWebhook(context.req.raw));

/** The backend of the extension's page. Only the session determines the site. */
app.get("/api/site", async (context) => {
  const { extensionInstanceId: id } = await sessions.verify(context.req.raw);
  const [site] = await db.select().from(sites).where(eq(sites.instanceId, id));
  if (!site) return context.json({ message: "No site belongs to this instance" }, 404);
  const response = await fetch(`${apiUrl}/v2/extension-instances/${encodeURIComponent(id)}`, {
    headers: { "x-access-token": await tokens.get(id) },
  });
  return context.json({
    domain: site.domain,
    hasApiToken: Boolean(site.apiToken),
    mittwaldAnswered: response.status,
  });
});

app.onError((error, context) => {
  if (error instanceof SessionError) return error.toResponse();
  console.error(error.message);
  return context.json({ message: "Something went wrong" }, 500);
});

const server = serve(
  { fetch: app.fetch, port: Number(process.env.PORT ?? 8000) },
  ({ port }) => console.log(`Listening on http://localhost:${port}`),
);

for (const signal of ["SIGINT", "SIGTERM"]) {
  // Finishes requests in flight; otherwise mittwald would have to repeat them.
  process.once(signal, () => server.close(() => client.end({ timeout: 5 })));
}
