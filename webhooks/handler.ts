/**
 * The webhook handler.
 *
 * @module
 */

import { HandlerFailedError, MitthooksDrizzleError } from "../errors.ts";
import { ConfigurationError } from "../internal/configuration_error.ts";
import { Deadline } from "../internal/deadline.ts";
import { readOptions, type Settings, type WebhookHandlerOptions } from "./handler_options.ts";
import { Reporter } from "./internal/reporter.ts";
import { type Outcome, outcomeOf, toResponse } from "./internal/responses.ts";
import { StorageCalls } from "./internal/storage_calls.ts";
import { checkDryRun, storeEvent } from "./internal/store.ts";
import {
  Delivery,
  isRequest,
  type VerifiedDelivery,
  verifyRequest,
} from "./internal/verify_request.ts";
import type { WebhookResponseBody } from "./responses.ts";

/**
 * Creates the handler for an extension's lifecycle webhooks. It works wherever handlers get a
 * `Request`: in the servers of Deno and Bun, Deno Deploy, Cloudflare Workers, Hono, and route
 * handlers of Next.js and TanStack Start.
 *
 * Runs the checks of `verifyWebhook`, then stores the event with the time that mStudio signed, so
 * that the storage can refuse older events. A dry run stores nothing and is refused for a stored
 * instance. Responses are JSON, a {@linkcode WebhookResponseBody}; `docs/webhooks.md` lists them.
 *
 * Work still in progress at the time limit, such as a storage call, is not cancelled. Its result is
 * ignored, and the sender retries. At most `maxConcurrent` storage calls run at once; further
 * deliveries are refused immediately with 503 `ERR_BUSY`.
 *
 * @param options All but `storage` and `extensionId` have defaults.
 * @returns The handler. It never rejects and supports concurrent calls.
 * @throws {TypeError} When an option is missing, invalid or unknown.
 * @throws {RangeError} When a number is out of range.
 *
 * @example Store genuine webhooks, refuse forged ones
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 * import { createWebhookHandler } from "@wais/mitthooks-drizzle/webhooks";
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: (request) => handler(request),
 * });
 *
 * const secrets = new Map<string, string>(); // in real life: a PgExtensionStorage
 * const handler = createWebhookHandler({
 *   storage: {
 *     upsertExtension: (added) => void secrets.set(added.extensionInstanceId, added.secret),
 *     updateExtension: () => {},
 *     rotateSecret: (id, secret) => void secrets.set(id, secret),
 *     removeInstance: (id) => void secrets.delete(id),
 *   },
 *   extensionId: "my-extension",
 *   publicKeys: mstudio.publicKeys, // in real life: left out
 * });
 *
 * const instance = await mstudio.addInstance();
 * assertEquals(secrets.get(instance.id), instance.secret);
 *
 * const forged = await mstudio.deliverOnce(instance.event("SecretRotated"), { forge: true });
 * assertEquals(forged.status, 401);
 * ```
 */
export function createWebhookHandler(
  options: WebhookHandlerOptions,
): (request: Request) => Promise<Response> {
  const settings = readOptions(options);
  const reporter = new Reporter(settings);
  const calls = new StorageCalls(settings.maxConcurrent, settings.timeoutMs);
  return async (request: Request, ...rest: unknown[]) => {
    if (!isRequest(request)) return refuseCall(reporter, rest[0]);
    const delivery = new Delivery(request);
    const outcome = await handle(delivery, settings, calls);
    reporter.report(delivery, outcome);
    return toResponse(outcome.body);
  };
}

/** The second argument that Node's http and Express pass to handlers. */
interface ServerResponse {
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: string): unknown;
}

/** Answers calls in the style of Express or Hono; otherwise the sender would wait in vain. */
async function refuseCall(reporter: Reporter, second: unknown): Promise<Response> {
  const isNode = typeof (second as Partial<ServerResponse> | null | undefined)?.writeHead ===
    "function";
  const message =
    "Receiving a webhook: the handler takes a Request and returns a Response, it was called with " +
    (isNode ? "(req, res) of Node's http or Express" : "something else");
  reporter.reportMisuse(new HandlerFailedError(undefined, message));
  const response = toResponse({ code: "ERR_HANDLER_FAILED", message });
  if (isNode) {
    const { writeHead, end } = second as ServerResponse;
    const text = await response.clone().text();
    try {
      writeHead.call(second, response.status, Object.fromEntries(response.headers));
      end.call(second, text);
    } catch {
      // Already answered.
    }
  }
  return response;
}

async function handle(
  delivery: Delivery,
  settings: Settings,
  calls: StorageCalls,
): Promise<Outcome> {
  const deadline = new Deadline(settings.timeoutMs);
  try {
    const verified = await verifyRequest(delivery, settings, deadline);
    return { body: await act(verified, settings, deadline, calls) };
  } catch (error) {
    return outcomeOf(
      delivery.signature === undefined && !(error instanceof MitthooksDrizzleError)
        ? unreadable(delivery, error)
        : error,
    );
  } finally {
    deadline.clear();
  }
}

/**
 * No content makes reading throw, so the handler does not support this implementation of `Request`.
 */
function unreadable(delivery: Delivery, error: unknown): HandlerFailedError {
  delivery.trouble = "request that cannot be read";
  const found = error instanceof ConfigurationError
    ? error.message
    : `Verifying a webhook: ${error instanceof Error ? error.name : typeof error} was thrown`;
  return new HandlerFailedError(error, found);
}

async function act(
  verified: VerifiedDelivery,
  settings: Settings,
  deadline: Deadline,
  calls: StorageCalls,
): Promise<WebhookResponseBody> {
  const { name, would } = verified.kind;
  if (verified.dryRun) {
    await checkDryRun(settings.storage, verified, deadline, calls);
    return {
      code: "DRY_RUN",
      message: `Dry run of ${name}: signature and body are valid, ${would}`,
    };
  }
  await storeEvent(settings.storage, verified, deadline, calls);
  return { code: "STORED", message: `Handling ${name}: done` };
}
