/** The statements of the storage. */

import { getTableColumns, is, SQL, sql } from "drizzle-orm";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type { ExtensionInstanceTable } from "../../schema.ts";
import { ColumnNames } from "./column_names.ts";
import { keyOf } from "../columns/encrypted_column.ts";
import type { Column } from "../columns/encrypted_table.ts";
import { type EventFence, fenceValues, type StoringKind } from "./event_fence.ts";
import type { EventMoment, Signed } from "./event_moment.ts";
import { render, Statement } from "./statement.ts";

/** What came of a statement. */
export type Outcome =
  | "stored"
  /** There was no row to change. Or, where one was to be inserted, a trigger or a policy kept it from being. */
  | "unknown"
  /** A newer event was applied before, or the instance was removed. */
  | "stale";

/** What an event stores: values by the columns' names in TypeScript, the secret encrypted. */
export interface StoredEvent {
  readonly kind: StoringKind;
  /** Among them `id`. */
  readonly values: Readonly<Record<string, unknown>> & { readonly id: string };
  readonly moment: EventMoment;
}

/** Is told which ciphertexts have been made of which plaintexts. */
export type Remember = (ciphertext: string, plaintext: string) => void;

/** Columns that only a new row gets. */
const FOR_NEW_ROWS: ReadonlySet<string> = new Set(["id", "createdAt"]);

/** SQL in the place of values, by the columns' names in TypeScript. */
type Cells = Record<string, SQL>;

/** The statements that store events in one table. Each is built once for each set of columns. */
export class StorageStatements {
  readonly #db: EncryptableDatabase;
  readonly #table: ExtensionInstanceTable;
  readonly #columns: Record<string, Column>;
  /** Those that can have a function of the application's. */
  readonly #own: readonly (readonly [string, Column])[];
  readonly #names: ColumnNames;
  readonly #fence: EventFence | undefined;
  readonly #built = new Map<string, Statement>();

  /**
   * @param db The undecorated database.
   * @param table The table.
   * @param fence What refuses events that come late; without it none is refused.
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
   * Makes the statement that stores an event. Functions of the application's own columns are called for it, and what
   * they return is encrypted if need be; so it is made before anything is locked.
   *
   * @param event The event.
   * @param remember Is told which ciphertexts have been made.
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
    // What functions return can be SQL, so these statements differ each time.
    const statement = hasOwn
      ? build()
      : this.#once(`${event.kind} ${event.moment.signed} ${given}`, build);
    const values = { ...event.values, ...fenceValues(event.values.id, event.moment) };
    return async (db) => {
      const [row] = await statement.run(db, values);
      if (this.#fence) return row?.["outcome"] as Outcome;
      return row ? "stored" : "unknown";
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
   * Looks why an event was not stored: whether the instance with the value `id` is there (`stored`), and whether the fence
   * refuses the event (`refused`).
   *
   * @param signed Whether the sender signed its time.
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
   * Fails with a division by zero if no instance has the value `id`, and leaves nothing behind; otherwise a hidden row is
   * in the way, or policies refuse the row that is tried.
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
    const columns = sql.join(Object.keys(inserted).map((name) => this.#name(name)), sql`, `);
    const values = sql.join(Object.values(inserted), sql`, `);
    const onConflict = sql`on conflict (${id}) do update set ${this.#set(updated)}
        returning ${id}`;
    if (!this.#fence) {
      return sql`insert into ${table} (${columns})
        values (${values})
        ${onConflict}`;
    }
    // ON CONFLICT looks at the row that is there when the fence has been passed.
    return sql`with
      "mitthooks_event" as (${this.#fence.note(kind, moment.signed)}),
      "mitthooks_stored" as (
        insert into ${table} (${columns})
        select ${values} from "mitthooks_event"
        ${onConflict})
      select case
        when exists (select 1 from "mitthooks_stored") then 'stored'
        when exists (select 1 from "mitthooks_event") then 'unknown'
        else 'stale' end as "outcome"`;
  }

  #update({ kind, moment: { signed } }: StoredEvent, cells: Cells): SQL {
    const table = this.#table;
    const { id: idCell, ...set } = cells as Cells & { id: SQL };
    const id = this.#names.of(table.id);
    if (!this.#fence) {
      return sql`update ${table} set ${this.#set(set)}
        where ${table.id} = ${idCell}
        returning ${id}`;
    }
    // Where no row is there to be changed, nothing is noted: a later event that adds it must not be refused for it.
    // A row that another event changed while this one waited is looked at again (PostgreSQL manual, 13.2.1).
    const known = sql`exists (select 1 from "mitthooks_known")`;
    return sql`with
      "mitthooks_known" as (select 1 from ${table} where ${table.id} = ${idCell}),
      "mitthooks_event" as (${this.#fence.note(kind, signed, known)}),
      "mitthooks_stored" as (
        update ${table} set ${this.#set(set)}
        from "mitthooks_event" where ${table.id} = "mitthooks_event".${this.#fence.instanceId}
        returning ${table.id})
      select case
        when exists (select 1 from "mitthooks_stored") then 'stored'
        when exists (select 1 from "mitthooks_event") then 'unknown'
        when ${known} then 'stale'
        when ${this.#fence.refuses(signed)} then 'stale'
        else 'unknown' end as "outcome"`;
  }

  #set(cells: Cells): SQL {
    return sql.join(
      Object.entries(cells).map(([name, cell]) => sql`${this.#name(name)} = ${cell}`),
      sql`, `,
    );
  }

  #name(property: string): SQL {
    return this.#names.of(this.#columns[property]!);
  }

  #placeholder(property: string): SQL {
    const placeholder = sql.placeholder(property);
    const column = this.#columns[property]!;
    // Secrets come encrypted, past the column's encoder.
    return property === "secret" ? sql`${placeholder}` : sql`${sql.param(placeholder, column)}`;
  }

  #placeholders(properties: string[]): Cells {
    return Object.fromEntries(properties.map((name) => [name, this.#placeholder(name)]));
  }

  /** What stands in VALUES is not sent again. */
  #proposed(properties: string[]): Cells {
    return Object.fromEntries(
      properties.filter((name) => !FOR_NEW_ROWS.has(name))
        .map((name) => [name, sql`excluded.${this.#name(name)}`]),
    );
  }

  /** What functions of columns return that are not given, as Drizzle's own builders would ask them. */
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

/** The function that a new row's value comes from, as Drizzle chooses it. */
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
      } returns SQL, which would be stored as it is, return a string instead`,
    );
  }
  const plaintext = key.storable(value);
  const ciphertext = await key.encrypt(plaintext);
  remember(ciphertext, plaintext);
  return sql`${ciphertext}`;
}
