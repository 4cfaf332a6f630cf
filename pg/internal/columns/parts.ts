/**
 * The parts of Drizzle's statements that permits and names read, in all supported versions. Few of
 * Drizzle's types are public.
 */

import { Column, is, Name, Param, SQL, StringChunk, Subquery, Table, View } from "drizzle-orm";

const CLASSES = {
  text: StringChunk,
  column: Column,
  sql: SQL,
  param: Param,
  name: Name,
  table: Table,
  aliased: SQL.Aliased,
  subquery: Subquery,
  view: View,
} as const;

type Kind = keyof typeof CLASSES | "other";

const kinds = new WeakMap<object, Kind>();

/** The Drizzle class of a value. Drizzle's own `is` is too slow to call for every part. */
export function kindOf(part: unknown): Kind {
  const prototype = typeof part === "object" && part !== null && Object.getPrototypeOf(part);
  if (!prototype) return "other";
  let kind = kinds.get(prototype);
  if (kind === undefined) {
    const found = Object.entries(CLASSES).find(([, of]) => is(part, of as typeof SQL));
    kinds.set(prototype, kind = (found?.[0] ?? "other") as Kind);
  }
  return kind;
}

/** Maps a list; returns the same list if no element changes. */
export function mapChanged<T>(list: readonly T[], change: (element: T, index: number) => T) {
  let copy: T[] | undefined;
  for (let index = 0; index < list.length; index++) {
    const changed = change(list[index]!, index);
    if (changed !== list[index]) (copy ??= [...list])[index] = changed;
  }
  return copy ?? list;
}

/** The parts of an expression, including those of nested expressions and subqueries. */
export function flattenChunks(part: unknown): unknown[] {
  const inner = kindOf(part) === "subquery" ? (part as Subquery)._.sql : part;
  if (Array.isArray(inner)) return inner.flatMap(flattenChunks);
  return kindOf(inner) === "sql" ? (inner as SQL).queryChunks.flatMap(flattenChunks) : [inner];
}

/** A selected field and its path in a result row. */
export interface Field {
  readonly path: readonly string[];
  readonly field: object;
}

/** Selected fields by name: columns, expressions, tables, and groups of them. */
export type Fields = Readonly<Record<string, unknown>>;

/** Drizzle's symbol for the columns of a table or of its alias. */
export const COLUMNS = Symbol.for("drizzle:Columns");

/** The columns of a table or of its alias. */
export const columnsOf = (table: object): Readonly<Record<string, Column>> =>
  (table as { [COLUMNS]?: Record<string, Column> })[COLUMNS] ?? {};

/** The fields in the order in which they are sent. */
export function flattenFields(fields: Fields, path: readonly string[] = []): Field[] {
  return Object.keys(fields).flatMap((name) => {
    // Bypasses the proxies of subqueries, which refuse expressions without an alias.
    const field = Object.getOwnPropertyDescriptor(fields, name)?.value as object;
    const here = [...path, name];
    const kind = kindOf(field);
    if (kind === "table") return flattenFields(columnsOf(field), here);
    return kind === "other" ? flattenFields(field as Fields, here) : [{ path: here, field }];
  });
}

/** A builder's configuration of its statement. */
export interface Config {
  readonly table: object;
  readonly withList?: readonly Subquery[];
  readonly from?: object;
  readonly joins?: readonly { readonly table: object; readonly on?: unknown }[];
  readonly distinct?: boolean | { readonly on: readonly unknown[] };
  readonly values?: readonly Fields[] | Builder;
  readonly select?: boolean;
  readonly onConflict?: SQL;
  readonly [clause: string]: unknown;
}

/** A builder of a statement. */
export interface Builder {
  getSQL(): SQL;
}
