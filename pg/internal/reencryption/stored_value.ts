/** Tells under which key a stored value was written. */

import { DecryptionError } from "../../../errors.ts";
import type { EncryptedColumn, EncryptedTable } from "../columns/encrypted_table.ts";
import { mapBounded } from "../columns/map_bounded.ts";
import type { StoredRow } from "./stored_batches.ts";

/** What was found. */
export type StoredValue =
  | { readonly state: "null" | "current" | "unreadable" }
  | { readonly state: "otherKey"; readonly plaintext: string };

/**
 * What each row's encrypted columns hold.
 *
 * @throws What a key rejects with, other than that it cannot read a value.
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
 * Looks at a stored value.
 *
 * @throws What the key rejects with, other than that it cannot read the value: an outage says nothing about
 * the value.
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
