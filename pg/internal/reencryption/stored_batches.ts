/**
 * Reads a table's stored values in batches, in the order of its primary key. Each batch begins
 * after the last key of the previous one, so its cost does not grow with the table.
 */

import { type SQL, sql } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/pg-core";
import { StorageError, type StorageOperation } from "../../../errors.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type { Column, EncryptedTable } from "../columns/encrypted_table.ts";
import { castKey, exactly, type KeyColumn, keyColumns, typesOf } from "./primary_key.ts";
import { runStatement, sqlState } from "../storage/run_statement.ts";

/** A primary key's values as text. */
export type Key = readonly string[];

/** A row of an encrypted table. */
export interface StoredRow {
  readonly key: Key;
  /** The primary key as an application reads it, by the columns' TypeScript names. */
  readonly primaryKey: Readonly<Record<string, unknown>>;
  /** The stored values of the encrypted columns, in their order. */
  readonly stored: readonly (string | null)[];
}

/** Approximate limit of bytes read and written at once, for the sake of drivers and memory. */
export const BYTES_AT_ONCE = 8 * 1024 * 1024;

/** Consecutive rows. */
export interface Batch {
  /** Last key of the previous batch; `undefined` at the start of the table. */
  readonly after: Key | undefined;
  readonly rows: readonly StoredRow[];
  /** Whether no row is known to follow. */
  readonly last: boolean;
}

type Fields = Record<string, SQL | Column>;

// The part of Drizzle's builders that is used here. Their names change in 1.0.
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
  /** Estimated number of rows that fit into one read. */
  #fitting: number;

  /** The columns of the primary key. */
  readonly keyColumns: readonly KeyColumn[];
  /** How many rows the table had when it was opened. */
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
   * Counts the rows and determines the primary key's types.
   *
   * @throws {StorageError} When row-level security applies to the current user, so that rows may be
   *   hidden, or rows have null in their primary key.
   */
  static async open(
    operation: StorageOperation,
    db: EncryptableDatabase,
    description: EncryptedTable,
  ): Promise<StoredTable> {
    const reader = db as unknown as Reader;
    const { table, primaryKey, encrypted } = description;
    const name = qualifiedName(table);
    // Considers owners, BYPASSRLS and FORCE ROW LEVEL SECURITY (PostgreSQL manual, 9.27.2).
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
      // Nulls sort last, and no batch can begin after one.
      const nulls = total - Number(found[`keys${index}`]);
      if (nulls > 0) throw holdsNull(operation, property, nulls);
    }
    const columns = keyColumns(primaryKey, found);
    const bytes = Number(found["bytes"]);
    return new StoredTable(operation, reader, description, columns, total, bytes);
  }

  /**
   * Reads one batch, shorter if values are long. Rows with the same key, possible in a table that
   * others inherit from, stay in one batch, because the next batch begins after that key.
   *
   * @param after Last key of the previous batch; `undefined` for the start of the table.
   * @param limit Limit of rows; exceeded only by rows with the same key.
   * @throws {StorageError} When a key changes by the conversion to text and back, so that rows
   *   would be missed.
   */
  async read(after: Key | undefined, limit: number): Promise<Batch> {
    for (let size = Math.min(limit, this.#fitting);; size *= 2) {
      const rows = await this.#select((select) =>
        select
          .where(after && this.#compare(">", after))
          .orderBy(...this.keyColumns.map(({ column }) => column))
          // One more, to see whether the last key continues.
          .limit(size + 1)
      );
      if (after && rows.some(({ key }) => isSameKey(key, after))) {
        throw this.#failure("a batch does not start after the previous one");
      }
      const next = rows[size];
      if (!next) return { after, rows, last: rows.length < size };
      let end = size;
      while (end > 0 && isSameKey(rows[end - 1]!.key, next.key)) end--;
      if (end > 0) return { after, rows: rows.slice(0, end), last: false };
    }
  }

  /** Reads a batch again, with its rows' present values and without deleted rows. */
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
      // Inside `sql`, the column's decoder is not used.
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
          } of the primary key change when converted to text and back, ` +
            "check the connection's settings (extra_float_digits, IntervalStyle, lc_monetary)",
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

  /** Compares whole rows (PostgreSQL manual, 9.25.5) in the columns' collations. */
  #compare(operator: ">" | "<=", key: Key): SQL {
    const left = this.keyColumns.map(({ column }) => sql`${column}`);
    const right = this.keyColumns.map((column, index) => castKey(column, sql`${key[index]!}`));
    return sql`(${sql.join(left, sql`, `)}) ${sql.raw(operator)} (${sql.join(right, sql`, `)})`;
  }

  #failure(found: string): StorageError {
    return new StorageError(this.#operation, undefined, found);
  }
}

/** How many rows fit into one read, given the bytes of some rows. */
function fitting(rows: number, bytes: number): number {
  return Math.max(1, Math.floor(BYTES_AT_ONCE / Math.max(1, bytes / Math.max(1, rows))));
}

function holdsNull(operation: StorageOperation, property: string, rows: number): StorageError {
  return new StorageError(
    operation,
    undefined,
    `column ${JSON.stringify(property)} of the primary key is null in ${rows} ${
      rows === 1 ? "row" : "rows"
    }, which therefore have no place in its order`,
  );
}

/** Databases that are compatible with PostgreSQL may lack some of its functions. */
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

/** Bypasses Drizzle's cache, which may have outdated values. */
function uncached(select: Select): Select {
  return select.$withCache?.(false) ?? select;
}
