/**
 * # Re-encryption
 *
 * Changes the key of stored values, without downtime and with several processes running.
 *
 * 1. Everywhere: the old key stays, and also reads the new one: `alsoReads: [newKey]`.
 * 2. Everywhere: the new key, with `alsoReads: [oldKey]`.
 * 3. Once no process of step 1 runs: {@linkcode reencrypt}, then {@linkcode keyStatus}; repeated while
 *    values of the old key are left.
 * 4. The old key is removed.
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
 * // The same table under the new key.
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

/** Rows per batch unless told otherwise. */
const DEFAULT_BATCH_SIZE = 500;

/** How far {@linkcode reencrypt} has come. */
export interface ReencryptionProgress {
  /** How many rows the table had at the start. */
  total: number;
  /** How many rows have been looked at. More than `total` if rows were added in the meantime. */
  scanned: number;
  /** How many values have been written under the current key; in a dry run: would have been. */
  reencrypted: number;
  /** How many rows hold a value that no key can read. */
  unreadable: number;
}

/** Options of {@linkcode reencrypt}. */
export interface ReencryptOptions {
  /**
   * How many rows are read, and written, at once: a positive integer. Fewer where values are long, so that it is
   * about 8 MiB at once. Default: 500.
   */
  readonly batchSize?: number | undefined;
  /** Called after each batch. */
  readonly onProgress?: ((progress: ReencryptionProgress) => void) | undefined;
  /** Ends the work between two batches. What has been written stays. */
  readonly signal?: AbortSignal | undefined;
  /** Only looks, and writes nothing. */
  readonly dryRun?: boolean | undefined;
}

/**
 * The primary key of a row of a table, by the columns' names in TypeScript. Where Drizzle's types do not
 * tell which columns it consists of (several of them, or Drizzle 1.0), any of the table's may be there.
 */
export type PrimaryKeyOf<TTable extends PgTable> = TTable extends
  { $inferSelect: infer TRow; _: { columns: infer TColumns } } ? [
    {
      [TKey in keyof TColumns]: TColumns[TKey] extends { _: { isPrimaryKey: true } } ? TKey : never;
    }[keyof TColumns],
  ] extends [infer TName] ? [TName] extends [never] ? Partial<TRow> : Pick<TRow, TName & keyof TRow>
  : never
  : Record<string, unknown>;

/** What {@linkcode reencrypt} did. */
export interface ReencryptionReport<TTable extends PgTable = PgTable> {
  /** How many rows the table had at the start. */
  total: number;
  /** How many rows were looked at. */
  scanned: number;
  /** How many values were written under the current key; in a dry run: would have been. */
  reencrypted: number;
  /**
   * The primary keys of the rows with a value that no key can read. Such a value is left as it is. Part of a key that
   * its type in TypeScript cannot hold is here as text: a number from 2^53 on, microseconds of a `Date`.
   */
  unreadable: PrimaryKeyOf<TTable>[];
  /**
   * The primary keys of the rows with a value that a trigger of the database kept from being written: it is
   * still under the other key, though nobody else changed it, or it is what the trigger made of it.
   */
  notWritten: PrimaryKeyOf<TTable>[];
  /** Whether `signal` ended the work before the end of the table. */
  aborted: boolean;
}

/**
 * Writes every value of a table's encrypted columns under its column's current key, from
 * `@wais/mitthooks-drizzle/pg`.
 *
 * Goes through the table in the order of its primary key, with one statement that reads and at most one
 * that writes for each batch (more, where long values follow short ones). A value that somebody else changes in the meantime is left as they wrote it;
 * nothing else of a row is touched, `$onUpdate` columns included. It can be ended at any time and run
 * again, or several times at once; where every value is current it writes nothing. Memory does not grow
 * with the table, apart from the lists of rows that are unreadable or were not written. Whoever is connected
 * has to see every row: row-level security that applies to them is an error.
 *
 * Rows that are added behind the batch at work are not seen. Only processes that still write under the old
 * key make that matter, so run it after the last of them has ended, and check with {@linkcode keyStatus}.
 *
 * @param db The database, whether or not it is wrapped by `withEncryption`. In a transaction, all of it
 * happens in that transaction, and the rows stay locked until its end.
 * @param table A table with a primary key, of one or several columns, and at least one encrypted column.
 * @param options Size of the batches, progress, an end before the end, and a dry run.
 * @returns What was done.
 * @throws {TypeError} Before anything is read: the table has no primary key or no encrypted column, a
 * column's key has no method `isCurrent` or comes from another version of this package, or an option is unknown
 * or of the wrong type. Later: a key answers with something else than a string, or than true or false; nothing of
 * the batch is written then.
 * @throws {RangeError} Before anything is read: `batchSize` is not a positive integer.
 * @throws {StorageError} Before anything is read: row-level security applies to the current user, or rows have null
 * in their primary key. Or the
 * database refused a statement or could not be reached, or a primary key cannot be followed because its values
 * change on the way through text (with `extra_float_digits` below 1, for example). The batches before are
 * done; and so it is if a key fails with an error of its own, which reaches the caller unchanged.
 *
 * @example A dry run, and an end after ten seconds
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
  // Whoever writes "false" or 0 means something, but a run that writes must not depend on a guess.
  if (typeof dryRun !== "boolean") {
    throw new TypeError("Reading the option dryRun: it is not a boolean");
  }
  return { batchSize, onProgress, signal, dryRun };
}

/** A value under another key. */
interface Outdated {
  readonly row: StoredRow;
  /** Which encrypted column. */
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
