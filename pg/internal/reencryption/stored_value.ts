/** Determines the key of a stored value. */

import { DecryptionError } from "../../../errors.ts";
import type { EncryptedColumn, EncryptedTable } from "../columns/encrypted_table.ts";
import { mapBounded } from "../columns/map_bounded.ts";
import type { StoredRow } from "./stored_batches.ts";

/** The state of a stored value. */
export type StoredValue =
  | { readonly state: "null" | "current" | "unreadable" }
  | { readonly state: "otherKey"; readonly plaintext: string };

/**
 * Inspects the encrypted columns of each row.
 *
 * @throws Errors of a key other than a {@linkcode DecryptionError}.
 */
export async function inspectRows(
  { encrypted }: EncryptedTable,
  rows: readonly StoredRow[],
): Promise<StoredValue[][]> {
  const values = rows.flatMap(({ stored }) =>
    encrypted.map(({ key }, index) => ({ key, stored: stored[index] ?? null }))
  );
  const found = await mapBounded(values, ({ key, stored }) => inspectStoredValue(key, stored));
  return rows.map((_, row) => found.slice(row * encrypted.length, (row + 1) * encrypted.length));
}

/**
 * Inspects a stored value.
 *
 * @throws Errors of the key other than a {@linkcode DecryptionError}: an outage says nothing about
 *   the value.
 */
async function inspectStoredValue(
  key: EncryptedColumn["key"],
  stored: string | null,
): Promise<StoredValue> {
  if (stored === null) return { state: "null" };
  try {
    if (await key.isCurrent(stored)) return { state: "current" };
    return { state: "otherKey", plaintext: await key.decrypt(stored) };
  } catch (error) {
    if (error instanceof DecryptionError) return { state: "unreadable" };
    throw error;
  }
}
