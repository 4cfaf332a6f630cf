import { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
import { createWebhookHandler, MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { extensionInstances, lastEvents } from "./schema.ts";

/** Reads a required variable. */
function env(name: string): string {
  const value = Deno.env.get(name);
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
  // Only set for local development with a simulated mStudio.
  publicKeys: new MittwaldPublicKeys({ apiUrl: Deno.env.get("MITTWALD_API_URL") }),
  logger: console,
});

/** Health check: the database answers, the tables exist, and the key is right. */
async function health(): Promise<Response> {
  try {
    await storage.verify();
    return Response.json({ status: "ok" });
  } catch (error) {
    console.error("health:", error instanceof Error ? error.message : "unknown failure");
    return Response.json({ status: "unavailable" }, { status: 503 });
  }
}

const server = Deno.serve({ port: Number(Deno.env.get("PORT") ?? 8000) }, (request) => {
  switch (new URL(request.url).pathname) {
    case "/webhooks":
      return handleWebhook(request);
    case "/health":
      return health();
    default:
      return new Response("Not found", { status: 404 });
  }
});

/** Finishes requests in flight; otherwise mittwald would have to repeat them. */
async function stop(): Promise<void> {
  await server.shutdown();
  await client.end({ timeout: 5 });
}

for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
