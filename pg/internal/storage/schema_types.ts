/**
 * Types of this package's tables, derived from Drizzle's functions: the names of Drizzle's column
 * types differ between 0.x and 1.0.
 */

import type { boolean, pgEnum, pgTable, text, timestamp, varchar } from "drizzle-orm/pg-core";
import type { EncryptedTextColumn } from "../../encrypted_text_column.ts";
import type { RefusingTextBuilder } from "../columns/column_modifiers.ts";

/** The columns that `pgTable` accepts. */
export type Columns = ReturnType<Parameters<typeof pgTable>[1]>;
type NotNull<TBuilder extends { notNull(): unknown }> = ReturnType<TBuilder["notNull"]>;
type PrimaryKey<TBuilder extends { primaryKey(): unknown }> = ReturnType<TBuilder["primaryKey"]>;
type WithDefault<TBuilder extends { default(value: never): unknown }> = ReturnType<
  TBuilder["default"]
>;

type Text = ReturnType<typeof text>;
type Varchar = ReturnType<typeof varchar>;
type Timestamp = NotNull<WithDefault<ReturnType<typeof timestamp>>>;
/** Exists only as a type, for the result type of `$type`. */
declare const scopes: Text;
type TextArray = ReturnType<typeof scopes.$type<string[]>>;

type ContextValues = ["customer", "project"];
/** The enum type of the column `context`. */
export type ContextEnum = ReturnType<typeof pgEnum<ContextValues[number], ContextValues>>;

/** The columns that every extension instance table has. */
export type BuiltInColumns = {
  id: PrimaryKey<Varchar>;
  contextId: NotNull<Varchar>;
  context: WithDefault<NotNull<ReturnType<ContextEnum>>>;
  active: NotNull<ReturnType<typeof boolean>>;
  variantKey: Text;
  consentedScopes: NotNull<TextArray>;
  secret: ReturnType<EncryptedTextColumn>;
  createdAt: Timestamp;
  updatedAt: Timestamp;
};

/** The extension instance table with these columns. */
export type TableOf<TColumns extends Columns> = ReturnType<
  typeof pgTable<"extension_instance", TColumns>
>;

/** Exists only as a type: Drizzle's types do not distinguish encrypted text columns. */
declare const encrypted: unique symbol;
/** Marks a table's encrypted columns. A table with more of them is assignable to one with fewer. */
export type WithEncrypted<TColumns> = {
  readonly [encrypted]?: {
    readonly [
      TKey in keyof TColumns as TColumns[TKey] extends Pick<RefusingTextBuilder, "unique"> ? TKey
        : never
    ]: true;
  };
};
/** The names of the columns marked as encrypted. */
export type EncryptedNames<TTable> = TTable extends { readonly [encrypted]?: infer TNames }
  ? keyof NonNullable<TNames> & string
  : never;

/** The properties that an object must have. */
export type RequiredKeys<T> = {
  [TKey in keyof T]-?: Record<never, never> extends Pick<T, TKey> ? never : TKey;
}[keyof T];

type TimestampWithTimeZone = ReturnType<typeof timestamp>;

/** The columns of the table of last events. */
export type LastEventColumns = {
  instanceId: PrimaryKey<Varchar>;
  kind: NotNull<Text>;
  createdAt: NotNull<TimestampWithTimeZone>;
  requestIds: WithDefault<NotNull<TextArray>>;
  calledAt: TimestampWithTimeZone;
};

/** The table of last events. */
export type LastEventTableType = ReturnType<
  typeof pgTable<"extension_instance_last_event", LastEventColumns>
>;
