/** What a comparison found. */

import type { ComparedState } from "../pg/storage_recovery.ts";
import type { WebhookDelivery } from "./internal/answers.ts";

export type { ComparedState, WebhookDelivery };

/** An instance that is not the same on both sides. */
export interface InstanceDifference {
  /** Id of the instance. */
  readonly id: string;
  /** Its state at mStudio; `undefined` where it is gone there. */
  readonly mstudio?: ComparedState;
  /** Its state in the table; `undefined` where it is missing there. */
  readonly stored?: ComparedState;
}

/** Why a secret is of no use. */
export type UnusableReason =
  /** There is none. */
  | "missing"
  /** It cannot be decrypted with the keys at hand. */
  | "unreadable"
  /** mittwald does not take it; told only where secrets were checked. */
  | "refused";

/** A stored instance without a secret that works. */
export interface UnusableSecret {
  /** Id of the instance. */
  readonly id: string;
  /** Why it is of no use. */
  readonly reason: UnusableReason;
}

/** The table and mStudio, compared. It holds no secret, and can be kept as JSON. */
export interface Comparison {
  /** Id of the extension. */
  readonly extensionId: string;
  /** The contributor that the extension is one of. */
  readonly contributorId: string;
  /** How many instances there are. */
  readonly counts: { readonly mstudio: number; readonly stored: number };
  /** At mStudio, and not in the table. */
  readonly missing: readonly (InstanceDifference & { readonly mstudio: ComparedState })[];
  /** In the table, and not at mStudio. */
  readonly gone: readonly (InstanceDifference & { readonly stored: ComparedState })[];
  /** On both sides, and not the same. */
  readonly different: readonly Required<InstanceDifference>[];
  /** Stored instances that mStudio has, too, without a secret that works. */
  readonly unusableSecrets: readonly UnusableSecret[];
  /** Deliveries that mStudio has not made. */
  readonly deliveries: {
    /** They are under way, or made later. */
    readonly pending: readonly WebhookDelivery[];
    /** mStudio does not make them any more. */
    readonly halted: readonly WebhookDelivery[];
  };
  /** Whether nothing has to be mended: the first four lists are empty. */
  readonly equal: boolean;
}

/** Whether two states are the same. The order of the scopes means nothing. */
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
