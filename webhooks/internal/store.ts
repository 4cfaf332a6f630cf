/** What each event does to the storage. */

import type {
  ExtensionStorage,
  ExtensionToBeAdded,
  ExtensionToBeUpdated,
} from "@weissaufschwarz/mitthooks/storage/extensionStorage";
import {
  extensionAddedToContextKind,
  instanceRemovedKind,
  instanceUpdatedKind,
  secretRotatedKind,
} from "@weissaufschwarz/mitthooks/schemas";
import type { StorageOperation } from "../../errors.ts";
import type { LifecycleEvent } from "./event.ts";

/** What the webhooks know beyond mitthooks' types. A storage that does not know these fields ignores them. */
interface More {
  context: "customer" | "project";
  enabled: boolean;
}

/** The method of the storage that an event leads to. */
export const OPERATION: Readonly<Record<LifecycleEvent["kind"], StorageOperation>> = {
  [extensionAddedToContextKind]: "upsertExtension",
  [instanceUpdatedKind]: "updateExtension",
  [secretRotatedKind]: "rotateSecret",
  [instanceRemovedKind]: "removeInstance",
};

/** Stores an event. */
export async function store(storage: ExtensionStorage, event: LifecycleEvent): Promise<void> {
  switch (event.kind) {
    case extensionAddedToContextKind: {
      const added: ExtensionToBeAdded & More = { ...state(event), secret: event.secret };
      return await storage.upsertExtension(added);
    }
    case instanceUpdatedKind: {
      const updated: ExtensionToBeUpdated & More = state(event);
      return await storage.updateExtension(updated);
    }
    case secretRotatedKind:
      return await storage.rotateSecret(event.id, event.secret);
    case instanceRemovedKind:
      return await storage.removeInstance(event.id);
  }
}

/** What would have happened to an event, had it not been a dry run. */
export function describeDryRun(event: LifecycleEvent): string {
  const would = {
    [extensionAddedToContextKind]: "the instance would have been stored",
    [instanceUpdatedKind]: "the stored instance would have been updated",
    [secretRotatedKind]: "the secret of the stored instance would have been replaced",
    [instanceRemovedKind]: "the stored instance would have been removed",
  };
  return `Dry run of ${event.kind}: signature and body are valid, ${would[event.kind]}`;
}

function state(
  event: Extract<LifecycleEvent, { state: unknown }>,
): ExtensionToBeUpdated & More {
  const { id, context, consentedScopes, variantKey } = event;
  return {
    extensionInstanceId: id,
    contextId: context.id,
    context: context.kind,
    consentedScopes,
    enabled: event.state.enabled,
    ...(variantKey === undefined ? {} : { variantKey }),
  };
}
