/**
 * The fence: of each instance the last event that was applied. It says which events are applied, and its row is what
 * concurrent events of one instance wait for.
 */

import { type SQL, sql } from "drizzle-orm";
import type { EncryptableDatabase } from "../../session.ts";
import type { LastEventTable } from "../../schema.ts";
import type { ColumnNames } from "./column_names.ts";
import { Statement } from "./statement.ts";

/** The kinds of events that store something, as the table has them: as mittwald calls them. */
export type StoringKind = "ExtensionAddedToContext" | "InstanceUpdated" | "SecretRotated";

const REMOVED = sql.raw("'InstanceRemovedFromContext'");

/** How far the clocks of the sender and of this computer may differ, in milliseconds. */
const MAX_AHEAD_MS = 5 * 60 * 1000;

/**
 * The time of an event: the given one, or now.
 *
 * @throws {TypeError} It is not a valid `Date`.
 * @throws {RangeError} It is too far in the future: every genuine event until then would be refused.
 */
export function eventTime(attempt: string, occurredAt: Date | undefined): Date {
  if (occurredAt === undefined) return new Date();
  if (!(occurredAt instanceof Date) || Number.isNaN(occurredAt.getTime())) {
    throw new TypeError(`${attempt}: occurredAt is not a valid Date`);
  }
  if (occurredAt.getTime() > Date.now() + MAX_AHEAD_MS) {
    throw new RangeError(`${attempt}: occurredAt is more than 5 minutes in the future`);
  }
  return occurredAt;
}

/** Parts of statements, and the statements, of one table. */
export class EventFence {
  /** The instance's id, as the statements' value `id`. */
  readonly #id: SQL;
  /** The event's time, as the statements' value `at`. */
  readonly #at: SQL;
  readonly #instanceId: SQL;
  readonly #kind: SQL;
  readonly #createdAt: SQL;

  constructor(readonly table: LastEventTable, names: ColumnNames) {
    this.#id = sql`${sql.param(sql.placeholder("id"), table.instanceId)}`;
    this.#at = sql`${sql.param(sql.placeholder("at"), table.createdAt)}`;
    this.#instanceId = names.of(table.instanceId);
    this.#kind = names.of(table.kind);
    this.#createdAt = names.of(table.createdAt);
  }

  /** The name of the column with the instance's id. */
  get instanceId(): SQL {
    return this.#instanceId;
  }

  /**
   * Notes an event and returns its row, unless a newer one was applied or the instance was removed. It waits for
   * another event of the instance that is under way, and then looks at what that one left, not at what was there when
   * the statement began (PostgreSQL manual, 13.2.1, about ON CONFLICT DO UPDATE).
   *
   * @param kind The kind of the event.
   * @param condition Where it does not hold, nothing is noted.
   */
  note(kind: StoringKind, condition: SQL = sql`true`): SQL {
    const { table } = this;
    return sql`insert into ${table} (${this.#columns()}) select ${this.#id}, ${
      sql.raw(`'${kind}'`)
    }, ${this.#at} where ${condition} on conflict (${this.#instanceId}) do update set ${this.#kind} = excluded.${this.#kind}, ${this.#createdAt} = excluded.${this.#createdAt} where ${table.kind} <> ${REMOVED} and ${table.createdAt} <= excluded.${this.#createdAt} returning ${this.#instanceId}`;
  }

  /** The same as a statement of its own, which returns a row unless the event is refused. */
  pass(db: EncryptableDatabase, kind: StoringKind): Statement {
    return new Statement(db, this.note(kind));
  }

  /** Whether an event would be refused, by what was there when the statement began. */
  refuses(): SQL {
    const { table } = this;
    return sql`exists (select 1 from ${table} where ${table.instanceId} = ${this.#id} and (${table.kind} = ${REMOVED} or ${table.createdAt} > ${this.#at}))`;
  }

  /** Notes a removal, always. Its time never goes back, or it could be forgotten too soon. */
  noteRemoval(db: EncryptableDatabase): Statement {
    const { table } = this;
    return new Statement(
      db,
      sql`insert into ${table} (${this.#columns()}) values (${this.#id}, ${REMOVED}, ${this.#at}) on conflict (${this.#instanceId}) do update set ${this.#kind} = excluded.${this.#kind}, ${this.#createdAt} = greatest(${table.createdAt}, excluded.${this.#createdAt})`,
    );
  }

  /** Deletes the rows of instances that were removed before the value `at`, and counts them. */
  forgetRemoved(db: EncryptableDatabase): Statement {
    const { table } = this;
    return new Statement(
      db,
      sql`with "mitthooks_forgotten" as (delete from ${table} where ${table.kind} = ${REMOVED} and ${table.createdAt} < ${this.#at} returning 1) select count(*) as "count" from "mitthooks_forgotten"`,
    );
  }

  #columns(): SQL {
    return sql`${this.#instanceId}, ${this.#kind}, ${this.#createdAt}`;
  }
}
