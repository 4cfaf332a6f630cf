/** One instance, on both sides at once. */

import type { RecordedInstance, StorageRecovery } from "../../pg/storage_recovery.ts";
import { isSameState } from "../report.ts";
import type { RemoteInstance } from "./answers.ts";
import type { Found, Mstudio } from "./mstudio.ts";

/** How often an instance is looked at that keeps changing. */
const TRIES = 5;

/** An instance as both sides had it at one moment. */
export interface Observation extends Found {
  readonly recorded: RecordedInstance;
}

/**
 * Looks at an instance on both sides. The table is read before and after mStudio is asked: where it is the same, no
 * event was applied in between, and what differs does differ.
 *
 * @returns `undefined` where it never held still.
 */
export async function observe(
  storage: StorageRecovery,
  mstudio: Mstudio,
  id: string,
): Promise<Observation | undefined> {
  let before = await findOne(storage, id);
  for (let tried = 0; tried < TRIES; tried++) {
    const found = await mstudio.instance(id);
    const after = await findOne(storage, id);
    if (isSameRecord(before, after)) return { ...found, recorded: after };
    before = after;
  }
  return undefined;
}

export async function findOne(storage: StorageRecovery, id: string): Promise<RecordedInstance> {
  const [found] = await storage.find([id]);
  return found!;
}

/** Whether nothing has happened to an instance. */
export function isSameRecord(one: RecordedInstance, other: RecordedInstance | undefined): boolean {
  return one.version === other?.version && one.sealedSecret === other.sealedSecret &&
    isSameState(one.state, other.state);
}

/** What differs between the sides, and is not about to be delivered. */
export function differenceOf(
  recorded: RecordedInstance,
  remote: RemoteInstance | undefined,
): "missing" | "gone" | "different" | undefined {
  const { state } = recorded;
  if (!remote) return state ? "gone" : undefined;
  if (isComing(remote, state !== undefined)) return undefined;
  if (!state) return "missing";
  return isSameState(state, remote.state) ? undefined : "different";
}

/** Whether mStudio is about to tell the application that an instance was added, or removed. */
export function isComing(remote: RemoteInstance, isStored: boolean): boolean {
  return !remote.halted && (remote.removing || (remote.installing && !isStored));
}
