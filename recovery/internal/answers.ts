/** What the API's answers say. Nothing of them is believed that was not looked at. */

import type { ComparedState } from "../../pg/storage_recovery.ts";

/** An instance as mStudio has it. */
export interface RemoteInstance {
  readonly id: string;
  readonly extensionId: string;
  readonly contributorId: string | undefined;
  readonly state: ComparedState;
  /** It was not added yet as far as its webhook goes, or is being removed. */
  readonly installing: boolean;
  readonly removing: boolean;
  /** Its deliveries have been given up. */
  readonly halted: boolean;
  /** A delivery is going to be made. */
  readonly scheduled: boolean;
}

/** A delivery that was not made, or not yet. */
export interface WebhookDelivery {
  /** Id of the instance. */
  readonly instanceId: string;
  /** Kind of the event, as the API calls it: `extensionAddedToContext`, `instanceUpdated`, `secretRotated` … */
  readonly kind: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** When it is tried next, where that is known: ISO 8601. */
  readonly nextAt: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** The fields of an object; none of anything else. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {};
}

/** Reads an instance; `undefined` for what is none. */
export function readInstance(value: unknown): RemoteInstance | undefined {
  const fields = fieldsOf(value);
  const { id, extensionId, contributorId, aggregateReference, variantKey, disabled } = fields;
  const { id: contextId, aggregate: context } = fieldsOf(aggregateReference);
  const consentedScopes = fields["consentedScopes"] ?? [];
  if (!isText(id) || !isText(extensionId) || !isText(contextId)) return undefined;
  if (context !== "customer" && context !== "project") return undefined;
  if (!Array.isArray(consentedScopes) || !consentedScopes.every(isString)) return undefined;
  if (!isStringOrNothing(variantKey)) return undefined;
  if (disabled !== undefined && typeof disabled !== "boolean") return undefined;
  return {
    id,
    extensionId,
    contributorId: isText(contributorId) ? contributorId : undefined,
    state: {
      contextId,
      context,
      active: disabled !== true,
      variantKey: variantKey ?? null,
      consentedScopes,
    },
    installing: fields["pendingInstallation"] === true,
    removing: fields["pendingRemoval"] === true,
    halted: fields["webhookExecutionHalted"] === true,
    scheduled: isText(fields["nextScheduledWebhookExecution"]),
  };
}

/** Reads a delivery; `undefined` for what is none. */
export function readDelivery(value: unknown): WebhookDelivery | undefined {
  const { extensionInstanceId, kind, attempts, nextScheduledExecution } = fieldsOf(value);
  if (!isText(extensionInstanceId) || !isText(kind)) return undefined;
  return {
    instanceId: extensionInstanceId,
    kind,
    attempts: typeof attempts === "number" ? attempts : 0,
    nextAt: isText(nextScheduledExecution) ? nextScheduledExecution : undefined,
  };
}

/** Reads the answer to a rotation; `undefined` for what is none. */
export function readRotation(value: unknown): { secret: string; delivered: boolean } | undefined {
  const { secret, webhookResult } = fieldsOf(value);
  if (!isText(secret)) return undefined;
  return { secret, delivered: fieldsOf(webhookResult)["failure"] === false };
}

export function isText(value: unknown): value is string {
  return isString(value) && value !== "";
}

/** PostgreSQL stores neither U+0000 nor half a character. */
function isString(value: unknown): value is string {
  return typeof value === "string" && !/\0|\p{Surrogate}/u.test(value);
}

function isStringOrNothing(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || isString(value);
}
