/**
 * What makes a column an encrypted one: a mark that every view of it shows, Drizzle's aliases and subqueries
 * included, because those are proxies of the column itself. And a name that cannot be read while a decorated
 * dialect writes a statement: whoever writes a column into SQL has to read its name, so it only gets where we
 * put a stand-in whose name can be read.
 */

import { getTableName } from "drizzle-orm";
import type { EncryptionKey } from "../../encryption_key.ts";
import { ColumnKey } from "./column_key.ts";

/** Any column, or anything that may be one. */
export type ColumnLike = object;

// Registered, so that columns which another copy of this package made are recognised, too. Not the package's
// name: that is another one on npm.
const ENCRYPTION = Symbol.for("mitthooks-drizzle:encryption");
/** Tells this copy of the package from others. */
const THIS_COPY = {};

interface Encryption {
  readonly key: ColumnKey;
  readonly copy: object;
}

type Marked = { readonly [ENCRYPTION]?: Encryption };

/** How a statement is written. */
export interface How {
  /** The application wrote it itself, ciphertext and all: names may be read. */
  readonly raw?: boolean;
  /** What is refused will be tried again, so nobody has to be told. */
  readonly first?: boolean;
}

/** A statement that is being written, synchronously. */
interface Writing extends How {
  /** `SELECT`, `INSERT` … */
  readonly verb: string;
  /** Refuses a column whose name is read. */
  readonly refuse: (column: ColumnLike) => never;
}

/** Shared by all copies of this package: the columns of one must not slip through the dialect of another. */
const shared: { writing?: Writing | undefined } =
  (globalThis as { [key: symbol]: object })[Symbol.for("mitthooks-drizzle:writing")] ??= {};

/** The statement that is being written, if one is. */
export function writing(): Writing | undefined {
  return shared.writing;
}

function during<T>(statement: Writing | undefined, run: () => T): T {
  const outer = shared.writing;
  shared.writing = statement;
  try {
    return run();
  } finally {
    shared.writing = outer;
  }
}

/** Runs what writes a statement. Names of encrypted columns cannot be read meanwhile. */
export function write<T>(verb: string, run: () => T, how: How = {}): T {
  return during({ ...how, verb, refuse: refuseUse }, run);
}

/** A statement that cannot be built. */
export class Refusal extends TypeError {}

/** An error with a message and a stack is dear. */
const untold = new Refusal();

/** Refuses to build the statement that is being written. */
export function refuse(found: string): never {
  const { verb = "query", first } = shared.writing ?? {};
  if (first) throw untold;
  throw new Refusal(`Building ${/^[AEIOU]/.test(verb) ? "an" : "a"} ${verb}: it ${found}`);
}

/** Ends a message about what cannot be done with an encrypted column. */
export const MEANS_NOTHING =
  "whose stored text is random and means nothing to the database; only IS NULL, IS NOT NULL and count() work, " +
  "to find a value keep a keyed hash of it in a column of its own";

const refuseUse = (column: ColumnLike) =>
  refuse(
    `uses ${describeColumn(column)}, ${
      isOfAnotherCopy(column)
        ? "which another copy of this package made; the application and its schema have to load the same one"
        : MEANS_NOTHING
    }`,
  );

/** A name that can be read by everybody but by who writes a statement. */
function guarded(column: ColumnLike, name: string): PropertyDescriptor {
  return {
    enumerable: true,
    get() {
      if (shared.writing && !shared.writing.raw) shared.writing.refuse(column);
      return name;
    },
  };
}

/** Makes a column an encrypted one. */
export function markEncrypted(column: ColumnLike, key: EncryptionKey): void {
  const encryption: Encryption = {
    key: new ColumnKey(key, () => describeColumn(column)),
    copy: THIS_COPY,
  };
  const { name, as } = column as { name: string; as?(alias: string): object };
  Object.defineProperties(column, {
    [ENCRYPTION]: { value: encryption },
    name: guarded(column, name),
    // Of Drizzle 1.0: the alias is a name, too.
    ...as && {
      as: {
        value(this: ColumnLike, alias: string) {
          return withheld(as.call(this, alias));
        },
      },
    },
  });
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
export function keyOf(column: unknown): ColumnKey | undefined {
  const encryption = (column as Marked | null | undefined)?.[ENCRYPTION];
  return encryption?.copy === THIS_COPY ? encryption.key : undefined;
}

/** Whether two columns are encrypted under the very same key. */
export function haveSameKey(one: unknown, other: unknown): boolean {
  const key = keyOf(one)?.given;
  return key !== undefined && key === keyOf(other)?.given;
}

/** The name of a column in its table. */
export function nameOf(column: ColumnLike): string {
  return during(undefined, () => (column as { name: string }).name);
}

/** Table and name of a column, for messages and errors. */
export function placeOf(column: ColumnLike): { table: string; column: string } {
  const { table } = column as { table: Parameters<typeof getTableName>[0] };
  return { table: getTableName(table), column: nameOf(column) };
}

/** The same for people. */
export function describeColumn(column: ColumnLike): string {
  const { table, column: name } = placeOf(column);
  return `the encrypted column ${JSON.stringify(name)} of table ${JSON.stringify(table)}`;
}

const ORIGINAL = Symbol.for("drizzle:OriginalColumn");

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
    if (isOfAnotherCopy(column)) refuseUse(column);
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
  return Object.create(column, { name: guarded(column, nameOf(column)) });
}
