/**
 * The sink and the stand-ins. The name of an encrypted column cannot be read while a decorated dialect writes a
 * statement. Whoever writes a column into SQL has to read its name, so the column only gets where we put a stand-in.
 */

import { getTableName, type Table } from "drizzle-orm";
import type { EncryptionKey } from "../../interfaces.ts";
import { ColumnKey } from "./column_key.ts";

/** Any column, or anything that may be one. */
export type ColumnLike = object;

// Registered, so that columns which another copy of this package made are recognised, too. Not the package's
// name: that is another one on npm.
const ENCRYPTION = Symbol.for("mitthooks-drizzle:encryption");
/**
 * Copies of this package that agree on it use each other's columns: bundlers load one copy for pages and another one for
 * route handlers. Raise it when the mark, a member of the column or a method of its key comes to mean something else.
 */
const CONTRACT = 1;

type Marked = { readonly [ENCRYPTION]?: { readonly key: ColumnKey; readonly contract: number } };

/** A statement that is being built or written, synchronously. */
export interface Writing {
  /** `SELECT`, `INSERT` … */
  readonly verb: string;
  /** Whether names may be read. */
  readonly isFree?: boolean;
  /** Whether Drizzle made up the aliases of its tables. */
  readonly isRelational?: boolean;
  /** The built statements that it consists of. */
  readonly written?: object[];
}

/** Shared by all copies of this package: the columns of one must not slip through the dialect of another. */
const shared: { writing?: Writing | undefined } =
  (globalThis as { [key: symbol]: object })[Symbol.for("mitthooks-drizzle:writing")] ??= {};

/** The statement that is being written, if one is. */
export const writing = (): Writing | undefined => shared.writing;

/** Runs what writes a statement. */
export function write<T>(statement: Writing, run: () => T): T {
  const outer = shared.writing;
  shared.writing = statement;
  try {
    return run();
  } finally {
    shared.writing = outer;
  }
}

/** Runs what reads names. */
export const writeFreely = <T>(run: () => T): T => write({ verb: "query", isFree: true }, run);

/** Refuses to build the statement that is being written. */
export function refuse(found: string): never {
  const { verb = "query" } = shared.writing ?? {};
  throw new TypeError(`Building ${/^[AEIOU]/.test(verb) ? "an" : "a"} ${verb}: it ${found}`);
}

/** Ends a message about what cannot be done with an encrypted column. */
export const MEANS_NOTHING =
  "whose stored text is random and means nothing to the database; only IS NULL, IS NOT NULL and count() work, " +
  "to find a value keep a keyed hash of it in a column of its own";

/** Refuses to write a column. */
export const refuseUse = (column: ColumnLike, how = "uses"): never =>
  refuse(`${how} ${describeColumn(column)}, ${MEANS_NOTHING}`);

/** A name that can be read by everybody but by who writes a statement. */
const guarded = (read: (column: ColumnLike) => string): PropertyDescriptor => ({
  enumerable: true,
  get(this: ColumnLike) {
    if (shared.writing && !shared.writing.isFree) refuseUse(this);
    return read(this);
  },
});

/**
 * Makes a column an encrypted one. All of it stands in the column's prototype: a copy of the column, however it
 * was made, has it from there, or has no name at all.
 *
 * @param members What else an encrypted column has of its own.
 */
export function markEncrypted<T extends ColumnLike>(
  column: T,
  key: EncryptionKey,
  members: PropertyDescriptorMap,
): T {
  const columnKey = new ColumnKey(key, () => describeColumn(column));
  const { as } = column as { as?(alias: string): object };
  // Of Drizzle 1.0: the alias is a name, too.
  const value = as && function (this: ColumnLike, alias: string) {
    return withheld(as.call(this, alias));
  };
  const descriptors: PropertyDescriptorMap = {
    ...members,
    [ENCRYPTION]: { value: { key: columnKey, contract: CONTRACT } },
    name: guarded((column) => placeOf(column).column),
    ...value && { as: { value } },
  };
  for (const name of Reflect.ownKeys(descriptors)) Reflect.deleteProperty(column, name);
  return Object.setPrototypeOf(column, Object.create(Object.getPrototypeOf(column), descriptors));
}

