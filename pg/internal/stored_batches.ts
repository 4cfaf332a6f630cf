/**
 * Reads a table as it is stored, in batches, in the order of its primary key: the next batch begins after
 * the last key of the one before, so the work for each does not grow with the table.
 */

import { type SQL, sql } from "drizzle-orm";
import type { StorageOperation } from "../../errors.ts";
import type { EncryptableDatabase } from "../session.ts";
import type { Column, EncryptedTable } from "./encrypted_table.ts";
import { runStatement } from "./run_statement.ts";

/** A row of an encrypted table. */
export interface StoredRow {
  /** The columns of the primary key as text, for the database. */
  readonly key: readonly string[];
  /** The same as an application reads them, by their names in TypeScript. */
  readonly primaryKey: Readonly<Record<string, unknown>>;
  /** What is stored in the encrypted columns, in their order. */
  readonly stored: readonly (string | null)[];
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

/** An encrypted table in a database. */
export class StoredTable {
  readonly #operation: StorageOperation;
  readonly #db: Reader;
  readonly #description: EncryptedTable;
  /** The types of the primary key's columns as the database writes them. */
  readonly #keyTypes: readonly string[];

  /** How many rows it had when it was opened. */
  readonly total: number;

  private constructor(
    operation: StorageOperation,
    db: Reader,
    description: EncryptedTable,
    keyTypes: readonly string[],
    total: number,
  ) {
    this.#operation = operation;
    this.#db = db;
    this.#description = description;
    this.#keyTypes = keyTypes;
    this.total = total;
  }

  /** Counts the rows, and learns the types of the primary key. */
  static async open(
    operation: StorageOperation,
    db: EncryptableDatabase,
    description: EncryptedTable,
  ): Promise<StoredTable> {
    const reader = db as unknown as Reader;
    const { table, primaryKey } = description;
    const fields: Fields = { total: sql<string>`count(*)::text` };
    for (const [index, [, column]] of primaryKey.entries()) {
      // Asked of the database: Drizzle's names, "serial" or an enum's without its schema, cannot always be
      // cast to. -1: without a length, which a cast would cut to.
      fields[`type${index}`] =
        sql`format_type(pg_typeof((select ${column} from ${table} limit 1))::oid, -1)`;
    }
    const [row] = await runStatement(operation, () => uncached(reader.select(fields).from(table)));
    const keyTypes = primaryKey.map((_, index) => String(row![`type${index}`]));
    return new StoredTable(operation, reader, description, keyTypes, Number(row!["total"]));
  }

  /** A value of the primary key, given as text, in its own type again. */
  castKey(index: number, text: SQL): SQL {
    return sql`${text}::text::${sql.raw(this.#keyTypes[index]!)}`;
  }

  /**
   * Reads one batch.
   *
   * @param after Key of the row before the first; `undefined` for the beginning of the table.
   * @param limit How many rows.
   */
  async read(after: readonly string[] | undefined, limit: number): Promise<StoredRow[]> {
    const { table, primaryKey, encrypted } = this.#description;
    const fields: Fields = {};
    for (const [index, [, column]] of primaryKey.entries()) {
      fields[`key${index}`] = column;
      // As text it keeps every digit, and goes back as what it was.
      fields[`text${index}`] = sql`${column}::text`;
    }
    for (const [index, { column }] of encrypted.entries()) {
      // Within sql, a column's decoder does not come into play.
      fields[`stored${index}`] = sql`${column}`;
    }
    const keyColumns = primaryKey.map(([, column]) => column);
    const rows = await runStatement(
      this.#operation,
      () =>
        uncached(this.#db.select(fields).from(table))
          .where(after && this.#isAfter(keyColumns, after))
          .orderBy(...keyColumns)
          .limit(limit),
    );
    return rows.map((row) => ({
      key: primaryKey.map((_, index) => String(row[`text${index}`])),
      primaryKey: Object.fromEntries(
        primaryKey.map(([property], index) => [property, row[`key${index}`]]),
      ),
      stored: encrypted.map((_, index) => row[`stored${index}`] as string | null),
    }));
  }

  /** Compares whole rows (PostgreSQL manual, 9.25.5), in the collations of the columns. */
  #isAfter(columns: readonly Column[], key: readonly string[]): SQL {
    const left = sql.join(columns.map((column) => sql`${column}`), sql`, `);
    const right = sql.join(key.map((text, index) => this.castKey(index, sql`${text}`)), sql`, `);
    return sql`(${left}) > (${right})`;
  }
}

/** Past Drizzle's cache, which could hold what was stored some time ago. */
function uncached(select: Select): Select {
  return select.$withCache?.(false) ?? select;
}
