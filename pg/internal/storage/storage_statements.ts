/** The storage's statements. */

import { getTableColumns, is, SQL, sql } from "drizzle-orm";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type { ExtensionInstanceTable } from "../../schema.ts";
import { ColumnNames } from "./column_names.ts";
import { keyOf } from "../columns/encrypted_column.ts";
import type { Column } from "../columns/encrypted_table.ts";
import { type EventFence, fenceValues, type StoringKind } from "./event_fence.ts";
import type { EventMoment, Signed } from "./event_moment.ts";
import { render, Statement } from "./statement.ts";

/** The outcome of a statement. */
export type Outcome =
  | "stored"
  /** There was no row to change, or a trigger or a policy prevented the write. */
  | "unwritten"
  /** The fence did not record the event: it is late, or the instance is unknown. */
  | "unrecorded";

/** An event to store: values by the columns' TypeScript names, with an encrypted secret. */
export interface StoredEvent {
  readonly kind: StoringKind;
  /** Includes `id`. */
  readonly values: Readonly<Record<string, unknown>> & { readonly id: string };
  readonly moment: EventMoment;
}

/** Receives each new ciphertext with its plaintext. */
export type Remember = (ciphertext: string, plaintext: string) => void;

/** Columns that are set only in new rows. */
const FOR_NEW_ROWS: ReadonlySet<string> = new Set(["id", "createdAt"]);

/** Between the columns of a statement, each on a line of its own. */
const NEXT = sql.raw(",\n          ");

/** Selects one row if the event was recorded; `stored` is null if no instance was written. */
const STORED = sql.raw(
  `select "mitthooks_stored"."stored" from "mitthooks_event" left join "mitthooks_stored" on true`,
);

/** SQL for values, by the columns' TypeScript names. */
type Cells = Record<string, SQL>;

/** The statements that store events in one table. Each is built once per set of columns. */
export class StorageStatements {
  readonly #db: EncryptableDatabase;
  readonly #table: ExtensionInstanceTable;
  readonly #columns: Record<string, Column>;
  /** The columns with default or update functions. */
  readonly #own: readonly (readonly [string, Column])[];
  readonly #names: ColumnNames;
  readonly #fence: EventFence | undefined;
  readonly #built = new Map<string, Statement>();

  /**
   * @param db The undecorated database.
   * @param table The table.
   * @param fence Refuses late events; without it none is refused.
   */
  constructor(
    db: EncryptableDatabase,
    table: ExtensionInstanceTable,
    fence: EventFence | undefined,
  ) {
    this.#db = db;
    this.#table = table;
    this.#columns = getTableColumns(table);
    this.#own = Object.entries(this.#columns)
      .filter(([, { defaultFn, onUpdateFn }]) => defaultFn ?? onUpdateFn);
    this.#names = new ColumnNames(db);
    this.#fence = fence;
  }

