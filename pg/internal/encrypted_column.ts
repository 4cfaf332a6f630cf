/**
 * What makes a column an encrypted one: a mark that every view of it shows, Drizzle's aliases and subqueries
 * included, because those are proxies of the column itself.
 */

import { getTableName } from "drizzle-orm";
import type { EncryptionKey } from "../encryption_key.ts";

/** Any column, or anything that may be one. */
export type ColumnLike = object;

// Registered, so that columns which another copy of this package made are recognised, too. Not the package's
// name: that is another one on npm.
const ENCRYPTION = Symbol.for("mitthooks-drizzle:encryption");
/** On the stand-ins of columns that may be read at a place. */
const READABLE = Symbol("readable");
/** Tells this copy of the package from others. */
const THIS_COPY = {};

interface Encryption {
  readonly key: EncryptionKey;
  readonly copy: object;
}

type Marked = { readonly [ENCRYPTION]?: Encryption; readonly [READABLE]?: true };

/** Makes a column an encrypted one. */
export function markEncrypted(column: ColumnLike, key: EncryptionKey): void {
  const encryption: Encryption = { key, copy: THIS_COPY };
  Object.defineProperty(column, ENCRYPTION, { value: encryption });
}

/** Whether a column, or what decodes or encodes like one, is encrypted, by whatever copy of this package. */
export function isEncrypted(column: unknown): column is ColumnLike {
  return (column as Marked | null | undefined)?.[ENCRYPTION] !== undefined;
}

/** Whether another copy of this package made the column: neither its values nor its errors are known here. */
export function isOfAnotherCopy(column: unknown): boolean {
  const encryption = (column as Marked | null | undefined)?.[ENCRYPTION];
  return encryption !== undefined && encryption.copy !== THIS_COPY;
}

/** The key of an encrypted column that this copy of the package made, `undefined` for anything else. */
export function keyOf(column: unknown): EncryptionKey | undefined {
  const encryption = (column as Marked | null | undefined)?.[ENCRYPTION];
  return encryption?.copy === THIS_COPY ? encryption.key : undefined;
}

/** Whether two columns are encrypted under the very same key. */
export function haveSameKey(one: unknown, other: unknown): boolean {
  const key = keyOf(one);
  return key !== undefined && key === keyOf(other);
}

/** Table and name of a column, for messages and errors. */
export function placeOf(column: ColumnLike): { table: string; column: string } {
  const { table, name } = column as { table: Parameters<typeof getTableName>[0]; name: string };
  return { table: getTableName(table), column: name };
}

/** The same for people. */
export function describeColumn(column: ColumnLike): string {
  const { table, column: name } = placeOf(column);
  return `the encrypted column ${JSON.stringify(name)} of table ${JSON.stringify(table)}`;
}

const ORIGINAL = Symbol.for("drizzle:OriginalColumn");

/**
 * A stand-in of an encrypted column for the place where it may be read as itself. It is sent as the column
 * is; what comes back goes through `decode` instead of the column's own decoder.
 */
export function readable<T extends ColumnLike>(column: T, decode: (stored: unknown) => unknown): T {
  const properties: PropertyDescriptorMap = {
    [READABLE]: { value: true },
    mapFromDriverValue: { value: decode },
  };
  // Drizzle 1.0 sends what is behind a column's alias.
  const original = (column as { [ORIGINAL]?: () => T })[ORIGINAL];
  if (typeof original === "function") {
    properties[ORIGINAL] = { value: () => readable(original.call(column), decode) };
  }
  return Object.create(column, properties);
}

/** Whether it is such a stand-in. */
export function isReadable(column: ColumnLike): boolean {
  return (column as Marked)[READABLE] === true;
}
