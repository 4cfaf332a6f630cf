/**
 * # Re-encryption
 *
 * Changes the key of stored values without downtime, while several processes are running.
 *
 * 1. In all processes: keep the old key, with `alsoReads: [newKey]`.
 * 2. In all processes: use the new key, with `alsoReads: [oldKey]`.
 * 3. When no process of step 1 is left: run {@linkcode reencrypt}, then {@linkcode keyStatus}.
 *    Repeat until no value is under the old key.
 * 4. Remove the old key.
 *
 * @example From an old master password to a new one
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { pgTable, text } from "drizzle-orm/pg-core";
 * import { withEncryption } from "@wais/mitthooks-drizzle/pg";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { keyStatus, reencrypt } from "@wais/mitthooks-drizzle/pg";
 *
 * await using client = await PGlite.create();
 * await client.exec("CREATE TABLE account (id text PRIMARY KEY, token text)");
 * const db = withEncryption(drizzle(client));
 *
 * const oldKey = buildEncryptionKey("old master password", "salt");
 * const oldToken = buildEncryptedTextColumn(oldKey);
 * await db.insert(pgTable("account", { id: text().primaryKey(), token: oldToken() }))
 *   .values([{ id: "ada", token: "t0k3n" }, { id: "bob", token: null }]);
 *
 * // The same table with the new key.
 * const newKey = buildEncryptionKey("new master password", "salt", { alsoReads: [oldKey] });
 * const newToken = buildEncryptedTextColumn(newKey);
 * const accounts = pgTable("account", { id: text().primaryKey(), token: newToken() });
 *
 * const report = await reencrypt(db, accounts);
 * assertEquals([report.scanned, report.reencrypted], [2, 1]);
 * assertEquals([report.unreadable, report.notWritten], [[], []]);
 *
 * const { token } = await keyStatus(db, accounts);
 * assertEquals(token, { current: 1, otherKey: 0, unreadable: 0, null: 1 });
 * ```
 *
 * @module
 */

import type { PgTable } from "drizzle-orm/pg-core";
import { undecoratedPrimary } from "./internal/columns/database.ts";
import { checkFunction, checkNames } from "../internal/check_options.ts";
import { describeTable, type EncryptedTable } from "./internal/columns/encrypted_table.ts";
import { mapBounded } from "./internal/columns/map_bounded.ts";
import { replaceStored } from "./internal/reencryption/replace_stored.ts";
import { type Batch, type StoredRow, StoredTable } from "./internal/reencryption/stored_batches.ts";
import { inspectRows, type StoredValue } from "./internal/reencryption/stored_value.ts";
import type { EncryptableDatabase } from "./interfaces.ts";

export {
  type KeyCounts,
  keyStatus,
  type KeyStatusOptions,
  type KeyStatusProgress,
} from "./key_status.ts";

const DEFAULT_BATCH_SIZE = 500;

/** Progress of {@linkcode reencrypt}. */
export interface ReencryptionProgress {
  /** How many rows the table had at the start. */
  total: number;
  /** How many rows have been read. Exceeds `total` if rows were added in the meantime. */
  scanned: number;
  /** How many values have been re-encrypted; in a dry run: would have been. */
  reencrypted: number;
  /** How many rows have a value that no key can read. */
  unreadable: number;
}

/** Options of {@linkcode reencrypt}. */
export interface ReencryptOptions {
  /**
   * Rows per batch, a positive integer. Long values make batches smaller, so that one has about 8
   * MiB. Default: 500.
   */
  readonly batchSize?: number | undefined;
  /** Called after each batch. */
  readonly onProgress?: ((progress: ReencryptionProgress) => void) | undefined;
  /** Stops between two batches. Values that were written stay. */
  readonly signal?: AbortSignal | undefined;
  /** Counts, but writes nothing. Default: `false`. */
  readonly dryRun?: boolean | undefined;
}

