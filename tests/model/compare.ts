/** Compares what is stored, read past the library, with the model. */

import { isDeepStrictEqual } from "node:util";
import postgres from "postgres";
import { poll } from "../../tools/postgres/databases.ts";
import { lastEvent, mayBeKept, type State, type ToldEvent } from "./model.ts";
import { key } from "./tables.ts";

/**
 * Finds what is stored and should not be, or the other way round.
 *
 * @param fence Whether there are last events and changes, and not only rows of instances.
 */
export async function compare(
  url: string,
  instances: ReadonlyMap<string, readonly ToldEvent[]>,
  fence: boolean,
): Promise<string[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    // What servers left running may end; then nobody changes anything.
    const others = () =>
      sql`select 1 from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and backend_type = 'client backend'`;
    await poll(async () => (await others()).length === 0, { timeoutMs: 60_000 });
    const byInstance = async (rows: Promise<postgres.Row[]>) =>
      Map.groupBy(await rows, (row): string => row["instance_id"]);
    const rows = await byInstance(
      sql`select *, id as instance_id, variant_key as "variantKey",
        consented_scopes as "consentedScopes" from extension_instance`,
    );
    const changes = await byInstance(sql`select * from change order by id`);
    const lastEvents = await byInstance(sql`select * from extension_instance_last_event`);

    const found: string[] = [];
    for (const [id, events] of instances) {
      const note = (what: string, stored: unknown, model: unknown) => {
        const steps = events.map(({ kind, acknowledged }) => kind + (acknowledged ? "" : "?"));
        const [here, there] = [stored, model].map((value) => JSON.stringify(value));
        found.push(`${id} (${steps.join(" ")}): ${what}: stored ${here}, by the model ${there}`);
      };
      const [row] = rows.get(id) ?? [];
      const state = row ? stateOf({ ...row, secret: await key.decrypt(row["secret"]) }) : null;
      const possible = mayBeKept(events);
      if (!possible.some((kept) => isDeepStrictEqual(kept.state, state))) {
        note("row", state, possible[0]!.state);
      }
      if (!fence) continue;
      const made = (changes.get(id) ?? []).map(({ change, before, instance }) => (
        { change, before: before && stateOf(before), instance: stateOf(instance) }
      ));
      if (!possible.some((kept) => isDeepStrictEqual(kept.changes, made))) {
        note("changes", made, possible.map(({ changes }) => changes));
      }
      const [last] = lastEvents.get(id) ?? [];
      const expected = lastEvent(events);
      if (
        last?.["kind"] !== expected.kind ||
        !expected.createdAt.includes(last["created_at"].toISOString())
      ) note("last event", last, expected);
    }
    for (const id of new Set([rows, changes, lastEvents].flatMap((stored) => [...stored.keys()]))) {
      if (!instances.has(id)) found.push(`${id} is stored: nobody told of it`);
    }
    return found;
  } finally {
    await sql.end();
  }
}

function stateOf(row: object): State {
  const { contextId, context, active, variantKey, consentedScopes, secret } = row as State;
  return { contextId, context, active, variantKey, consentedScopes, secret };
}
