/**
 * The fence: of each instance the last event that was applied. It says which events are applied, and its row is what
 * concurrent events of one instance wait for.
 */

import { type SQL, sql } from "drizzle-orm";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type { LastEventTable } from "../../schema.ts";
import type { ColumnNames } from "./column_names.ts";
import type { EventMoment, Signed } from "./event_moment.ts";
import { Statement, type Values } from "./statement.ts";

/** The kinds of events that store something, as the table has them: as mittwald calls them. */
export type StoringKind = "ExtensionAddedToContext" | "InstanceUpdated" | "SecretRotated";

const REMOVED = sql.raw("'InstanceRemovedFromContext'");

/** The time of the last signed event where there was none. */
const NEVER = sql.raw("'epoch'");

/** The statements' values of an event. */
export function fenceValues(id: string, { at, requestIds, basis }: EventMoment): Values {
  return { id, at, requestIds, ...basis === undefined ? {} : { basis } };
}

/** Parts of statements, and the statements, of one table. */
export class EventFence {
  /** The instance's id, as the statements' value `id`. */
  readonly #id: SQL;
  /** The event's time, as the statements' value `at`. */
  readonly #at: SQL;
  /** The ids of the event's request, as the statements' value `requestIds`. */
  readonly #ids: SQL;
  /** What had been applied, as the statements' value `basis`. */
  readonly #basis: SQL;
  readonly #instanceId: SQL;
  readonly #kind: SQL;
  readonly #createdAt: SQL;
  readonly #requestIds: SQL;
  readonly #calledAt: SQL;