/**
 * The primary key of a table's row, by the columns' TypeScript names. If Drizzle's types do not
 * show which columns it has (a composite key, or Drizzle 1.0), any of the table's columns may be
 * present.
 */
export type PrimaryKeyOf<TTable extends PgTable> = TTable extends
  { $inferSelect: infer TRow; _: { columns: infer TColumns } } ? [
    {
      [TKey in keyof TColumns]: TColumns[TKey] extends { _: { isPrimaryKey: true } } ? TKey : never;
    }[keyof TColumns],
  ] extends [infer TName] ? [TName] extends [never] ? Partial<TRow> : Pick<TRow, TName & keyof TRow>
  : never
  : Record<string, unknown>;

/** The result of {@linkcode reencrypt}. */
export interface ReencryptionReport<TTable extends PgTable = PgTable> {
  /** How many rows the table had at the start. */
  total: number;
  /** How many rows were read. */
  scanned: number;
  /** How many values were re-encrypted; in a dry run: would have been. */
  reencrypted: number;
  /**
   * The primary keys of the rows with a value that no key can read. Such a value is not changed.
   * Parts of a primary key that its TypeScript type cannot represent are text: numbers from 2^53,
   * microseconds of a `Date`.
   */
  unreadable: PrimaryKeyOf<TTable>[];
  /**
   * The primary keys of the rows with a value that a database trigger kept from being written: it
   * is still under the other key although nobody else changed it, or the trigger replaced it.
   */
  notWritten: PrimaryKeyOf<TTable>[];
  /** Whether `signal` stopped it before the end of the table. */
  aborted: boolean;
}

/**
 * Re-encrypts every value of a table's encrypted columns with its column's current key. Exported by
 * `@wais/mitthooks-drizzle/pg`.
 *
 * Processes the table in the order of its primary key, with one read and at most one write per
 * batch (more when long values follow short ones). A value that another client changes in the
 * meantime is kept; no other column is touched, `$onUpdate` columns included. Stop it at any time
 * and run it again, or run several at once; if every value is current, it writes nothing. Memory
 * grows only with the lists of rows that are unreadable or were not written. The database user must
 * see every row: row-level security that applies to it is an error.
 *
 * Rows inserted before the current batch are missed. That only matters while processes still
 * encrypt with the old key, so run it after the last of them has ended, and check with
 * {@linkcode keyStatus}.
 *
 * @param db The database, with or without `withEncryption`. In a transaction, everything happens in
 *   it, and the rows stay locked until its end.
 * @param table A table with a primary key, possibly composite, and at least one encrypted column.
 * @param options Batch size, a callback for progress, an abort signal, and dry run.
 * @returns What was re-encrypted, and what was not.
 * @throws {TypeError} When the table has no primary key or no encrypted column, a column's key has
 *   no method `isCurrent` or comes from another version of this package, or an option is invalid or
 *   unknown; nothing is read then. When a key resolves to something other than a string or a
 *   boolean; nothing of the batch is written then.
 * @throws {RangeError} When `batchSize` is not a positive integer.
 * @throws {StorageError} When row-level security applies to the current user, or rows have null in
 *   their primary key; nothing is read then. When the database refuses a statement or cannot be
 *   reached, or a primary key's values change when converted to text and back (with
 *   `extra_float_digits` below 1, for example). Earlier batches stay written, also when a key
 *   fails; its errors are passed on.
 *
 * @example A dry run of at most ten seconds
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { pgTable, text } from "drizzle-orm/pg-core";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { reencrypt } from "@wais/mitthooks-drizzle/pg";
 *
 * const token = buildEncryptedTextColumn(buildEncryptionKey("master password", "salt"));
 * const accounts = pgTable("account", { id: text().primaryKey(), token: token() });
 * await using client = await PGlite.create();
 * await client.exec("CREATE TABLE account (id text PRIMARY KEY, token text)");
 * await client.exec("INSERT INTO account VALUES ('ada', 'no ciphertext')");
 *
 * const { unreadable, aborted } = await reencrypt(drizzle(client), accounts, {
 *   dryRun: true,
 *   signal: AbortSignal.timeout(10_000),
 *   onProgress: ({ scanned, total }) => console.log(`${scanned} of ${total}`),
 * });
 * assertEquals(unreadable, [{ id: "ada" }]);
 * assertEquals(aborted, false);
 * ```
 */
