import { createFileRoute } from "@tanstack/react-router";
import { handleWebhook } from "../extension.server.ts";

export const Route = createFileRoute("/webhooks")({
  server: { handlers: { POST: ({ request }) => handleWebhook(request) } },
});
