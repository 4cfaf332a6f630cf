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
 * import { keyStatus, reencrypt } from "@wais/mitthooks-drizzle/pg/reencryption";
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
 * assertEquals(report, { total: 2, scanned: 2, reencrypted: 1, unreadable: [], aborted: false });
 *
 * const { token } = await keyStatus(db, accounts);
 * assertEquals(token, { current: 1, otherKey: 0, unreadable: 0, null: 1 });
 * ```
 *
 * @module
 */

import type { PgTable } from "drizzle-orm/pg-core";
import { assertDatabase } from "./internal/assert_database.ts";
import { describeTable, type EncryptedTable } from "./internal/encrypted_table.ts";
import { type Replacement, replaceStored } from "./internal/replace_stored.ts";
import { type StoredRow, StoredTable } from "./internal/stored_batches.ts";
import { inspectRows, mapTogether, type StoredValue } from "./internal/stored_value.ts";
import type { EncryptableDatabase } from "./session.ts";

export { type KeyCounts, keyStatus } from "./key_status.ts";

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
  /** How many rows are read, and written, at once: a positive integer. Default: 500. */
  batchSize?: number;
  /** Called after each batch. */
  onProgress?: (progress: ReencryptionProgress) => void;
  /** Ends the work between two batches. What has been written stays. */
  signal?: AbortSignal;
  /** Only looks, and writes nothing. */
  dryRun?: boolean;
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
  /** The primary keys of the rows with a value that no key can read. Such a value is left as it is. */
  unreadable: PrimaryKeyOf<TTable>[];
  /** Whether `signal` ended the work before the end of the table. */
  aborted: boolean;
}

/**
 * Writes every value of a table's encrypted columns under its column's current key, from
 * `@wais/mitthooks-drizzle/pg/reencryption`.
 *
 * Goes through the table in the order of its primary key, with one statement that reads and at most one
 * that writes for each batch. A value that somebody else changes in the meantime is left as they wrote it;
 * nothing else of a row is touched, `$onUpdate` columns included. It can be ended at any time and run
 * again, or several times at once; where every value is current it writes nothing. Memory does not grow
 * with the table, apart from the list of unreadable rows.
 *
 * Rows that are added behind the batch at work are not seen. Only processes that still write under the old
 * key make that matter, so run it after the last of them has ended, and check with {@linkcode keyStatus}.
 *
 * @param db The database, whether or not it is wrapped by `withEncryption`. In a transaction, all of it
 * happens in that transaction, and the rows stay locked until its end.
 * @param table A table with a primary key, of one or several columns, and at least one encrypted column.
 * @param options Size of the batches, progress, an end before the end, and a dry run.
 * @returns What was done.
 * @throws {TypeError} Before anything is read: the table has no primary key or no encrypted column, or a
 * column's key has no method `isCurrent`.
 * @throws {RangeError} Before anything is read: `batchSize` is not a positive integer.
 * @throws {StorageError} The database refused a statement or could not be reached. The batches before are
 * done; and so it is if a key fails with an error of its own, which reaches the caller unchanged.
 *
 * @example A dry run, and an end after ten seconds
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { pgTable, text } from "drizzle-orm/pg-core";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { reencrypt } from "@wais/mitthooks-drizzle/pg/reencryption";
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
  const { batchSize = DEFAULT_BATCH_SIZE, onProgress, signal, dryRun = false } = options;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`${attempt}: batchSize is not a positive integer`);
  }
  const description = describeTable(attempt, table);
  const primary = assertDatabase(attempt, db);
  const storedTable = await StoredTable.open("reencrypt", primary, description);
  const report: ReencryptionReport<TTable> = {
    total: storedTable.total,
    scanned: 0,
    reencrypted: 0,
    unreadable: [],
    aborted: false,
  };
  let rows: StoredRow[] = [];
  do {
    if (signal?.aborted) return { ...report, aborted: true };
    rows = await storedTable.read(rows.at(-1)?.key, batchSize);
    if (rows.length === 0) break;
    const found = await inspectRows(description, rows);
    const outdated = rows.flatMap((row, index) => {
      const values = found[index]!;
      if (values.some(({ state }) => state === "unreadable")) {
        report.unreadable.push(row.primaryKey as PrimaryKeyOf<TTable>);
      }
      return values.some(({ state }) => state === "otherKey") ? [{ row, values }] : [];
    });
    report.scanned += rows.length;
    if (dryRun) {
      report.reencrypted += outdated.flatMap(({ values }) => values)
        .filter(({ state }) => state === "otherKey").length;
    } else {
      const replacements = await mapTogether(
        outdated,
        ({ row, values }) => encryptAnew(description, row, values),
      );
      report.reencrypted += await replaceStored(primary, description, storedTable, replacements);
    }
    onProgress?.({
      total: report.total,
      scanned: report.scanned,
      reencrypted: report.reencrypted,
      unreadable: report.unreadable.length,
    });
  } while (rows.length === batchSize);
  return report;
}

async function encryptAnew(
  { encrypted }: EncryptedTable,
  { key, stored }: StoredRow,
  values: readonly StoredValue[],
): Promise<Replacement> {
  const replaced = encrypted.map(async (column, index) => {
    const value = values[index]!;
    if (value.state !== "otherKey") return undefined;
    return { from: stored[index]!, to: await column.key.encrypt(value.plaintext) };
  });
  return { key, values: await Promise.all(replaced) };
}
