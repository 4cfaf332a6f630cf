/**
 * The sink and the stand-ins. While a decorated dialect writes a statement, the name of an
 * encrypted column cannot be read. Writing a column into SQL requires its name, so a column appears
 * only where this package puts a stand-in.
 */

import { getTableName, type Table } from "drizzle-orm";
import type { EncryptionKey } from "../../interfaces.ts";
import { ColumnKey } from "./column_key.ts";
import { COLUMNS, columnsOf } from "./parts.ts";

// Registered, so that columns of another copy of this package are recognised. Not the package's
// name, which differs on npm.
const ENCRYPTION = Symbol.for("mitthooks-drizzle:encryption");
/**
 * Copies of this package with the same number use each other's columns: bundlers load one copy for
 * pages and another for route handlers. Raise it when the meaning of the mark, a member of the
 * column or a method of its key changes.
 */
const CONTRACT = 1;

type Marked = { readonly [ENCRYPTION]?: { readonly key: ColumnKey; readonly contract: number } };

/** A statement while it is built or written, which is synchronous. */
export interface Writing {
  /** `SELECT`, `INSERT` … */
  readonly verb: string;
  /** Whether names may be read. */
  readonly isFree?: boolean;
  /** Whether Drizzle chose the aliases of its tables. */
  readonly isRelational?: boolean;
  /** The built statements that it contains. */
  written?: object[] | undefined;
}

/** Shared by all copies of this package: each one's dialect refuses the columns of all. */
const shared: { writing?: Writing | undefined } =
  (globalThis as { [key: symbol]: object })[Symbol.for("mitthooks-drizzle:writing")] ??= {};

/** The statement being written, if any. */
export const writing = (): Writing | undefined => shared.writing;

/** Runs a function that writes a statement. */
export function write<T>(statement: Writing, run: () => T): T {
  const outer = shared.writing;
  shared.writing = statement;
  try {
    return run();
  } finally {
    shared.writing = outer;
  }
}

/** Runs a function that may read names. */
export const writeFreely = <T>(run: () => T): T => write({ verb: "query", isFree: true }, run);

/** Refuses to build the current statement. */
export function refuse(found: string): never {
  const { verb = "query" } = shared.writing ?? {};
  throw new TypeError(`Building ${/^[AEIOU]/.test(verb) ? "an" : "a"} ${verb}: it ${found}`);
}

/** The end of messages about a refused use of an encrypted column. */
export const MEANS_NOTHING =
  "whose stored text is random and means nothing to the database; only IS NULL, IS NOT NULL and count() work, " +
  "to find a value keep a keyed hash of it in another column";

const OF_ANOTHER_VERSION =
  "which another version of this package made; the application and its schema have to load the same one " +
  "(npm ls @weissaufschwarz/mitthooks-drizzle)";

/** Refuses to write a column. */
export const refuseUse = (column: object, how = "uses"): never =>
  refuse(
    `${how} ${describeColumn(column)}, ` +
      (isOfAnotherVersion(column) ? OF_ANOTHER_VERSION : MEANS_NOTHING),
  );

/** The encrypted columns by their places: statements of other builders contain only names. */
export const encryptedColumns = new Map<string, object>();

/** A name that cannot be read while a statement is written. */
const guarded = (read: (column: object) => string): PropertyDescriptor => ({
  enumerable: true,
  get(this: object) {
    if (shared.writing && !shared.writing.isFree) refuseUse(this);
    return read(this);
  },
});

/**
 * Makes a column an encrypted one. Everything is defined on the column's prototype: any copy of the
 * column inherits it, or has no name at all.
 *
 * @param members Further members of an encrypted column.
 */
export function markEncrypted<T extends object>(
  column: T,
  key: EncryptionKey,
  members: PropertyDescriptorMap,
): T {
  const columnKey = new ColumnKey(key, () => describeColumn(column));
  const { as } = column as { as?(alias: string): object };
  // Drizzle 1.0 only: the alias is a name, too.
  const value = as && function (this: object, alias: string) {
    return withheld(as.call(this, alias));
  };
  const descriptors: PropertyDescriptorMap = {
    ...members,
    [ENCRYPTION]: { value: { key: columnKey, contract: CONTRACT } },
    name: guarded((column) => placeOf(column).column),
    ...value && { as: { value } },
  };
  for (const name of Reflect.ownKeys(descriptors)) Reflect.deleteProperty(column, name);
  encryptedColumns.set(JSON.stringify(placeOf(column)), column);
  return Object.setPrototypeOf(column, Object.create(Object.getPrototypeOf(column), descriptors));
}

