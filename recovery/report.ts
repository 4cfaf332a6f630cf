/** The result of a comparison. */

import type { ComparedState } from "../pg/storage_recovery.ts";
import type { WebhookDelivery } from "./internal/answers.ts";

export type { ComparedState, WebhookDelivery };

/** An instance that differs between the two sides. */
export interface InstanceDifference {
  /** The instance's id. */
  readonly id: string;
  /** Its state in mStudio; `undefined` if it is gone there. */
  readonly mstudio?: ComparedState;
  /** Its state in the table; `undefined` if it is missing there. */
  readonly stored?: ComparedState;
}

/** Why a secret is unusable. */
export type UnusableReason =
  /** No secret is stored. */
  | "missing"
  /** It cannot be decrypted with the available keys. */
  | "unreadable"
  /** mittwald refuses it; found only with `checkSecrets`. */
  | "refused";

/** A stored instance without a working secret. */
export interface UnusableSecret {
  /** The instance's id. */
  readonly id: string;
  /** The reason. */
  readonly reason: UnusableReason;
}

/** The differences between the table and mStudio. Contains no secret; can be stored as JSON. */
export interface Comparison {
  /** The extension's id. */
  readonly extensionId: string;
  /** Id of the extension's contributor. */
  readonly contributorId: string;
  /** How many instances each side has. */
  readonly counts: { readonly mstudio: number; readonly stored: number };
  /** In mStudio, but not in the table. */
  readonly missing: readonly (InstanceDifference & { readonly mstudio: ComparedState })[];
  /** In the table, but not in mStudio. */
  readonly gone: readonly (InstanceDifference & { readonly stored: ComparedState })[];
  /** On both sides, with different states. */
  readonly different: readonly Required<InstanceDifference>[];
  /** On both sides, but without a working secret in the table. */
  readonly unusableSecrets: readonly UnusableSecret[];
  /** Deliveries that mStudio has not completed. */
  readonly deliveries: {
    /** In flight or scheduled. */
    readonly pending: readonly WebhookDelivery[];
    /** No longer attempted by mStudio. */
    readonly halted: readonly WebhookDelivery[];
  };
  /** Whether nothing needs repair: the four lists of instances are empty. */
  readonly equal: boolean;
}

/** Whether two states are equal. The order of the scopes does not matter. */
export function isSameState(
  one: ComparedState | undefined,
  other: ComparedState | undefined,
): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.contextId === other.contextId && one.context === other.context &&
    one.active === other.active && one.variantKey === other.variantKey &&
    textOf(one.consentedScopes) === textOf(other.consentedScopes);
}

function textOf(scopes: readonly string[]): string {
  return JSON.stringify([...new Set(scopes)].sort());
}
