/** Counts a table's values by key. */

import type { PgTable } from "drizzle-orm/pg-core";
import { checkFunction, checkNames } from "../internal/check_options.ts";
import { undecoratedPrimary } from "./internal/columns/database.ts";
import { describeTable } from "./internal/columns/encrypted_table.ts";
import { type Batch, StoredTable } from "./internal/reencryption/stored_batches.ts";
import { inspectRows } from "./internal/reencryption/stored_value.ts";
import type { EncryptableDatabase } from "./interfaces.ts";

/** Rows per read. */
const BATCH_SIZE = 500;

/** The values of one column, counted by key. */
export interface KeyCounts {
  /** Encrypted with the current key. */
  current: number;
  /** Encrypted with another available key, which must not be removed yet. */
  otherKey: number;
  /** Encrypted with an unknown key, or damaged. */
  unreadable: number;
  /** Null in the database. */
  null: number;
}

/** Progress of {@linkcode keyStatus}. */
export interface KeyStatusProgress {
  /** How many rows the table had at the start. */
  total: number;
  /** How many rows have been read. Exceeds `total` if rows were added in the meantime. */
  scanned: number;
}

/** Options of {@linkcode keyStatus}. */
export interface KeyStatusOptions {
  /** Called after each batch of 500 rows. */
  readonly onProgress?: ((progress: KeyStatusProgress) => void) | undefined;
}

/**
 * Counts the values of each encrypted column of a table: under the current key, under another
 * available key, and unreadable ones. Before you remove a key from `alsoReads`, `otherKey` must be
 * 0 everywhere. Exported by `@wais/mitthooks-drizzle/pg`.
 *
 * Reads in batches and writes nothing. Rows that change in the meantime count as they were read.
 *
 * @param db The database, with or without `withEncryption`.
 * @param table A table with a primary key and at least one encrypted column.
 * @param options A callback for progress.
 * @returns The counts, by the columns' TypeScript names.
 * @throws {TypeError} When the table has no primary key or no encrypted column, a column's key has
 *   no method `isCurrent` or comes from another version of this package, or an option is invalid or
 *   unknown. Nothing is read then.
 * @throws {StorageError} When row-level security applies to the current user, so that rows may be
 *   hidden, or rows have null in their primary key; nothing is read then. When the database refuses
 *   a statement or cannot be reached, or a primary key's values change when converted to text and
 *   back. Errors of a key are passed on.
 *
 * @example Check whether the old key is still needed
 * ```ts
 * import { assert } from "@std/assert";
 * import { PGlite } from "@electric-sql/pglite";
 * import { drizzle } from "drizzle-orm/pglite";
 * import { pgTable, text } from "drizzle-orm/pg-core";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { keyStatus } from "@wais/mitthooks-drizzle/pg";
 *
 * const token = buildEncryptedTextColumn(buildEncryptionKey("master password", "salt"));
 * const accounts = pgTable("account", { id: text().primaryKey(), token: token() });
 * await using client = await PGlite.create();
 * await client.exec("CREATE TABLE account (id text PRIMARY KEY, token text)");
 *
 * const status = await keyStatus(drizzle(client), accounts);
 * assert(Object.values(status).every(({ otherKey }) => otherKey === 0));
 * ```
 */
export async function keyStatus<TTable extends PgTable>(
  db: EncryptableDatabase,
  table: TTable,
  options: KeyStatusOptions = {},
): Promise<Record<string, KeyCounts>> {
  const attempt = "Counting the values under each key";
  checkNames(attempt, options, ["onProgress"]);
  const { onProgress } = options;
  if (onProgress !== undefined) checkFunction("onProgress", onProgress);
  const description = describeTable(attempt, table);
  const storedTable = await StoredTable.open(
    "keyStatus",
    undecoratedPrimary(attempt, db),
    description,
  );
  const counts = description.encrypted.map(() => ({
    current: 0,
    otherKey: 0,
    unreadable: 0,
    null: 0,
  }));
  let scanned = 0;
  let batch: Batch | undefined;
  do {
    batch = await storedTable.read(batch?.rows.at(-1)?.key, BATCH_SIZE);
    const { rows } = batch;
    if (rows.length === 0) break;
    for (const values of await inspectRows(description, rows)) {
      for (const [index, { state }] of values.entries()) counts[index]![state]++;
    }
    scanned += rows.length;
    onProgress?.({ total: storedTable.total, scanned });
  } while (!batch.last);
  return Object.fromEntries(
    description.encrypted.map(({ property }, index) => [property, counts[index]!]),
  );
}
