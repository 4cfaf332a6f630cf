/**
 * The expected rows after a run, by mittwald's documentation, not by the library's code:
 *
 * - an accepted event is applied, in the order of its instance's events;
 * - an update changes everything but the secret, a rotation only the secret, a removal ends the
 *   instance;
 * - events that a removal drops were not applied if never attempted; otherwise they were if an
 *   answer says so, were not if all answers refuse them, and are undecided if an answer is missing.
 *
 * The handlers are called once per difference between the states before and after an event.
 */

import { isDeepStrictEqual } from "node:util";
import type postgres from "postgres";
import type { Delivery } from "../../testing/mod.ts";
import { key } from "./extension.ts";

export interface State {
  readonly contextId: string;
  readonly context: "customer" | "project";
  readonly active: boolean;
  readonly variantKey: string | null;
  readonly consentedScopes: readonly string[];
  readonly secret: string;
}

/** An instance's event, as the sender saw it. */
export interface ToldEvent {
  readonly kind: "add" | "update" | "rotate" | "remove";
  /** mStudio's state after it; for a removal, before it. */
  readonly state: State;
  /** Whether an attempt was accepted. */
  readonly acknowledged: boolean;
  /** All its attempts, including late arrivals and replays. */
  readonly attempts: readonly Delivery[];
}

/** A handler call: its name and instance. */
type Change = readonly [name: string, instance: State];

/** An instance's stored state and handler calls. */
interface Kept {
  readonly row: State | null;
  readonly changes: readonly Change[];
}

/** Codes after which the change may have been made. */
const UNDECIDED = /^$|STORAGE_FAILED|HANDLER_FAILED|DEADLINE_EXCEEDED|BUSY|KEY_UNAVAILABLE/;

/** Possible stored states of an instance: one, unless a dropped event is undecided. */
function mayBeKept(events: readonly ToldEvent[]): Kept[] {
  let histories: Kept[] = [{ row: null, changes: [] }];
  for (const event of events) {
    // The sender knows the code of a response that was lost on purpose.
    const codes = event.attempts.map(({ responseCode = "" }) => responseCode);
    const applied = histories.map((kept) => apply(kept, event));
    if (event.acknowledged || codes.includes("STORED")) histories = applied;
    else if (codes.some((code) => UNDECIDED.test(code))) histories.push(...applied);
  }
  return histories;
}

function apply({ row: before, changes }: Kept, { kind, state }: ToldEvent): Kept {
  if (kind === "remove") {
    return { row: null, changes: before ? [...changes, ["removed", before]] : changes };
  }
  if (before === null) return { row: state, changes: [...changes, ["added", state]] };
  const secret = kind === "update" ? before.secret : state.secret;
  const row = { ...(kind === "rotate" ? before : state), secret };
  const made: Change[] = [];
  if (!isDeepStrictEqual(row, { ...before, secret })) made.push(["updated", row]);
  if (secret !== before.secret) made.push(["secretRotated", row]);
  return { row, changes: [...changes, ...made] };
}

const STORED = `
  select coalesce(id, instance_id) as id, coalesce(changes, '[]') as changes, to_jsonb(i) ||
    jsonb_build_object('variantKey', variant_key, 'consentedScopes', consented_scopes) as row
  from extension_instance i full join (
    select instance_id, jsonb_agg(jsonb_build_array(change, instance) order by id) as changes
    from change group by 1
  ) c on id = instance_id`;

/** Differences between the stored rows, read past the library, and the expected ones. */
export async function compare(
  sql: postgres.Sql,
  instances: ReadonlyMap<string, readonly ToldEvent[]>,
): Promise<string[]> {
  const found: string[] = [];
  const rows = await sql.unsafe<({ id: string } & Kept)[]>(STORED);
  const stored = new Map(rows.map(({ id, row, changes }) => [id, { row, changes }]));
  for (const [id, events] of instances) {
    const { row, changes }: Kept = stored.get(id) ?? { row: null, changes: [] };
    const kept: Kept = {
      row: row && stateOf({ ...row, secret: await key.decrypt(row.secret) }),
      changes: changes.map(([name, instance]) => [name, stateOf(instance)]),
    };
    const possible = mayBeKept(events);
    if (!possible.some((one) => isDeepStrictEqual(one, kept))) {
      const steps = events.map(({ kind, acknowledged }) => kind + (acknowledged ? "" : "?"));
      const [here, there] = [kept, possible].map((value) => JSON.stringify(value));
      found.push(`${id} (${steps.join(" ")}): stored ${here}, by the model ${there}`);
    }
    stored.delete(id);
  }
  return [...found, ...Array.from(stored.keys(), (id) => `${id} is stored: nobody told of it`)];
}

function stateOf(row: State): State {
  const { contextId, context, active, variantKey, consentedScopes, secret } = row;
  return { contextId, context, active, variantKey, consentedScopes, secret };
}
