/** What Drizzle's statements consist of, in all supported lines. Little of it is in its public types. */

import {
  Column,
  is,
  Name,
  Param,
  Placeholder,
  SQL,
  StringChunk,
  Subquery,
  Table,
  View,
} from "drizzle-orm";

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
  placeholder: Placeholder,
} as const;

type Kind = keyof typeof CLASSES | "other";

const kinds = new WeakMap<object, Kind>();

/** Which of Drizzle's classes something is of. Drizzle's own `is` is too slow to be asked of every part. */
export function kindOf(part: unknown): Kind {
  if (typeof part !== "object" || part === null) return "other";
  const prototype = Object.getPrototypeOf(part);
  if (prototype === null) return "other";
  let kind = kinds.get(prototype);
  if (kind === undefined) {
    const found = Object.entries(CLASSES).find(([, of]) => is(part, of as typeof SQL));
    kinds.set(prototype, kind = (found?.[0] ?? "other") as Kind);
  }
  return kind;
}

/** A list in Drizzle 0.x, a string in 1.0. */
export function textOf(text: unknown): string {
  const { value } = text as StringChunk;
  return typeof value === "string" ? value : value.join("");
}

/** The same list where no element changes. */
export function mapChanged<T>(
  list: readonly T[],
  change: (element: T, index: number) => T,
): readonly T[] {
  let copy: T[] | undefined;
  for (let index = 0; index < list.length; index++) {
    const changed = change(list[index]!, index);
    if (changed !== list[index]) (copy ??= [...list])[index] = changed;
  }
  return copy ?? list;
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
export function columnsOf(table: object): Readonly<Record<string, Column>> {
  return (table as { [COLUMNS]?: Record<string, Column> })[COLUMNS] ?? {};
}

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

/** What a SELECT selects, in whichever form its builder has it. */
export interface Selection {
  readonly fields?: Fields | undefined;
  readonly fieldsFlat?: readonly Field[] | undefined;
}

/** What a builder has for its statement. */
export interface Config extends Selection {
  readonly table: object;
  readonly withList?: readonly Subquery[];
  readonly from?: object;
  readonly joins?: readonly Join[];
  readonly distinct?: boolean | { readonly on: readonly unknown[] };
  readonly setOperators?: readonly SetOperator[];
  readonly values?: readonly Fields[] | Builder;
  readonly select?: boolean;
  readonly onConflict?: SQL;
  readonly returning?: readonly Field[];
  readonly [clause: string]: unknown;
}

/** A source that is joined. */
export interface Join {
  readonly table: object;
  readonly on?: unknown;
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
  readonly config?: Config;
  getSelectedFields?(): Fields | undefined;
  getSQL(): SQL;
}

/** The selected fields one after another. */
export function fieldsOf({ fields, fieldsFlat }: Selection): readonly Field[] {
  return fieldsFlat ?? flattenFields(fields ?? {});
}

/** What a relational query is made of. */
export interface RelationalConfig {
  readonly tableConfig: { readonly columns?: Fields; readonly table: object };
  readonly queryConfig: true | Fields;
  /** Where it stands within another. */
  readonly nestedQueryRelation?: unknown;
}

/** A relational query, and what it selects. */
export interface Relational {
  readonly sql: SQL;
  readonly selection: readonly RelationalField[];
}

interface RelationalField {
  readonly field: object;
  readonly selection?: readonly RelationalField[];
}

/** The fields of a relational query one after another. */
export function flattenSelection(selection: Relational["selection"]): Field[] {
  return selection.flatMap(({ field, selection = [] }) => [
    { path: [], field },
    ...flattenSelection(selection),
  ]);
}
