/**
 * What has to be stored after a run, by what mittwald documents (and not by what the library does):
 *
 * - an event that was answered with success is applied, in the order of the events of its instance;
 * - an update brings all but the secret, a rotation the secret alone, a removal is the end of the instance;
 * - events that a removal found undelivered are dropped: never attempted, they were never applied; attempted, they were
 *   if an answer says so, were not if all answers refuse them, and nobody knows if an answer is missing.
 *
 * The handlers are called once for each difference between the states before and after an event.
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

/** An event of an instance as the sender saw it. */
export interface ToldEvent {
  readonly kind: "add" | "update" | "rotate" | "remove";
  /** What mStudio has after it; of a removal, before it. */
  readonly state: State;
  /** Whether an attempt was answered with success. */
  readonly acknowledged: boolean;
  /** All attempts that tell it; late arrivals and replays, too. */
  readonly attempts: readonly Delivery[];
}

/** A call of a handler: its name, and the instance that it was given. */
type Change = readonly [name: string, instance: State];

/** What is kept of an instance, and the calls of the handlers. */
interface Kept {
  readonly row: State | null;
  readonly changes: readonly Change[];
}

/** Codes after which the change may have been made. */
const UNDECIDED = /^$|STORAGE_FAILED|HANDLER_FAILED|DEADLINE_EXCEEDED|BUSY|KEY_UNAVAILABLE/;

/** What may be kept of an instance: one thing, unless nobody knows whether an event was applied that was dropped. */
function mayBeKept(events: readonly ToldEvent[]): Kept[] {
  let histories: Kept[] = [{ row: null, changes: [] }];
  for (const event of events) {
    // Of a response that was lost on purpose the sender knows the code.
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

/** Whatever is stored, read past the library, and should not be, or the other way round. */
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
