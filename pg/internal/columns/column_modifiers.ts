/** What can and what cannot be said of an encrypted column where a table is built. */

import type { text } from "drizzle-orm/pg-core";

/** Column modifiers that an encrypted column has to refuse, and why. */
export const REFUSED_MODIFIERS = {
  array: "an array of encrypted texts is not supported",
  default: "the default would stand unencrypted in the migration, use $default",
  generatedAlwaysAs: "the database cannot encrypt, use $default or $onUpdate",
  primaryKey: "equal values are stored differently, so it would never take effect",
  references: "equal values are stored differently, so it would never match",
  unique: "equal values are stored differently, so it would never take effect",
} as const;

/** Drizzle's builder of a text column. */
export type TextBuilder = ReturnType<typeof text>;

/** The refused modifiers, as a type that cannot be called. */
export type RefusedModifiers = { readonly [TName in keyof typeof REFUSED_MODIFIERS]: never };
