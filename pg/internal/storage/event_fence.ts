/**
 * The fence: the last event applied to each instance. It decides which events are applied, and
 * concurrent events of an instance wait for its row.
 */

import { type SQL, sql } from "drizzle-orm";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type { LastEventTable } from "../../schema.ts";
import type { ColumnNames } from "./column_names.ts";
import type { EventMoment, Signed } from "./event_moment.ts";
import { Statement, type Values } from "./statement.ts";

/** The kinds of events that store something, in mittwald's spelling, as in the table. */
export type StoringKind = "ExtensionAddedToContext" | "InstanceUpdated" | "SecretRotated";

const REMOVED = sql.raw("'InstanceRemovedFromContext'");

/** Stands for the time of the last signed event if there was none. */
const NEVER = sql.raw("'epoch'");

/** An event's values for the statements. */
export function fenceValues(id: string, { at, requestIds, basis }: EventMoment): Values {
  return { id, at, requestIds, ...basis === undefined ? {} : { basis } };
}

/** The statements of one table, and parts of them. */
export class EventFence {
  /** The instance's id, as the statements' value `id`. */
  readonly #id: SQL;
  /** The event's time, as the statements' value `at`. */
  readonly #at: SQL;
  /** The ids of the event's request, as the statements' value `requestIds`. */
  readonly #ids: SQL;
  /** The version that was read, as the statements' value `basis`. */
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
   * Records an event and returns its row, unless a newer one was applied or the instance was
   * removed. Waits for a concurrent event of the instance, and then sees that one's row, not the
   * row at the start of the statement (PostgreSQL manual, 13.2.1, about ON CONFLICT DO UPDATE).
   *
   * @param kind The kind of the event.
   * @param signed Whether the sender signed the event's time. If not, the time of the call is
   *   stored separately and changes no signed time, because a genuine event signed just before the
   *   call may still arrive. For `"asked"`, nothing is recorded if any event was applied since
   *   `basis` was read, and the time never goes back.
   * @param condition If it is false, nothing is recorded.
   */
  note(kind: StoringKind, signed: Signed, condition: SQL = sql`true`): SQL {
    const { table } = this;
    const kindText = sql.raw(`'${kind}'`);
    if (signed === "asked") {
      return sql`
        insert into ${table} (
          ${this.#instanceId}, ${this.#kind}, ${this.#createdAt}, ${this.#requestIds})
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
        insert into ${table} (
          ${this.#instanceId}, ${this.#kind}, ${this.#createdAt}, ${this.#calledAt})
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
        insert into ${table} (
          ${this.#instanceId}, ${this.#kind}, ${this.#createdAt}, ${this.#requestIds})
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

  /** `note` as a separate statement, which returns a row unless the event is refused. */
  pass(db: EncryptableDatabase, kind: StoringKind, signed: Signed): Statement {
    return new Statement(db, this.note(kind, signed));
  }

  /**
   * A text that changes with every applied event; null before the first. Independent of connection
   * settings.
   */
  version(): SQL {
    const { table } = this;
    const micros = (column: SQL | LastEventTable["createdAt" | "calledAt"]) =>
      sql`coalesce((extract(epoch from ${column}) * 1000000)::bigint::text, '')`;
    return sql`(
            ${table.kind} || ' ' ||
            ${micros(table.createdAt)} || ' ' ||
            ${micros(table.calledAt)} || ' ' ||
            ${table.requestIds}::text)`;
  }

  /** Whether an instance was removed; null if it has no event. */
  removed(): SQL {
    return sql`(${this.table.kind} = ${REMOVED})`;
  }

  /** Whether an event would be refused, judged by the rows at the start of the statement. */
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

  /**
   * Records a removal unconditionally and returns its row. Its time never goes back, or it could be
   * forgotten too early.
   */
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

  /** Deletes and counts the rows of instances removed before the value `at`. */
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
