/** The four lifecycle events, by mitthooks' schemas. */

import {
  extensionAddedToContextKind,
  extensionAddedToContextWebhookSchema,
  instanceRemovedKind,
  instanceRemovedWebhookSchema,
  instanceUpdatedKind,
  instanceUpdatedWebhookSchema,
  secretRotatedKind,
  secretRotatedWebhookSchema,
} from "@weissaufschwarz/mitthooks/schemas";
import { Refusal } from "../answers.ts";

/** The body of any lifecycle webhook. */
export type LifecycleEvent =
  | ReturnType<typeof extensionAddedToContextWebhookSchema.parse>
  | ReturnType<typeof instanceUpdatedWebhookSchema.parse>
  | ReturnType<typeof secretRotatedWebhookSchema.parse>
  | ReturnType<typeof instanceRemovedWebhookSchema.parse>;

/** The part of a zod schema that is used here. */
interface Schema<T> {
  safeParse(value: unknown):
    | { success: true; data: T }
    | { success: false; error: { issues: readonly Issue[] } };
}

interface Issue {
  readonly code: string;
  readonly path: readonly (string | number)[];
}

/**
 * Validates a body. The kind decides which schema is used, so that what is named is the field that is wrong, and not
 * every field of every kind. Fields that the schema does not know are dropped.
 *
 * @throws {Refusal}
 */
export function readEvent(value: unknown): LifecycleEvent {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidField("the body itself");
  }
  const { kind } = value as Record<string, unknown>;
  switch (kind) {
    case extensionAddedToContextKind:
      return check<LifecycleEvent>(extensionAddedToContextWebhookSchema, value);
    case instanceUpdatedKind:
      return check<LifecycleEvent>(instanceUpdatedWebhookSchema, value);
    case secretRotatedKind:
      return check<LifecycleEvent>(secretRotatedWebhookSchema, value);
    case instanceRemovedKind:
      return check<LifecycleEvent>(instanceRemovedWebhookSchema, value);
  }
  if (typeof kind !== "string") throw invalidField("kind");
  throw new Refusal(
    "ERR_UNKNOWN_KIND",
    `Reading the body of a webhook: its kind${
      /^\w{1,64}$/.test(kind) ? ` ${kind}` : ""
    } is not known to this version`,
  );
}

/** The refusal of one field. */
export function invalidField(field: string): Refusal {
  return new Refusal(
    "ERR_BODY_INVALID",
    `Reading the body of a webhook: ${field} is missing or not as it should be`,
  );
}

function check<T>(schema: Schema<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // Only the place: zod's messages quote values. Names in it come from the schema, never from the body.
  throw invalidField(result.error.issues[0]?.path.join(".") || "the body itself");
}
