import process from "node:process";
import { serve } from "@hono/node-server";
import { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
import { createWebhookHandler, MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
import { drizzle } from "drizzle-orm/postgres-js";
import { Hono } from "hono";
import postgres from "postgres";
import { extensionInstances, lastEvents } from "./schema.ts";

/** Reads a variable that this application cannot do without. */
function env(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Starting: the environment variable ${name} is missing`);
  return value;
}

const client = postgres(env("DATABASE_URL"));
const storage = new PgExtensionStorage(drizzle(client), extensionInstances, { lastEvents });
// No table, or the key of other data: say so now, not when the first webhook comes.
await storage.verify();

const handleWebhook = createWebhookHandler({
  storage,
  extensionId: env("EXTENSION_ID"),
  publicKeys: new MittwaldPublicKeys({ apiUrl: process.env.MITTWALD_API_URL }),
  logger: console,
});

const app = new Hono();
// No body parser before it: the signature is that of the raw body.
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
  // What has begun is finished: mittwald would have to send it again otherwise.
  process.once(signal, () => server.close(() => client.end()));
}
