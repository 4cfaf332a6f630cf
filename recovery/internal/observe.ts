/** Reads one instance on both sides at the same moment. */

import type { RecordedInstance, StorageRecovery } from "../../pg/storage_recovery.ts";
import { isSameState } from "../report.ts";
import type { RemoteInstance } from "./answers.ts";
import type { Found, Mstudio } from "./mstudio.ts";

/** How often to read an instance that keeps changing. */
const TRIES = 5;

/** An instance on both sides at one moment. */
export interface Observation extends Found {
  readonly recorded: RecordedInstance;
}

/**
 * Reads an instance on both sides. The table is read before and after the request to mStudio. If
 * both reads agree, no event was applied in between, so a difference is real.
 *
 * @returns The observation, or `undefined` if the instance kept changing.
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

/** Whether an instance is unchanged. */
export function isSameRecord(one: RecordedInstance, other: RecordedInstance | undefined): boolean {
  return one.version === other?.version && one.sealedSecret === other.sealedSecret &&
    isSameState(one.state, other.state);
}

/** How the sides differ, unless a pending delivery resolves the difference. */
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

/** Whether the delivery of an addition or removal is pending. */
export function isComing(remote: RemoteInstance, isStored: boolean): boolean {
  return !remote.halted && (remote.removing || (remote.installing && !isStored));
}