/** Whether a column, or what decodes or encodes like one, is encrypted, by whatever copy of this package. */
export const isEncrypted = (column: unknown): column is ColumnLike =>
  (column as Marked | null | undefined)?.[ENCRYPTION] !== undefined;

/** Whether another version of this package made the column: what it means is not known here. */
export const isOfAnotherVersion = (column: unknown): boolean =>
  isEncrypted(column) && keyOf(column) === undefined;

/** The key of an encrypted column that this version of the package made, `undefined` for anything else. */
export function keyOf(column: unknown): ColumnKey | undefined {
  const encryption = (column as Marked | null | undefined)?.[ENCRYPTION];
  return encryption?.contract === CONTRACT ? encryption.key : undefined;
}

/** Whether two columns are encrypted under the very same key. */
export function haveSameKey(one: unknown, other: unknown): boolean {
  const key = keyOf(one)?.given;
  return key !== undefined && key === keyOf(other)?.given;
}

/** The name of a column in its table, or its alias. */
export const nameOf = (column: ColumnLike): string =>
  writeFreely(() => (column as { name: string }).name);

const ORIGINAL_NAME = Symbol.for("drizzle:OriginalName");

type Placed = {
  readonly table: Table & { readonly [ORIGINAL_NAME]: string };
  readonly config: { readonly name: string };
};

/** Table and name of a column in the schema, whatever a statement calls them: for messages and errors. */
export function placeOf(column: ColumnLike): { table: string; column: string } {
  const { table, config } = column as Placed;
  return { table: table[ORIGINAL_NAME], column: config.name };
}

/** Like `placeOf`, worded for messages, with the alias of the table that the application chose. */
export function describeColumn(column: ColumnLike): string {
  const { table, column: name } = placeOf(column);
  const alias = shared.writing?.isRelational ? table : getTableName((column as Placed).table);
  const here = alias === table ? "" : ` (here ${JSON.stringify(alias)})`;
  return `the encrypted column ${JSON.stringify(name)} of table ${JSON.stringify(table)}${here}`;
}

const ORIGINAL = Symbol.for("drizzle:OriginalColumn");

/** Whether a column is a stand-in: the name of any other encrypted one is no value. */
export const isReadable = (column: ColumnLike): boolean =>
  Object.getOwnPropertyDescriptor(column, "name")?.value !== undefined;

const standIns = new WeakMap<ColumnLike, ColumnLike>();

/**
 * A stand-in of an encrypted column for the place where it may be written as itself: its name can be read.
 *
 * @param decode What is made of the values that come back; they are left as they are stored otherwise.
 */
export function readable<T extends ColumnLike>(
  column: T,
  decode?: (stored: unknown) => unknown,
): T {
  let standIn = decode ? undefined : standIns.get(column);
  if (!standIn) {
    if (isOfAnotherVersion(column)) {
      refuse(
        `uses ${
          describeColumn(column)
        }, which another version of this package made; the application ` +
          "and its schema have to load the same one (npm ls @weissaufschwarz/mitthooks-drizzle)",
      );
    }
    // Drizzle 1.0 writes what is behind a column's alias.
    const original = (column as { [ORIGINAL]?: () => T })[ORIGINAL];
    standIn = Object.create(column, {
      name: { value: nameOf(column), configurable: true },
      mapFromDriverValue: { value: decode ?? ((stored: unknown) => stored) },
      ...original && { [ORIGINAL]: { value: () => readable(original.call(column), decode) } },
    }) as ColumnLike;
    if (!decode) standIns.set(column, standIn).set(standIn, standIn);
  }
  return standIn as T;
}

/** The opposite: a view of a column, or of a stand-in, whose name cannot be read. */
export function withheld<T extends ColumnLike>(column: T): T {
  const name = nameOf(column);
  return Object.create(column, { name: guarded(() => name) });
}

/** A view of columns by name, with something else in the place of encrypted ones. */
export const viewed = <T extends Readonly<Record<string, unknown>>>(
  columns: T,
  change: (column: ColumnLike) => ColumnLike,
): T =>
  new Proxy(columns, {
    get(of, name: string) {
      const column = of[name];
      return isEncrypted(column) ? change(column) : column;
    },
  });
