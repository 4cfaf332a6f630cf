/** Further handlers, as mitthooks' chain runs them. */

import type { WebhookHandler } from "@weissaufschwarz/mitthooks/handler/interface";
import type { WebhookContent } from "@weissaufschwarz/mitthooks/webhook";

/** Runs the handlers; each decides by calling `next` whether those after it run, and with what. */
export async function runHandlers(
  handlers: readonly WebhookHandler[],
  content: WebhookContent,
): Promise<void> {
  const [handler, ...rest] = handlers;
  await handler?.handleWebhook(content, (next) => runHandlers(rest, next));
}