export async function reencrypt<TTable extends PgTable>(
  db: EncryptableDatabase,
  table: TTable,
  options: ReencryptOptions = {},
): Promise<ReencryptionReport<TTable>> {
  const attempt = "Re-encrypting a table";
  const { batchSize, onProgress, signal, dryRun } = checkOptions(attempt, options);
  const description = describeTable(attempt, table);
  const primary = undecoratedPrimary(attempt, db);
  const storedTable = await StoredTable.open("reencrypt", primary, description);
  const report: ReencryptionReport<TTable> = {
    total: storedTable.total,
    scanned: 0,
    reencrypted: 0,
    unreadable: [],
    notWritten: [],
    aborted: false,
  };
  let batch: Batch | undefined;
  do {
    if (signal?.aborted) return { ...report, aborted: true };
    batch = await storedTable.read(batch?.rows.at(-1)?.key, batchSize);
    const { rows } = batch;
    if (rows.length === 0) break;
    const found = await inspectRows(description, rows);
    for (const [index, row] of rows.entries()) {
      if (found[index]!.some(({ state }) => state === "unreadable")) {
        report.unreadable.push(row.primaryKey as PrimaryKeyOf<TTable>);
      }
    }
    report.scanned += rows.length;
    const outdated = findOutdated(rows, found);
    if (dryRun) {
      report.reencrypted += outdated.length;
    } else {
      const replacements = await encryptAnew(description, outdated);
      const { count, kept } = await replaceStored(
        primary,
        description,
        storedTable,
        batch,
        replacements,
      );
      report.reencrypted += count;
      for (const row of kept) report.notWritten.push(row.primaryKey as PrimaryKeyOf<TTable>);
    }
    onProgress?.({
      total: report.total,
      scanned: report.scanned,
      reencrypted: report.reencrypted,
      unreadable: report.unreadable.length,
    });
  } while (!batch.last);
  return report;
}

function checkOptions(attempt: string, options: ReencryptOptions) {
  checkNames(attempt, options, ["batchSize", "onProgress", "signal", "dryRun"]);
  const { batchSize = DEFAULT_BATCH_SIZE, onProgress, signal, dryRun = false } = options;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`${attempt}: batchSize is not a positive integer`);
  }
  if (onProgress !== undefined) checkFunction("onProgress", onProgress);
  if (signal !== undefined && typeof signal?.aborted !== "boolean") {
    throw new TypeError("Reading the option signal: it is not an AbortSignal");
  }
  // "false" or 0 is a mistake; whether to write must not depend on a guess.
  if (typeof dryRun !== "boolean") {
    throw new TypeError("Reading the option dryRun: it is not a boolean");
  }
  return { batchSize, onProgress, signal, dryRun };
}

/** A value under another key. */
interface Outdated {
  readonly row: StoredRow;
  /** Index of the encrypted column. */
  readonly index: number;
  readonly plaintext: string;
}

function findOutdated(
  rows: readonly StoredRow[],
  found: readonly (readonly StoredValue[])[],
): Outdated[] {
  return rows.flatMap((row, number) =>
    found[number]!.flatMap((value, index) =>
      value.state === "otherKey" ? [{ row, index, plaintext: value.plaintext }] : []
    )
  );
}

function encryptAnew({ encrypted }: EncryptedTable, outdated: readonly Outdated[]) {
  return mapBounded(outdated, async ({ row, index, plaintext }) => ({
    row,
    index,
    from: row.stored[index]!,
    to: await encrypted[index]!.key.encrypt(plaintext),
  }));
}
