/**
 * Types of the tables of this package, put together from the types of Drizzle's functions: the names of
 * Drizzle's own column types differ between its 0.x and its 1.0 line.
 */

import type { boolean, pgEnum, pgTable, text, timestamp, varchar } from "drizzle-orm/pg-core";
import type { EncryptedTextColumn } from "../../encrypted_text_column.ts";
import type { RefusingTextBuilder } from "../columns/column_modifiers.ts";

/** What `pgTable` takes as columns. */
export type Columns = ReturnType<Parameters<typeof pgTable>[1]>;
type NotNull<TBuilder extends { notNull(): unknown }> = ReturnType<TBuilder["notNull"]>;
type PrimaryKey<TBuilder extends { primaryKey(): unknown }> = ReturnType<TBuilder["primaryKey"]>;
type WithDefault<TBuilder extends { default(value: never): unknown }> = ReturnType<
  TBuilder["default"]
>;

type Text = ReturnType<typeof text>;
type Varchar = ReturnType<typeof varchar>;
type Timestamp = NotNull<WithDefault<ReturnType<typeof timestamp>>>;
/** Exists as a type alone: `$type` cannot be asked for its result otherwise. */
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

/** Exists as a type alone: Drizzle's types of columns do not tell an encrypted text from another. */
declare const encrypted: unique symbol;
/** A table of which it is noted which columns are encrypted. One with more of them is one with fewer, too. */
export type WithEncrypted<TColumns> = {
  readonly [encrypted]?: {
    readonly [
      TKey in keyof TColumns as TColumns[TKey] extends Pick<RefusingTextBuilder, "unique"> ? TKey
        : never
    ]: true;
  };
};
/** The names of the columns that are noted as encrypted. */
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
