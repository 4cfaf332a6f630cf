import handler, { createServerEntry } from "@tanstack/react-start/server-entry";
import { storage } from "./extension.server.ts";

// No table, or the key of other data: say so now, not when the first webhook comes.
await storage.verify();

export default createServerEntry({ fetch: (request) => handler.fetch(request) });
