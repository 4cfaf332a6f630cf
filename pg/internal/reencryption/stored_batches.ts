/**
 * Reads a table as it is stored, in batches, in the order of its primary key: the next batch begins after
 * the last key of the one before, so the work for each does not grow with the table.
 */

import { type SQL, sql } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/pg-core";
import { StorageError, type StorageOperation } from "../../../errors.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type { Column, EncryptedTable } from "../columns/encrypted_table.ts";
import { castKey, exactly, type KeyColumn, keyColumns, typesOf } from "./primary_key.ts";
import { runStatement, sqlState } from "../storage/run_statement.ts";

/** The columns of a primary key as text, for the database. */
export type Key = readonly string[];

/** A row of an encrypted table. */
export interface StoredRow {
  readonly key: Key;
  /** The primary key as an application reads it, by the columns' names in TypeScript. */
  readonly primaryKey: Readonly<Record<string, unknown>>;
  /** What is stored in the encrypted columns, in their order. */
  readonly stored: readonly (string | null)[];
}

/** How many bytes are read and written at once, about: longer texts are more than drivers and memory hold. */
export const BYTES_AT_ONCE = 8 * 1024 * 1024;

/** Rows that follow one another. */
export interface Batch {
  /** Key of the row before the first; `undefined` at the beginning of the table. */
  readonly after: Key | undefined;
  readonly rows: readonly StoredRow[];
  /** Whether it is known that none follow. */
  readonly last: boolean;
}

type Fields = Record<string, SQL | Column>;

// Drizzle's builders, as far as they are used here. The names of its own types change with its 1.0.
interface Select extends PromiseLike<Record<string, unknown>[]> {
  where(condition: SQL | undefined): Select;
  orderBy(...columns: Column[]): Select;
  limit(rows: number): Select;
  $withCache?(config: false): Select;
}

interface Reader {
  select(fields: Fields): { from(table: EncryptedTable["table"]): Select };
}

// SQLSTATE (PostgreSQL manual, appendix A).
const UNDEFINED_FUNCTION = "42883";

/** An encrypted table in a database. */
export class StoredTable {
  readonly #operation: StorageOperation;
  readonly #db: Reader;
  readonly #description: EncryptedTable;
  /** How many rows are no more than the bytes that are read at once, as far as is known. */
  #fitting: number;

  /** The columns of the primary key. */
  readonly keyColumns: readonly KeyColumn[];
  /** How many rows it had when it was opened. */
  readonly total: number;

  private constructor(
    operation: StorageOperation,
    db: Reader,
    description: EncryptedTable,
    keyColumns: readonly KeyColumn[],
    total: number,
    bytes: number,
  ) {
    this.#operation = operation;
    this.#db = db;
    this.#description = description;
    this.keyColumns = keyColumns;
    this.total = total;
    this.#fitting = fitting(total, bytes);
  }

  /**
   * Counts the rows, and learns what it has to know of the primary key.
   *
   * @throws {StorageError} Row-level security applies to who is connected, so rows may be hidden. Or rows have null in
   * their primary key.
   */
  static async open(
    operation: StorageOperation,
    db: EncryptableDatabase,
    description: EncryptedTable,
  ): Promise<StoredTable> {
    const reader = db as unknown as Reader;
    const { table, primaryKey, encrypted } = description;
    const name = qualifiedName(table);
    // It knows about owners, BYPASSRLS and FORCE ROW LEVEL SECURITY (PostgreSQL manual, 9.27.2).
    const hides = { hides: sql`row_security_active(${name}::text)::text` };
    const types = typesOf(sql`${table}`, primaryKey);
    const lengths = encrypted.map(({ column }) => sql`coalesce(octet_length(${column}::text), 0)`);
    const always = {
      total: sql`count(*)::text`,
      bytes: sql`sum(${sql.join(lengths, sql` + `)})::text`,
      ...Object.fromEntries(
        primaryKey.map(([, column], index) => [`keys${index}`, sql`count(${column})::text`]),
      ),
    };
    const found = await firstPossible([{ ...hides, ...types }, types, {}], async (fields) => {
      const [row] = await runStatement(
        operation,
        () => uncached(reader.select({ ...always, ...fields }).from(table)),
      );
      return row!;
    });
    const total = Number(found["total"]);
    if (found["hides"] === "true") {
      throw new StorageError(
        operation,
        undefined,
        `row-level security of the table ${name} applies to the current user and may hide rows, ` +
          "connect as the table's owner (if the table does not force it on the owner, too), " +
          "or as a role with BYPASSRLS",
      );
    }
    for (const [index, [property]] of primaryKey.entries()) {
      // They would come last, and are no key that a batch could begin after.
      const nulls = total - Number(found[`keys${index}`]);
      if (nulls > 0) throw holdsNull(operation, property, nulls);
    }
    const columns = keyColumns(primaryKey, found);
    const bytes = Number(found["bytes"]);
    return new StoredTable(operation, reader, description, columns, total, bytes);
  }