/** Whether a column, or its decoder or encoder, is encrypted, by any copy of this package. */
export const isEncrypted = (column: unknown): column is object =>
  (column as Marked | null | undefined)?.[ENCRYPTION] !== undefined;

/** Whether another, incompatible version of this package made the column. */
export const isOfAnotherVersion = (column: unknown): boolean =>
  isEncrypted(column) && keyOf(column) === undefined;

/** The key of an encrypted column of this version of the package; `undefined` for anything else. */
export function keyOf(column: unknown): ColumnKey | undefined {
  const encryption = (column as Marked | null | undefined)?.[ENCRYPTION];
  return encryption?.contract === CONTRACT ? encryption.key : undefined;
}

/** Whether two columns are encrypted under the same key object. */
export function haveSameKey(one: unknown, other: unknown): boolean {
  const key = keyOf(one)?.given;
  return key !== undefined && key === keyOf(other)?.given;
}

/** The name of a column in its table, or its alias. */
export const nameOf = (column: object): string =>
  writeFreely(() => (column as { name: string }).name);

/** Drizzle's symbol for a table's name in the schema. */
export const ORIGINAL_NAME: unique symbol = Symbol.for("drizzle:OriginalName");

type Placed = {
  readonly table: Table & { readonly [ORIGINAL_NAME]: string };
  readonly config: { readonly name: string };
};

/** A column's table and name in the schema, regardless of aliases: for messages and errors. */
export function placeOf(column: object): { table: string; column: string } {
  const { table, config } = column as Placed;
  return { table: table[ORIGINAL_NAME], column: config.name };
}

/** `placeOf` for messages, with the table's alias if the application chose one. */
export function describeColumn(column: object): string {
  const { table, column: name } = placeOf(column);
  const alias = shared.writing?.isRelational ? table : getTableName((column as Placed).table);
  const here = alias === table ? "" : ` (here ${JSON.stringify(alias)})`;
  return `the encrypted column ${JSON.stringify(name)} of table ${JSON.stringify(table)}${here}`;
}

/** Whether an encrypted column is a stand-in: only there the name is a value, not a getter. */
export const isReadable = (column: object): boolean =>
  Object.getOwnPropertyDescriptor(column, "name")?.value !== undefined;

const ORIGINAL = Symbol.for("drizzle:OriginalColumn");
const standIns = new WeakMap<object, object>();

/**
 * A stand-in for an encrypted column: its name is readable where the column may be written.
 *
 * @param decode Decodes the values read; by default they stay as stored.
 */
export function readable<T extends object>(
  column: T,
  decode?: (stored: unknown) => unknown,
): T {
  let standIn = decode ? undefined : standIns.get(column);
  if (!standIn) {
    if (isOfAnotherVersion(column)) refuseUse(column);
    // Drizzle 1.0 writes the original of an aliased column.
    const original = (column as { [ORIGINAL]?: () => T })[ORIGINAL];
    standIn = Object.create(column, {
      name: { value: nameOf(column), configurable: true },
      mapFromDriverValue: { value: decode ?? ((stored: unknown) => stored) },
      ...original && { [ORIGINAL]: { value: () => readable(original.call(column), decode) } },
    }) as object;
    if (!decode) standIns.set(column, standIn).set(standIn, standIn);
  }
  return standIn as T;
}

/** The opposite: a view of a column or a stand-in whose name cannot be read. */
export function withheld<T extends object>(column: T): T {
  const name = nameOf(column);
  return Object.create(column, { name: guarded(() => name) });
}

/** A view of columns by name that replaces the encrypted ones. */
export const viewed = <T extends Readonly<Record<string, unknown>>>(
  columns: T,
  change: (column: object) => object,
): T =>
  new Proxy(columns, {
    get(of, name: string) {
      const column = of[name];
      return isEncrypted(column) ? change(column) : column;
    },
  });

/** The same for a table. */
export const viewedTable = <T extends object>(table: T, change: (column: object) => object): T =>
  Object.create(table, { [COLUMNS]: { value: viewed(columnsOf(table), change) } });