  constructor(readonly table: LastEventTable, names: ColumnNames) {
    this.#id = sql`${sql.param(sql.placeholder("id"), table.instanceId)}`;
    this.#at = sql`${sql.param(sql.placeholder("at"), table.createdAt)}`;
    this.#ids = sql`${sql.param(sql.placeholder("requestIds"), table.requestIds)}`;
    this.#basis = sql`cast(${sql.placeholder("basis")} as text)`;
    this.#instanceId = names.of(table.instanceId);
    this.#kind = names.of(table.kind);
    this.#createdAt = names.of(table.createdAt);
    this.#requestIds = names.of(table.requestIds);
    this.#calledAt = names.of(table.calledAt);
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
   * @param signed Whether the sender signed its time. Where it did not, the time of the call is kept beside the signed
   * times and moves none of them: a genuine event that was signed just before the call is still to come. Where the
   * sender was asked, nothing is noted if anything has been applied since the value `basis` was read, and the time moves
   * forward only.
   * @param condition Where it does not hold, nothing is noted.
   */
  note(kind: StoringKind, signed: Signed, condition: SQL = sql`true`): SQL {
    const { table } = this;
    const kindText = sql.raw(`'${kind}'`);
    if (signed === "asked") {
      return sql`
        insert into ${table} (${this.#instanceId}, ${this.#kind}, ${this.#createdAt}, ${this.#requestIds})
        select ${this.#id}, ${kindText}, ${this.#at}, ${this.#ids}
        where ${condition}
        on conflict (${this.#instanceId}) do update set
          ${this.#kind} = excluded.${this.#kind},
          ${this.#createdAt} = greatest(${table.createdAt}, excluded.${this.#createdAt}),
          ${this.#requestIds} = case when ${table.createdAt} < excluded.${this.#createdAt}
            then excluded.${this.#requestIds}
            else ${table.requestIds} || excluded.${this.#requestIds} end
        where ${this.version()} = ${this.#basis}
        returning ${this.#instanceId}`;
    }
    if (!signed) {
      return sql`
        insert into ${table} (${this.#instanceId}, ${this.#kind}, ${this.#createdAt}, ${this.#calledAt})
        select ${this.#id}, ${kindText}, ${NEVER}, ${this.#at}
        where ${condition}
        on conflict (${this.#instanceId}) do update set
          ${this.#kind} = excluded.${this.#kind},
          ${this.#calledAt} = excluded.${this.#calledAt}
        where ${table.kind} <> ${REMOVED}
          and ${table.createdAt} <= excluded.${this.#calledAt}
          and (${table.calledAt} is null or ${table.calledAt} <= excluded.${this.#calledAt})
        returning ${this.#instanceId}`;
    }
    return sql`
        insert into ${table} (${this.#instanceId}, ${this.#kind}, ${this.#createdAt}, ${this.#requestIds})
        select ${this.#id}, ${kindText}, ${this.#at}, ${this.#ids}
        where ${condition}
        on conflict (${this.#instanceId}) do update set
          ${this.#kind} = excluded.${this.#kind},
          ${this.#createdAt} = excluded.${this.#createdAt},
          ${this.#requestIds} = case when ${table.createdAt} = excluded.${this.#createdAt}
            then ${table.requestIds} || excluded.${this.#requestIds}
            else excluded.${this.#requestIds} end
        where ${table.kind} <> ${REMOVED}
          and (${table.createdAt} < excluded.${this.#createdAt}
            or ${table.createdAt} = excluded.${this.#createdAt}
              and not ${table.requestIds} && excluded.${this.#requestIds})
        returning ${this.#instanceId}`;
  }

  /** The same as a statement of its own, which returns a row unless the event is refused. */
  pass(db: EncryptableDatabase, kind: StoringKind, signed: Signed): Statement {
    return new Statement(db, this.note(kind, signed));
  }

  /** A text that differs after every event that is applied; null where none was. No setting of a connection changes it. */
  version(): SQL {
    const { table } = this;
    const micros = (column: SQL | LastEventTable["createdAt" | "calledAt"]) =>
      sql`coalesce((extract(epoch from ${column}) * 1000000)::bigint::text, '')`;
    return sql`(${table.kind} || ' ' || ${micros(table.createdAt)} || ' ' || ${
      micros(table.calledAt)
    } || ' ' || ${table.requestIds}::text)`;
  }

  /** Whether an instance was removed; null where nothing is known of it. */
  removed(): SQL {
    return sql`(${this.table.kind} = ${REMOVED})`;
  }

  /** Whether an event would be refused, by what was there when the statement began. */
  refuses(signed: Signed): SQL {
    const { table } = this;
    if (signed === "asked") {
      return sql`exists (
          select 1 from ${table}
          where ${table.instanceId} = ${this.#id} and ${this.version()} <> ${this.#basis})`;
    }
    const newer = signed
      ? sql`${table.createdAt} > ${this.#at}
            or ${table.createdAt} = ${this.#at} and ${table.requestIds} && ${this.#ids}`
      : sql`${table.createdAt} > ${this.#at} or ${table.calledAt} > ${this.#at}`;
    return sql`exists (
          select 1 from ${table}
          where ${table.instanceId} = ${this.#id} and (${table.kind} = ${REMOVED} or ${newer}))`;
  }

  /** Notes a removal, always, and returns its row. Its time never goes back, or it could be forgotten too soon. */
  noteRemoval(db: EncryptableDatabase): Statement {
    const { table } = this;
    return new Statement(
      db,
      sql`insert into ${table} (${this.#instanceId}, ${this.#kind}, ${this.#createdAt})
        values (${this.#id}, ${REMOVED}, ${this.#at})
        on conflict (${this.#instanceId}) do update set
          ${this.#kind} = excluded.${this.#kind},
          ${this.#createdAt} = greatest(${table.createdAt}, excluded.${this.#createdAt}),
          ${this.#requestIds} = '{}',
          ${this.#calledAt} = null
        returning ${this.#instanceId}`,
    );
  }

  /** Deletes the rows of instances that were removed before the value `at`, and counts them. */
  forgetRemoved(db: EncryptableDatabase): Statement {
    const { table } = this;
    return new Statement(
      db,
      sql`with "mitthooks_forgotten" as (
          delete from ${table}
          where ${table.kind} = ${REMOVED} and ${table.createdAt} < ${this.#at}
          returning 1)
        select count(*) as "count" from "mitthooks_forgotten"`,
    );
  }
}