  /**
   * Reads one batch, which is shorter where values are long. Rows with the same key, which a table can have that others inherit from, are never parted:
   * the next batch would begin after the second of them.
   *
   * @param after Key of the row before the first; `undefined` for the beginning of the table.
   * @param limit How many rows at most; more only if they have one key.
   * @throws {StorageError} A key does not survive the way through text, so that rows would be left out.
   */
  async read(after: Key | undefined, limit: number): Promise<Batch> {
    for (let size = Math.min(limit, this.#fitting);; size *= 2) {
      const rows = await this.#select((select) =>
        select
          .where(after && this.#compare(">", after))
          .orderBy(...this.keyColumns.map(({ column }) => column))
          // One more, to see whether the last key goes on.
          .limit(size + 1)
      );
      if (after && rows.some(({ key }) => isSameKey(key, after))) {
        throw this.#failure("a batch does not begin after the one before");
      }
      const next = rows[size];
      if (!next) return { after, rows, last: rows.length < size };
      let end = size;
      while (end > 0 && isSameKey(rows[end - 1]!.key, next.key)) end--;
      if (end > 0) return { after, rows: rows.slice(0, end), last: false };
    }
  }

  /** Reads a batch again: as its rows are now, without those that are gone. */
  async readAgain({ after, rows }: Batch): Promise<readonly StoredRow[]> {
    const last = rows.at(-1);
    if (!last) return [];
    const upToLast = this.#compare("<=", last.key);
    return await this.#select((select) =>
      select.where(after ? sql`${this.#compare(">", after)} and ${upToLast}` : upToLast)
    );
  }

  async #select(narrow: (select: Select) => Select): Promise<StoredRow[]> {
    const { table, encrypted } = this.#description;
    const fields: Fields = {};
    for (const [index, keyColumn] of this.keyColumns.entries()) {
      fields[`key${index}`] = keyColumn.column;
      fields[`text${index}`] = keyColumn.text;
      if (!keyColumn.certain) {
        const again = castKey(keyColumn, keyColumn.text);
        fields[`survives${index}`] = sql`(${again} = ${keyColumn.column})::text`;
      }
    }
    for (const [index, { column }] of encrypted.entries()) {
      // Within sql, a column's decoder does not come into play.
      fields[`stored${index}`] = sql`${column}`;
    }
    const rows = await runStatement(
      this.#operation,
      () => narrow(uncached(this.#db.select(fields).from(table))),
    );
    for (const [index, { property, certain }] of this.keyColumns.entries()) {
      const nulls = rows.filter((row) => row[`text${index}`] === null).length;
      if (nulls > 0) throw holdsNull(this.#operation, property, nulls);
      if (!certain && rows.some((row) => row[`survives${index}`] !== "true")) {
        throw this.#failure(
          `values of column ${
            JSON.stringify(property)
          } of the primary key change on the way through text, ` +
            "look at the settings of the connection (extra_float_digits, IntervalStyle, lc_monetary)",
        );
      }
    }
    const found = rows.map((row) => {
      const key = this.keyColumns.map((_, index) => String(row[`text${index}`]));
      return {
        key,
        primaryKey: Object.fromEntries(
          this.keyColumns.map((column, index) =>
            [column.property, exactly(column, row[`key${index}`], key[index]!)] as const
          ),
        ),
        stored: encrypted.map((_, index) => row[`stored${index}`] as string | null),
      };
    });
    const lengths = found.flatMap(({ stored }) => stored.map((value) => value?.length ?? 0));
    this.#fitting = fitting(found.length, lengths.reduce((sum, length) => sum + length, 0));
    return found;
  }

  /** Compares whole rows (PostgreSQL manual, 9.25.5), in the collations of the columns. */
  #compare(operator: ">" | "<=", key: Key): SQL {
    const left = this.keyColumns.map(({ column }) => sql`${column}`);
    const right = this.keyColumns.map((column, index) => castKey(column, sql`${key[index]!}`));
    return sql`(${sql.join(left, sql`, `)}) ${sql.raw(operator)} (${sql.join(right, sql`, `)})`;
  }

  #failure(found: string): StorageError {
    return new StorageError(this.#operation, undefined, found);
  }
}

/** How many rows are read at once, if so many have so many bytes. */
function fitting(rows: number, bytes: number): number {
  return Math.max(1, Math.floor(BYTES_AT_ONCE / Math.max(1, bytes / Math.max(1, rows))));
}

function holdsNull(operation: StorageOperation, property: string, rows: number): StorageError {
  return new StorageError(
    operation,
    undefined,
    `column ${JSON.stringify(property)} of the primary key holds null in ${rows} ${
      rows === 1 ? "row" : "rows"
    }, which have no place in an order`,
  );
}

/** Other databases that speak PostgreSQL's language do not have all of its functions. */
async function firstPossible<T, U>(
  [first, ...others]: readonly T[],
  attempt: (value: T) => Promise<U>,
): Promise<U> {
  try {
    return await attempt(first!);
  } catch (error) {
    const missing = error instanceof StorageError && sqlState(error.cause) === UNDEFINED_FUNCTION;
    if (!missing || others.length === 0) throw error;
    return await firstPossible(others, attempt);
  }
}

function isSameKey(one: Key, other: Key): boolean {
  return one.every((text, index) => text === other[index]);
}

function qualifiedName(table: EncryptedTable["table"]): string {
  const { schema, name } = getTableConfig(table);
  return [schema, name]
    .flatMap((part) => part === undefined ? [] : [`"${part.replaceAll('"', '""')}"`])
    .join(".");
}

/** Past Drizzle's cache, which could hold what was stored some time ago. */
function uncached(select: Select): Select {
  return select.$withCache?.(false) ?? select;
}
