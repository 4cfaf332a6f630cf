/** Reads what is stored, past the library. */

import postgres from "postgres";
import type { Change } from "./model.ts";
import type { State } from "./plan.ts";
import { key } from "./tables.ts";

/** What a database holds, by instance. */
export interface Observed {
  readonly states: ReadonlyMap<string, State>;
  readonly lastEvents: ReadonlyMap<string, { readonly kind: string; readonly createdAt: string }>;
  readonly changes: ReadonlyMap<string, readonly Change[]>;
}

/** Longest time to wait for what servers left running, in milliseconds. */
const QUIET_LIMIT_MS = 60_000;

/** Waits until nobody else is connected to a database. */
async function untilQuiet(sql: postgres.Sql): Promise<void> {
  const limit = Date.now() + QUIET_LIMIT_MS;
  for (;;) {
    const others = await sql`
      select 1 from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`;
    if (others.length === 0) return;
    if (Date.now() > limit) throw new Error("Reading the database: somebody is still connected");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * Reads all tables, once nobody works with them any more.
 *
 * @param url URL of the database.
 */
export async function observe(url: string): Promise<Observed> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await untilQuiet(sql);
    const states = new Map<string, State>();
    for (const row of await sql`select * from extension_instance`) {
      states.set(row["id"], {
        contextId: row["contextId"],
        context: row["context"],
        active: row["active"],
        variantKey: row["variant_key"],
        consentedScopes: row["consented_scopes"],
        secret: await key.decrypt(row["secret"]),
      });
    }
    const lastEvents = new Map<string, { kind: string; createdAt: string }>();
    for (const row of await sql`select * from extension_instance_last_event`) {
      const { kind, created_at: createdAt } = row;
      lastEvents.set(row["instance_id"], { kind, createdAt: createdAt.toISOString() });
    }
    const changes = new Map<string, Change[]>();
    for (const row of await sql`select * from change order by id`) {
      const { instance_id: id, change, before, instance } = row;
      const made = changes.get(id) ?? [];
      changes.set(id, made);
      made.push({ change, before: before && stateOf(before), instance: stateOf(instance) });
    }
    return { states, lastEvents, changes };
  } finally {
    await sql.end();
  }
}

function stateOf(row: State): State {
  const { contextId, context, active, variantKey, consentedScopes, secret } = row;
  return { contextId, context, active, variantKey, consentedScopes, secret };
}
