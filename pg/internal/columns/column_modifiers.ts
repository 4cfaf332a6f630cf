/** The column modifiers, indexes and keys that an encrypted column refuses in a table's schema. */

import type { text } from "drizzle-orm/pg-core";
import { describeColumn, isEncrypted } from "./encrypted_column.ts";

const NEVER_EQUAL = "equal values are stored differently, so it would never take effect";

/** Column modifiers that an encrypted column refuses, with the reasons. */
export const REFUSED_MODIFIERS = {
  array: "an array of encrypted texts is not supported",
  default: "the default would stand unencrypted in the migration, use $default",
  generatedAlwaysAs: "the database cannot encrypt, use $default or $onUpdate",
  primaryKey: NEVER_EQUAL,
  references: "equal values are stored differently, so it would never match",
  unique: NEVER_EQUAL,
} as const;

type Reasons = typeof REFUSED_MODIFIERS;
type TextBuilder = ReturnType<typeof text>;

/**
 * Drizzle's builder of a text column. The type of `this` is the reason, so the compiler's error
 * shows it; modifiers that return `this` keep it.
 */
export interface RefusingTextBuilder extends TextBuilder {
  array(this: Reasons["array"], ...args: unknown[]): never;
  default(this: Reasons["default"], ...args: unknown[]): never;
  generatedAlwaysAs(this: Reasons["generatedAlwaysAs"], ...args: unknown[]): never;
  primaryKey(this: Reasons["primaryKey"], ...args: unknown[]): never;
  references(this: Reasons["references"], ...args: unknown[]): never;
  unique(this: Reasons["unique"], ...args: unknown[]): never;
  $type<TType>(
    this: [TType] extends [string] ? this
      : "an encrypted column stores strings, so that its type has to be one",
  ): this & { _: { $type: TType } };
}

/** An encrypted column is part of an index or a key. */
class KeyRefusal extends TypeError {
  constructor(column: object) {
    super(
      `Building a table: one of its indexes or keys has ${describeColumn(column)}, ${NEVER_EQUAL}`,
    );
  }
}

/**
 * Refuses an index on an encrypted column: the descriptor of the property that Drizzle reads of a
 * column to build an index.
 */
export const refusedIndex: PropertyDescriptor = {
  get(this: object) {
    throw new KeyRefusal(this);
  },
};

/** The builder of a unique constraint, a primary key or a foreign key. */
interface KeyBuilder {
  build?(table: object): Key;
}

interface Key {
  readonly columns?: readonly object[];
  reference?(): { readonly columns: readonly object[]; readonly foreignColumns: readonly object[] };
}

/**
 * Refuses a key with, or a reference to, an encrypted column.
 *
 * @throws {TypeError} When the key contains or references one.
 */
function assertKey({ columns = [], reference }: Key): void {
  const { columns: from = [], foreignColumns: to = [] } = reference?.() ?? {};
  const found = [...columns, ...from, ...to].find(isEncrypted);
  if (found) throw new KeyRefusal(found);
}

const EXTRA_CONFIG = Symbol.for("drizzle:ExtraConfigBuilder");
const EXTRA_COLUMNS = Symbol.for("drizzle:ExtraConfigColumns");

interface Table {
  [EXTRA_CONFIG]?: ExtraConfig | undefined;
  [EXTRA_COLUMNS]: object;
}

type ExtraConfig = (columns: object) => Record<string, KeyBuilder> | KeyBuilder[];

const checked = new WeakSet<object>();

/**
 * Checks the indexes and keys of a table with encrypted columns when the table gets them, and again
 * whenever Drizzle builds them: the first time, a referenced table may not exist yet.
 */
export function checkKeysOf(table: object): void {
  if (checked.has(table)) return;
  checked.add(table);
  const value = (table as Table)[EXTRA_CONFIG];
  Object.defineProperty(table, EXTRA_CONFIG, {
    configurable: true,
    enumerable: true,
    get: () => value,
    set(this: Table, build: ExtraConfig) {
      const checking: ExtraConfig = (columns) => {
        const extra = build(columns);
        for (const builder of Object.values(extra).flat() as KeyBuilder[]) {
          if (typeof builder?.build === "function") assertKey(builder.build(this));
        }
        return extra;
      };
      Object.defineProperty(this, EXTRA_CONFIG, { value: checking, writable: true });
      try {
        checking(this[EXTRA_COLUMNS]);
      } catch (error) {
        if (error instanceof KeyRefusal) throw error;
      }
    },
  });
}
