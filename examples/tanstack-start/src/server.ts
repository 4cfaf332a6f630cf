import handler, { createServerEntry } from "@tanstack/react-start/server-entry";
import { storage } from "./extension.server.ts";

// Reports a missing table or a wrong key now, not at the first webhook.
await storage.verify();

export default createServerEntry({ fetch: (request) => handler.fetch(request) });
