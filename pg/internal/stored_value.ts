/** Tells under which key a stored value was written. */

import type { EncryptionKey } from "../encryption_key.ts";
import { DecryptionError } from "../../errors.ts";
import type { EncryptedTable } from "./encrypted_table.ts";
import type { StoredRow } from "./stored_batches.ts";

/** How many values are looked at at once: enough to keep every core busy, few enough to stay small. */
const CONCURRENCY = 256;

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
  const found = await mapTogether(values, ({ key, stored }) => inspectStoredValue(key, stored));
  return rows.map((_, row) => found.slice(row * encrypted.length, (row + 1) * encrypted.length));
}

/**
 * Looks at a stored value.
 *
 * @throws What the key rejects with, other than that it cannot read the value: an outage says nothing about
 * the value.
 */
async function inspectStoredValue(
  key: Required<EncryptionKey>,
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

/**
 * Maps values, many at a time.
 *
 * @throws What the first of them that failed, in their order, failed with. None is at work any more then.
 */
export async function mapTogether<T, U>(
  values: readonly T[],
  map: (value: T) => Promise<U>,
): Promise<U[]> {
  const results: U[] = [];
  for (let start = 0; start < values.length; start += CONCURRENCY) {
    const settled = await Promise.allSettled(values.slice(start, start + CONCURRENCY).map(map));
    for (const outcome of settled) {
      if (outcome.status === "rejected") throw outcome.reason;
      results.push(outcome.value);
    }
  }
  return results;
}
