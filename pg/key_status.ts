/** Under which keys the values of a table are. */

import type { PgTable } from "drizzle-orm/pg-core";
import { checkFunction, checkNames } from "../internal/check_options.ts";
import { undecoratedPrimary } from "./internal/columns/database.ts";
import { describeTable } from "./internal/columns/encrypted_table.ts";
import { type Batch, StoredTable } from "./internal/reencryption/stored_batches.ts";
import { inspectRows } from "./internal/reencryption/stored_value.ts";
import type { EncryptableDatabase } from "./interfaces.ts";

/** Rows that are read at once. */
const BATCH_SIZE = 500;

/** How many values of one column are under which key. */
export interface KeyCounts {
  /** Written under the current key. */
  current: number;
  /** Readable, but written under another key, which must therefore not be removed yet. */
  otherKey: number;
  /** Written under an unknown key, or damaged. */
  unreadable: number;
  /** Not there. */
  null: number;
}

/** How far {@linkcode keyStatus} has come. */
export interface KeyStatusProgress {
  /** How many rows the table had at the start. */
  total: number;
  /** How many rows have been looked at. More than `total` if rows were added in the meantime. */
  scanned: number;
}

/** Options of {@linkcode keyStatus}. */
export interface KeyStatusOptions {
  /** Called after each batch of 500 rows. */
  readonly onProgress?: ((progress: KeyStatusProgress) => void) | undefined;
}

/**
 * Counts, for each encrypted column of a table, the values under the current key, under another one and
 * under none that is known, from `@wais/mitthooks-drizzle/pg`. Before a key is removed from
 * `alsoReads`, `otherKey` has to be 0 everywhere.
 *
 * Reads in batches and writes nothing. Rows that change meanwhile are counted as they were when read.
 *
 * @param db The database, whether or not it is wrapped by `withEncryption`.
 * @param table A table with a primary key and at least one encrypted column.
 * @param options Progress.
 * @returns The counts, by the columns' names in TypeScript.
 * @throws {TypeError} Before anything is read: the table has no primary key or no encrypted column, a
 * column's key has no method `isCurrent` or comes from another version of this package, or an option is unknown
 * or of the wrong type.
 * @throws {StorageError} Before anything is read: row-level security applies to the current user, so that rows
 * may be hidden, or rows have null in their primary key. Or the database refused a statement or could not be reached, or a primary key cannot be
 * followed because its values change on the way through text. What a key rejects with reaches the caller
 * unchanged.
 *
 * @example May the old key go?
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
