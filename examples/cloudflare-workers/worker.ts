import { PgExtensionStorage } from "@weissaufschwarz/mitthooks-drizzle/pg";
import {
  createWebhookHandler,
  MittwaldPublicKeys,
} from "@weissaufschwarz/mitthooks-drizzle/webhooks";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { extensionInstances, lastEvents } from "./schema.ts";

interface Env {
  readonly DATABASE_URL: string;
  readonly EXTENSION_ID: string;
  /** Only for the simulated mStudio. */
  readonly MITTWALD_API_URL?: string;
}

/** Keeps what it has fetched, and belongs to no single request. */
let publicKeys: MittwaldPublicKeys | undefined;
/** A Worker has no start to check things at: the first request of an isolate does it. */
let verified = false;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    // Connections cannot outlive the request that opened them; Hyperdrive keeps them open elsewhere.
    const client = postgres(env.DATABASE_URL, { max: 1, fetch_types: false });
    try {
      const storage = new PgExtensionStorage(drizzle(client), extensionInstances, { lastEvents });
      const { pathname } = new URL(request.url);
      if (!verified || pathname === "/health") {
        await storage.verify();
        verified = true;
      }
      if (pathname === "/health") return Response.json({ status: "ok" });
      if (pathname !== "/webhooks") return new Response("Not found", { status: 404 });
      publicKeys ??= new MittwaldPublicKeys({ apiUrl: env.MITTWALD_API_URL });
      return await createWebhookHandler({
        storage,
        extensionId: env.EXTENSION_ID,
        publicKeys,
        logger: console,
      })(request);
    } catch (error) {
      console.error(error instanceof Error ? error.message : "unknown failure");
      return Response.json({ status: "unavailable" }, { status: 503 });
    } finally {
      await client.end({ timeout: 5 });
    }
  },
};
