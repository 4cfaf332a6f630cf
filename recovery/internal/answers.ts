/** Reads the API's answers. Validates every field that is used. */

import type { ComparedState } from "../../pg/storage_recovery.ts";

/** An instance in mStudio. */
export interface RemoteInstance {
  readonly id: string;
  readonly extensionId: string;
  readonly contributorId: string | undefined;
  readonly state: ComparedState;
  /** The webhook of its installation, or of its removal, is still pending. */
  readonly installing: boolean;
  readonly removing: boolean;
  /** mStudio no longer attempts its deliveries. */
  readonly halted: boolean;
  /** A delivery is scheduled. */
  readonly scheduled: boolean;
}

/** A delivery that has not succeeded, or not yet. */
export interface WebhookDelivery {
  /** The instance's id. */
  readonly instanceId: string;
  /** Kind of the event, in the API's spelling: `extensionAddedToContext`, `instanceUpdated` … */
  readonly kind: string;
  /** How often it was attempted. */
  readonly attempts: number;
  /** When it is attempted next, in ISO 8601, if known. */
  readonly nextAt: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** The fields of an object; none for any other value. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {};
}

/** Reads an instance; `undefined` for any other value. */
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

/** Reads a delivery; `undefined` for any other value. */
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

/** Reads the answer to a rotation; `undefined` for any other value. */
export function readRotation(value: unknown): { secret: string; delivered: boolean } | undefined {
  const { secret, webhookResult } = fieldsOf(value);
  if (!isText(secret)) return undefined;
  return { secret, delivered: fieldsOf(webhookResult)["failure"] === false };
}

export function isText(value: unknown): value is string {
  return isString(value) && value !== "";
}

/** PostgreSQL cannot store U+0000 or lone surrogates. */
function isString(value: unknown): value is string {
  return typeof value === "string" && !/\0|\p{Surrogate}/u.test(value);
}

function isStringOrNothing(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || isString(value);
}
