/** The parts of Drizzle's statements, in all supported lines: what permits and names read. Few of its types are public. */

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

/** Which of Drizzle's classes something is of. Drizzle's own `is` is too slow to be asked of every part. */
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

/** The same list where no element changes. */
export function mapChanged<T>(list: readonly T[], change: (element: T, index: number) => T) {
  let copy: T[] | undefined;
  for (let index = 0; index < list.length; index++) {
    const changed = change(list[index]!, index);
    if (changed !== list[index]) (copy ??= [...list])[index] = changed;
  }
  return copy ?? list;
}

/** The parts of an expression, those of its expressions and subqueries too. */
export function flattenChunks(part: unknown): unknown[] {
  const inner = kindOf(part) === "subquery" ? (part as Subquery)._.sql : part;
  return kindOf(inner) === "sql" ? (inner as SQL).queryChunks.flatMap(flattenChunks) : [inner];
}

/** One selected field, and where it stands in a row of the result. */
export interface Field {
  readonly path: readonly string[];
  readonly field: object;
}

/** Selected fields by name: columns, expressions, tables, and groups of them. */
export type Fields = Readonly<Record<string, unknown>>;

/** Drizzle's symbol for the columns of a table, or of an alias of one. */
export const COLUMNS = Symbol.for("drizzle:Columns");

/** These columns. */
export const columnsOf = (table: object): Readonly<Record<string, Column>> =>
  (table as { [COLUMNS]?: Record<string, Column> })[COLUMNS] ?? {};

/** The fields one after another, in the order in which they are sent. */
export function flattenFields(fields: Fields, path: readonly string[] = []): Field[] {
  return Object.keys(fields).flatMap((name) => {
    // Past the proxies of subqueries, which refuse to show expressions without an alias.
    const field = Object.getOwnPropertyDescriptor(fields, name)?.value as object;
    const here = [...path, name];
    const kind = kindOf(field);
    if (kind === "table") return flattenFields(columnsOf(field), here);
    return kind === "other" ? flattenFields(field as Fields, here) : [{ path: here, field }];
  });
}

/** What a builder has for its statement. */
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

/** Another SELECT that is put beside the first. */
export interface SetOperator {
  readonly type: string;
  readonly isAll: boolean;
  readonly rightSelect: Builder;
  readonly orderBy?: readonly unknown[] | undefined;
}

/** A builder of a statement. */
export interface Builder {
  getSQL(): SQL;
}
