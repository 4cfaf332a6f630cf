/** Replaces ciphertexts, and writes nothing else. */

import { type SQL, sql } from "drizzle-orm";
import { StorageError } from "../../../errors.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import { copyWith } from "../columns/copy_with.ts";
import type { EncryptedTable } from "../columns/encrypted_table.ts";
import { runStatement, sqlState } from "../storage/run_statement.ts";
import { castKey } from "./primary_key.ts";
import { type Batch, BYTES_AT_ONCE, type StoredRow, type StoredTable } from "./stored_batches.ts";

/** A new value. */
export interface Replacement {
  readonly row: StoredRow;
  /** Index of the encrypted column. */
  readonly index: number;
  /** The stored ciphertext. */
  readonly from: string;
  /** The new ciphertext. */
  readonly to: string;
}

/** The outcome of replacements. */
export interface Replaced {
  /** How many values were replaced. */
  readonly count: number;
  /**
   * Rows with a value that stayed the same although nobody else changed it, or that became another
   * one.
   */
  readonly kept: readonly StoredRow[];
}

interface Update extends PromiseLike<Record<string, unknown>[]> {
  set(values: Record<string, SQL>): Update;
  from(source: SQL): Update;
  where(condition: SQL): Update;
  returning(fields: Record<string, SQL>): Update;
}

interface Writer {
  update(table: EncryptedTable["table"]): Update;
}

// SQLSTATEs (PostgreSQL manual, appendix A) of conflicts with other transactions.
const CONFLICTS: ReadonlySet<unknown> = new Set(["40001", "40P01"]);
const IN_FAILED_TRANSACTION = "25P02";
const ATTEMPTS = 5;

/** The statement's name for the list of new values. */
const LIST = sql.raw(`"mitthooks_replacement"`);

/**
 * Replaces stored values of a batch, each only if it is unchanged. A trigger can prevent that
 * without an error, so rows that were not replaced are read again: either somebody else changed
 * them, or a trigger kept them.
 */
export async function replaceStored(
  db: EncryptableDatabase,
  description: EncryptedTable,
  storedTable: StoredTable,
  batch: Batch,
  replacements: readonly Replacement[],
): Promise<Replaced> {
  if (replacements.length === 0) return { count: 0, kept: [] };
  let rows: Record<string, unknown>[] = [];
  for (const part of fittingParts(replacements)) {
    const update = () => buildUpdate(db as unknown as Writer, description, storedTable, part);
    rows = rows.concat(await tryAgain(() => runStatement("reencrypt", update)));
  }
  const count = rows.reduce((sum, row) => sum + Number(row["replaced"]), 0);
  if (count === replacements.length) return { count, kept: [] };
  const identify = (...parts: readonly unknown[]) => JSON.stringify(parts);
  // Rows that were written, but with other values than the given ones.
  const altered = new Set(
    rows.filter((row) => Number(row["replaced"]) === 0)
      .map((row) => identify(storedTable.keyColumns.map((_, index) => row[`key${index}`]))),
  );
  const before = new Set(
    replacements.map(({ row, index, from }) => identify(row.key, index, from)),
  );
  const now = await storedTable.readAgain(batch);
  const kept = now.filter(({ key, stored }) =>
    altered.has(identify(key)) ||
    stored.some((value, index) => before.has(identify(key, index, value)))
  );
  return { count, kept };
}

/** Splits replacements into parts that fit into one text. Keeps the values of a row together. */
function fittingParts(replacements: readonly Replacement[]): Replacement[][] {
  const parts: Replacement[][] = [];
  let bytes = Infinity;
  let last: StoredRow | undefined;
  for (const replacement of replacements) {
    const { row, from, to } = replacement;
    bytes += from.length + to.length;
    if (row !== last && bytes > 2 * BYTES_AT_ONCE) {
      parts.push([]);
      bytes = from.length + to.length;
    }
    last = row;
    parts.at(-1)!.push(replacement);
  }
  return parts;
}

/** Sends the whole batch as one JSON text, so the limit of parameters does not apply. */
function buildUpdate(
  db: Writer,
  description: EncryptedTable,
  { keyColumns }: StoredTable,
  replacements: readonly Replacement[],
): Update {
  const { encrypted } = description;
  const name = (prefix: string, index: number) => sql.raw(`"${prefix}${index}"`);
  const listed = (prefix: string, index: number) => sql`${LIST}.${name(prefix, index)}`;
  const text = JSON.stringify(listRows(replacements));
  const columns = [
    ...keyColumns.map((_, index) => name("key", index)),
    ...encrypted.flatMap((_, index) => [name("from", index), name("to", index)]),
  ];
  const list = sql`json_to_recordset(${text}::text::json) as ${LIST}(${
    sql.join(columns.map((column) => sql`${column} text`), sql`, `)
  })`;
  // Columns without a new value are null in the list, which equals nothing.
  const unchanged = encrypted.map(({ column }, index) => sql`${column} = ${listed("from", index)}`);
  const set = encrypted.map(({ property, column }, index) =>
    [
      property,
      sql`case when ${unchanged[index]} then ${listed("to", index)} else ${column} end`,
    ] as const
  );
  const sameRow = keyColumns.map((keyColumn, index) =>
    sql`${keyColumn.column} = ${castKey(keyColumn, listed("key", index))}`
  );
  // No two ciphertexts are equal, so only this statement can have written the new one.
  const replaced = encrypted.map(({ column }, index) =>
    sql`case when ${column} = ${listed("to", index)} then 1 else 0 end`
  );
  return db.update(onlyEncrypted(description))
    .set(Object.fromEntries(set))
    .from(list)
    .where(sql`${sql.join(sameRow, sql` and `)} and (${sql.join(unchanged, sql` or `)})`)
    .returning({
      replaced: sql`(${sql.join(replaced, sql` + `)})::text`,
      ...Object.fromEntries(keyColumns.map((_, index) => [`key${index}`, listed("key", index)])),
    });
}

/** One object per row with new values. */
function listRows(replacements: readonly Replacement[]): Record<string, string>[] {
  const listed = new Map<StoredRow, Record<string, string>>();
  for (const { row, index, from, to } of replacements) {
    let values = listed.get(row);
    if (!values) {
      values = Object.fromEntries(row.key.map((part, position) => [`key${position}`, part]));
      listed.set(row, values);
    }
    values[`from${index}`] = from;
    values[`to${index}`] = to;
  }
  return [...listed.values()];
}

/** The table without its other columns and without $onUpdate, which Drizzle would write, too. */
function onlyEncrypted({ table, encrypted }: EncryptedTable): EncryptedTable["table"] {
  const columns = encrypted.map(({ property, column }) =>
    [property, copyWith(column, { onUpdateFn: undefined })] as const
  );
  return copyWith(table, { [Symbol.for("drizzle:Columns")]: Object.fromEntries(columns) });
}

/**
 * Repeats a statement after a deadlock or a serialization failure, unless it is part of a
 * transaction.
 */
async function tryAgain<T>(statement: () => Promise<T>): Promise<T> {
  let conflict: StorageError | undefined;
  for (let attempt = 1;; attempt++) {
    try {
      return await statement();
    } catch (error) {
      const state = error instanceof StorageError ? sqlState(error.cause) : undefined;
      // In the caller's transaction a retry fails; throw the original conflict, not its
      // consequence.
      if (state === IN_FAILED_TRANSACTION && conflict) throw conflict;
      if (!CONFLICTS.has(state) || attempt === ATTEMPTS) throw error;
      conflict = error as StorageError;
    }
  }
}
