/**
 * Instances and deliveries in the API.
 *
 * @module
 */

import type { LifecycleKind } from "../events.ts";
import type { ApiCall, ApiContext } from "./api_context.ts";
import { callerOf, fieldsOf, problem, refuseOthers } from "./api_answers.ts";
import type { Execution } from "./executions.ts";
import type { Entry } from "./instance_register.ts";

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1_000;

/** `GET /v2/extension-instances`. */
export function answerInstances(context: ApiContext, call: ApiCall): Response {
  const refusal = refuseOthers(context, call.request);
  if (refusal) return refusal;
  const extensionId = call.query.get("extensionId");
  return page(call, context.register.all(), {
    has: ({ state }) => extensionId === null || state.meta.extensionId === extensionId,
    write: (entry) => toInstance(context, entry),
  });
}

/** `GET /v2/extensions/{id}`: the extension's public data. */
export function answerExtension({ settings }: ApiContext, { parameters }: ApiCall): Response {
  const { extensionId, contributorId } = settings;
  if (parameters[0] !== extensionId) return problem(404, "No extension has this id");
  return Response.json({ id: extensionId, contributorId, name: "Simulated extension" });
}

/** `GET /v2/extension-instances/{id}`. */
export function answerInstance(context: ApiContext, { request, parameters }: ApiCall): Response {
  const [id = ""] = parameters;
  const caller = callerOf(context, request);
  if (caller === undefined) return problem(401, "The access token is invalid");
  const entry = context.register.find(id);
  if (entry === undefined) return problem(404, "No instance has this id");
  if (caller.kind === "instance" && caller.id !== id) {
    return problem(403, "The access token belongs to another instance");
  }
  return Response.json(toInstance(context, entry));
}

function toInstance({ executions }: ApiContext, entry: Entry) {
  const { id, meta, context, consentedScopes, variantKey, state } = entry.state;
  return {
    id,
    ...meta,
    extensionName: "Simulated extension",
    contributorName: "Simulated contributor",
    aggregateReference: { id: context.id, aggregate: context.kind, domain: context.kind },
    consentedScopes,
    disabled: !state.enabled,
    variantKey,
    createdAt: entry.createdAt,
    pendingInstallation: entry.installing,
    pendingRemoval: entry.removed === "pending",
    webhookExecutionHalted: entry.halted,
    nextScheduledWebhookExecution: executions.nextOf(id),
    chargeability: {
      isChargeable: false,
      reasons: { isNonChargeableCustomer: false, isOwnExtension: true },
    },
  };
}

const EXECUTION_KINDS: Readonly<Record<LifecycleKind, string>> = {
  ExtensionAddedToContext: "extensionAddedToContext",
  InstanceUpdated: "instanceUpdated",
  SecretRotated: "secretRotated",
  InstanceRemovedFromContext: "instanceRemovedFromContext",
};

/** `GET /v2/contributors/{id}/webhook-executions`. */
export function answerExecutions(context: ApiContext, call: ApiCall): Response {
  const refusal = refuseOthers(context, call.request);
  if (refusal) return refusal;
  const [contributorId] = call.parameters;
  const { query } = call;
  const [extensionId, instanceId] = [query.get("extensionId"), query.get("extensionInstanceId")];
  const states = query.getAll("state");
  return page(call, context.executions.all(), {
    has: ({ event, state }) =>
      event.meta.contributorId === contributorId &&
      (extensionId === null || event.meta.extensionId === extensionId) &&
      (instanceId === null || event.id === instanceId) &&
      (states.length === 0 || states.includes(state)),
    write: toExecution,
  });
}

function toExecution({ id, event, state, attempts, nextAt }: Execution) {
  return {
    id,
    ...event.meta,
    extensionInstanceId: event.id,
    kind: EXECUTION_KINDS[event.kind],
    state,
    attempts,
    nextScheduledExecution: nextAt,
  };
}

/** `PUT …/extension-instances/{id}/secret`: calls the webhook once, then answers. */
export async function answerRotation(
  context: ApiContext,
  { request, parameters }: ApiCall,
): Promise<Response> {
  const refusal = refuseOthers(context, request);
  if (refusal) return refusal;
  const [contributorId, extensionId, id = ""] = parameters;
  const entry = context.register.find(id);
  const { meta } = entry?.state ?? {};
  if (
    entry?.removed !== "no" || meta?.contributorId !== contributorId ||
    meta?.extensionId !== extensionId
  ) return problem(404, "No instance of this extension has this id");
  const allowWebhookFailure = (await fieldsOf(request))["allowWebhookFailure"] === true;
  const { secret, delivery } = await context.rotate(id, { allowWebhookFailure });
  if (delivery === undefined) return problem(404, "The instance was removed");
  const failure = !delivery.ok;
  if (failure && !allowWebhookFailure) return problem(400, "The webhook failed");
  const statusCode = delivery.status === undefined ? undefined : String(delivery.status);
  return Response.json({ secret, webhookResult: { failure, statusCode } });
}

/** The page of a list given by `limit` and `skip`, with the total in a header. */
function page<T>(
  { query }: ApiCall,
  all: Iterable<T>,
  { has, write }: { has(item: T): boolean; write(item: T): unknown },
): Response {
  const limit = wholeNumber(query.get("limit"), DEFAULT_LIMIT);
  const skip = wholeNumber(query.get("skip"), 0);
  if (limit === undefined || skip === undefined || limit > MAX_LIMIT) {
    return problem(400, `limit or skip is not a whole number, or limit is above ${MAX_LIMIT}`);
  }
  const items: unknown[] = [];
  let count = 0;
  for (const item of all) {
    if (!has(item)) continue;
    if (count >= skip && items.length < limit) items.push(write(item));
    count++;
  }
  return Response.json(items, { headers: { "X-Pagination-TotalCount": String(count) } });
}

function wholeNumber(text: string | null, standard: number): number | undefined {
  return text === null ? standard : /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
