/**
 * Finds placeholders that an encrypted column is compared with. Drizzle binds values in conditions to the
 * column they are compared with, so that `encryptParameters` sees them, but placeholders it leaves alone:
 * what is filled in later would be compared with ciphertext, and `ne(column, placeholder)` hold for every row.
 */

import {
  Column,
  is,
  isSQLWrapper,
  Name,
  Param,
  Placeholder,
  SQL,
  type SQLWrapper,
  StringChunk,
  Subquery,
  Table,
  View,
} from "drizzle-orm";
import { keyOf } from "./encrypted_table.ts";

const COMPARISON =
  /^\s*(?:[<>=!~]+|(?:not\s+)?(?:in|between)|is\s+(?:not\s+)?distinct\s+from)\s*\(?\s*$/i;
const AND = /^\s*and\s*$/i;

/** Parts without parts of their own; of a table or a view only the name is sent. */
const LEAVES = [StringChunk, Param, Name, Column, Placeholder, Table, View];

/**
 * Looks through a query.
 *
 * @throws {TypeError} An encrypted column is compared with a placeholder.
 */
export function assertNoComparedPlaceholder(query: SQLWrapper): void {
  const open: unknown[] = [query];
  while (open.length > 0) {
    const parts = partsOf(open.pop());
    // The placeholder may stand on either side.
    if (comparesPlaceholder(parts) || comparesPlaceholder(parts.toReversed())) {
      throw new TypeError(
        "Preparing a query: it compares an encrypted column with a placeholder, " +
          "encrypted values cannot be compared",
      );
    }
    for (const part of parts.flat()) open.push(part);
  }
}

function partsOf(part: unknown): readonly unknown[] {
  if (LEAVES.some((leaf) => is(part, leaf))) return [];
  if (is(part, SQL)) return part.queryChunks;
  if (is(part, SQL.Aliased)) return [part.sql];
  // Before asking for a method: of a subquery, all but `_` are its columns.
  if (is(part, Subquery)) return [part._.sql];
  if (!isSQLWrapper(part)) return [];
  const inner = part.getSQL();
  // Drizzle wraps what is only a name, or a value, into itself.
  return is(inner, SQL) && inner.queryChunks.includes(part) ? [] : [inner];
}

function comparesPlaceholder(parts: readonly unknown[]): boolean {
  let column: Column | undefined;
  let compared = false;
  for (const part of parts) {
    if (is(part, Column)) {
      column = part;
      compared = false;
    } else if (is(part, StringChunk)) {
      // A list in Drizzle 0.x, a string in 1.0.
      const text = [part.value].flat().join("");
      if (text.trim() === "" || (compared && AND.test(text))) continue;
      compared = column !== undefined && COMPARISON.test(text);
      if (!compared) column = undefined;
    } else if (compared && [part].flat().some((operand) => is(operand, Placeholder))) {
      if (keyOf(column as Parameters<typeof keyOf>[0])) return true;
    } else if (!compared) {
      column = undefined;
    }
  }
  return false;
}