  /**
   * Prepares the statement that stores an event. Calls the functions of the application's columns
   * and encrypts their results, so call it before anything is locked.
   *
   * @param event The event.
   * @param remember Receives the new ciphertexts.
   */
  async prepare(
    event: StoredEvent,
    remember: Remember = () => {},
  ): Promise<(db: EncryptableDatabase) => Promise<Outcome>> {
    const given = Object.keys(event.values);
    const isNew = event.kind === "ExtensionAddedToContext";
    const inserted = isNew ? await this.#ownCells(given, insertedBy, remember) : {};
    const updated = await this.#ownCells(given, (column) => column.onUpdateFn, remember);
    const build = () => {
      const cells = this.#placeholders(given);
      return new Statement(
        this.#db,
        isNew
          ? this.#upsert(event, { ...cells, ...inserted }, {
            ...this.#proposed(given),
            ...updated,
          })
          : this.#update(event, { ...cells, ...updated }),
      );
    };
    const hasOwn = Object.keys(inserted).length + Object.keys(updated).length > 0;
    // Functions may return SQL, so these statements differ each time.
    const statement = hasOwn
      ? build()
      : this.#once(`${event.kind} ${event.moment.signed} ${given}`, build);
    const values = { ...event.values, ...fenceValues(event.values.id, event.moment) };
    return async (db) => {
      const [row] = await statement.run(db, values);
      if (row?.["stored"]) return "stored";
      return row || !this.#fence ? "unwritten" : "unrecorded";
    };
  }

  /** Deletes the instance with the value `id`, and returns a row if there was one. */
  delete(): Statement {
    const table = this.#table;
    return this.#once("delete", () =>
      new Statement(
        this.#db,
        sql`delete from ${table}
        where ${table.id} = ${this.#placeholder("id")}
        returning ${this.#names.of(table.id)}`,
      ));
  }

  /**
   * Finds out why an event was not stored: whether the instance with the value `id` exists
   * (`stored`), and whether the fence refuses the event (`refused`).
   *
   * @param signed Whether the sender signed the event's time.
   */
  look(signed: Signed): Statement {
    const table = this.#table;
    return this.#once(`look ${signed}`, () =>
      new Statement(
        this.#db,
        sql`select
          exists (
            select 1 from ${table} where ${table.id} = ${
          this.#placeholder("id")
        })::text as "stored",
          ${this.#fence?.refuses(signed) ?? sql`false`}::text as "refused"`,
      ));
  }

  /** Whether row-level security may hide rows from the current user (`hides`). */
  hides(): Statement {
    const name = render(this.#db, sql`${this.#table}`);
    return this.#once(
      "hides",
      () =>
        new Statement(this.#db, sql`select row_security_active(${name}::text)::text as "hides"`),
    );
  }

  /**
   * Tries to insert a row with the value `id`. If there is none, it fails with a division by zero,
   * so that nothing stays. Otherwise a hidden row conflicts, or policies refuse the row.
   */
  findHidden(): Statement {
    const table = this.#table;
    const { id, contextId, active, consentedScopes } = table;
    const names = [id, contextId, active, consentedScopes].map((column) => this.#names.of(column));
    return this.#once("find hidden", () =>
      new Statement(
        this.#db,
        sql`with "mitthooks_inserted" as (
          insert into ${table} (${sql.join(names, sql`, `)})
          values (${this.#placeholder("id")}, '', false, '{}')
          on conflict (${names[0]}) do nothing
          returning 1)
        select 1 / (1 - count(*)) from "mitthooks_inserted"`,
      ));
  }

  #once(key: string, build: () => Statement): Statement {
    let statement = this.#built.get(key);
    if (!statement) {
      statement = build();
      this.#built.set(key, statement);
    }
    return statement;
  }

  #upsert({ kind, moment }: StoredEvent, inserted: Cells, updated: Cells): SQL {
    const table = this.#table;
    const id = this.#names.of(table.id);
    const columns = sql.join(Object.keys(inserted).map((name) => this.#name(name)), NEXT);
    const values = sql.join(Object.values(inserted), NEXT);
    const onConflict = sql`on conflict (${id}) do update set
          ${this.#set(updated)}
        returning 'yes' as "stored"`;
    if (!this.#fence) {
      return sql`insert into ${table} (
          ${columns})
        values (
          ${values})
        ${onConflict}`;
    }
    // ON CONFLICT sees the row as it is after passing the fence.
    return sql`with
      "mitthooks_event" as (${this.#fence.note(kind, moment.signed)}),
      "mitthooks_stored" as (
        insert into ${table} (
          ${columns})
        select
          ${values}
        from "mitthooks_event"
        ${onConflict})
      ${STORED}`;
  }

  #update({ kind, moment: { signed } }: StoredEvent, cells: Cells): SQL {
    const table = this.#table;
    const { id: idCell, ...set } = cells as Cells & { id: SQL };
    const update = sql`update ${table} set
          ${this.#set(set)}`;
    const returning = sql`returning 'yes' as "stored"`;
    if (!this.#fence) {
      return sql`${update}
        where ${table.id} = ${idCell}
        ${returning}`;
    }
    // If there is no row to change, nothing is recorded, so that a later event can still add it. A
    // row that another event changed in the meantime is read again (PostgreSQL manual, 13.2.1).
    const known = sql`exists (select 1 from ${table} where ${table.id} = ${idCell})`;
    return sql`with
      "mitthooks_event" as (${this.#fence.note(kind, signed, known)}),
      "mitthooks_stored" as (
        ${update}
        from "mitthooks_event"
        where ${table.id} = "mitthooks_event".${this.#fence.instanceId}
        ${returning})
      ${STORED}`;
  }

  #set(cells: Cells): SQL {
    return sql.join(
      Object.entries(cells).map(([name, cell]) => sql`${this.#name(name)} = ${cell}`),
      NEXT,
    );
  }

  #name(property: string): SQL {
    return this.#names.of(this.#columns[property]!);
  }

  #placeholder(property: string): SQL {
    const placeholder = sql.placeholder(property);
    const column = this.#columns[property]!;
    // Secrets are already encrypted and bypass the column's encoder.
    return property === "secret" ? sql`${placeholder}` : sql`${sql.param(placeholder, column)}`;
  }

  #placeholders(properties: string[]): Cells {
    return Object.fromEntries(properties.map((name) => [name, this.#placeholder(name)]));
  }

  /** Refers to the values in VALUES instead of sending them again. */
  #proposed(properties: string[]): Cells {
    return Object.fromEntries(
      properties.filter((name) => !FOR_NEW_ROWS.has(name))
        .map((name) => [name, sql`excluded.${this.#name(name)}`]),
    );
  }

  /** Calls the functions of columns without a given value, like Drizzle's builders. */
  async #ownCells(
    given: readonly string[],
    functionOf: (column: Column) => (() => unknown) | undefined,
    remember: Remember,
  ): Promise<Cells> {
    const cells: Cells = {};
    for (const [property, column] of this.#own) {
      const make = given.includes(property) ? undefined : functionOf(column);
      if (make) cells[property] = await ownCell(property, column, make(), remember);
    }
    return cells;
  }
}

/** The function for a new row's value, chosen as Drizzle does. */
function insertedBy(column: Column): (() => unknown) | undefined {
  return column.defaultFn ?? (column.default ? undefined : column.onUpdateFn);
}

async function ownCell(
  property: string,
  column: Column,
  value: unknown,
  remember: Remember,
): Promise<SQL> {
  const key = keyOf(column);
  if (!key || value === null) return is(value, SQL) ? value : sql`${sql.param(value, column)}`;
  if (is(value, SQL)) {
    throw new TypeError(
      `Storing an extension instance: the function of the encrypted column ${
        JSON.stringify(property)
      } returns SQL, which would be stored unencrypted, return a string instead`,
    );
  }
  const plaintext = key.storable(value);
  const ciphertext = await key.encrypt(plaintext);
  remember(ciphertext, plaintext);
  return sql`${ciphertext}`;
}
