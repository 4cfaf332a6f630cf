import process from "node:process";
import { serve } from "@hono/node-server";
import { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
import { createWebhookHandler, MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
import { drizzle } from "drizzle-orm/postgres-js";
import { Hono } from "hono";
import postgres from "postgres";
import { extensionInstances, lastEvents } from "./schema.ts";

/** Reads a required variable. */
function env(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Starting: the environment variable ${name} is missing`);
  return value;
}

const client = postgres(env("DATABASE_URL"));
const storage = new PgExtensionStorage(drizzle(client), extensionInstances, { lastEvents });
// Reports a missing table or a wrong key now, not at the first webhook.
await storage.verify();

const handleWebhook = createWebhookHandler({
  storage,
  extensionId: env("EXTENSION_ID"),
  publicKeys: new MittwaldPublicKeys({ apiUrl: process.env.MITTWALD_API_URL }),
  logger: console,
});

const app = new Hono();
// No body parser before it: the signature covers the raw body.
app.post("/webhooks", (context) => handleWebhook(context.req.raw));
app.get("/health", async (context) => {
  try {
    await storage.verify();
    return context.json({ status: "ok" });
  } catch (error) {
    console.error("health:", error instanceof Error ? error.message : "unknown failure");
    return context.json({ status: "unavailable" }, 503);
  }
});

const server = serve(
  { fetch: app.fetch, port: Number(process.env.PORT ?? 8000) },
  ({ port }) => console.log(`Listening on http://localhost:${port}`),
);

for (const signal of ["SIGINT", "SIGTERM"]) {
  // Finishes requests in flight; otherwise mittwald would have to repeat them.
  process.once(signal, () => server.close(() => client.end({ timeout: 5 })));
}
