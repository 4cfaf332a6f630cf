import { PgExtensionStorage } from "@wais/mitthooks-drizzle/pg";
import { MstudioSessions, SessionError } from "@wais/mitthooks-drizzle/sessions";
import { createWebhookHandler, MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { extensionInstances, lastEvents } from "./schema.ts";

interface Env {
  readonly DATABASE_URL: string;
  readonly EXTENSION_ID: string;
  /** Only for the simulated mStudio. */
  readonly MITTWALD_API_URL?: string;
}

/** Cached across requests. mittwald has separate keys for each purpose. */
let keys:
  | { readonly webhooks: MittwaldPublicKeys; readonly sessions: MittwaldPublicKeys }
  | undefined;
/** A Worker has no startup, so an isolate's first request runs the checks. */
let verified = false;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    // Connections cannot outlive the request that opened them; Hyperdrive keeps them open
    // elsewhere.
    const client = postgres(env.DATABASE_URL, { max: 1, fetch_types: false });
    try {
      const storage = new PgExtensionStorage(drizzle(client), extensionInstances, { lastEvents });
      const { pathname } = new URL(request.url);
      if (!verified || pathname === "/health") {
        await storage.verify();
        verified = true;
      }
      const { EXTENSION_ID: extensionId, MITTWALD_API_URL: apiUrl } = env;
      keys ??= {
        webhooks: new MittwaldPublicKeys({ apiUrl }),
        sessions: new MittwaldPublicKeys({ apiUrl, purpose: "session_token" }),
      };
      switch (pathname) {
        case "/health":
          return Response.json({ status: "ok" });
        case "/webhooks": {
          const publicKeys = keys.webhooks;
          return await createWebhookHandler({ storage, extensionId, publicKeys, logger: console })(
            request,
          );
        }
        // The backend of the extension's page for users in mStudio.
        case "/api/instance": {
          const sessions = new MstudioSessions({ extensionId, storage, publicKeys: keys.sessions });
          const { userId, instance } = await sessions.verify(request);
          return Response.json({ userId, instance });
        }
        default:
          return new Response("Not found", { status: 404 });
      }
    } catch (error) {
      if (error instanceof SessionError) return error.toResponse();
      console.error(error instanceof Error ? error.message : "unknown failure");
      return Response.json({ status: "unavailable" }, { status: 503 });
    } finally {
      await client.end({ timeout: 5 });
    }
  },
};
