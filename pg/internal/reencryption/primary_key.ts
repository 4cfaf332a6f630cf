/**
 * How the values of a primary key travel: as text, which keeps every digit, out of the database and back
 * into it. Their types are those that the database says: what a table's definition says may be another one.
 */

import { type SQL, sql } from "drizzle-orm";
import type { Column } from "../columns/encrypted_table.ts";

/** A column of a primary key, and how its values travel. */
export interface KeyColumn {
  /** Its name in TypeScript. */
  readonly property: string;
  readonly column: Column;
  /** Its value as text. */
  readonly text: SQL;
  /** What the text is cast to; `undefined` for texts, which are left to what the column really is. */
  readonly type: string | undefined;
  /** Whether each text is known to become the value it came from, in every session. */
  readonly certain: boolean;
}

/** The whole numbers of databases and of table definitions. */
const INTEGERS: ReadonlySet<string> = new Set([
  "smallint",
  "integer",
  "bigint",
  "smallserial",
  "serial",
  "bigserial",
]);

/** Types whose values are the texts that they are written as. */
const TEXTS: ReadonlySet<string> = new Set(["text", "varchar", "character varying"]);

/** Types whose values are those of JavaScript's numbers, whatever their texts look like. */
const FLOATS: ReadonlySet<string | undefined> = new Set(["real", "double precision"]);

/** Names by which `pg_typeof` tells a type, but which, as names of types, have a length of 1. */
const WITHOUT_LENGTH: ReadonlyMap<string, string> = new Map([
  ["bit", `"bit"`],
  ["character", "bpchar"],
]);

type PrimaryKey = readonly (readonly [property: string, column: Column])[];

/** What to select, from the table, to learn the types of the columns. */
export function typesOf(table: SQL, primaryKey: PrimaryKey): Record<string, SQL> {
  return Object.fromEntries(
    primaryKey.map(([, column], index) =>
      [`type${index}`, sql`pg_typeof((select ${column} from ${table} limit 1))::text`] as const
    ),
  );
}

/**
 * The columns of a primary key.
 *
 * @param found What {@linkcode typesOf} selected, if the database can tell.
 */
export function keyColumns(
  primaryKey: PrimaryKey,
  found: Readonly<Record<string, unknown>>,
): KeyColumn[] {
  return primaryKey.map(([property, column], index) => {
    const name = String(found[`type${index}`] ?? withoutLength(column.getSQLType()));
    const text = sql`${column}::text`;
    const certain = { property, column, text, certain: true };
    if (TEXTS.has(name)) return { ...certain, type: undefined };
    // Compared as the largest of them: "integer" and "serial" have 64 bits in some databases, and indexes serve the
    // comparison.
    if (INTEGERS.has(name)) return { ...certain, type: "bigint" };
    if (name === "uuid") return { ...certain, type: name };
    const type = WITHOUT_LENGTH.get(name) ?? name;
    // In JSON, points in time have their ISO form, and the zone as an offset, whatever the session's settings.
    const isTime = /^(date|timestamp)\b/.test(type);
    return {
      property,
      column,
      text: isTime ? sql`(to_json(${column}) #>> '{}')` : text,
      type,
      certain: false,
    };
  });
}

/**
 * A value of a key as the application reads it; its text where JavaScript's type cannot hold it: whole numbers from 2^53
 * on as numbers, microseconds as a `Date`.
 */
export function exactly({ type }: KeyColumn, value: unknown, text: string): unknown {
  if (typeof value === "number") {
    return String(value) === text || FLOATS.has(type) ? value : text;
  }
  if (value instanceof Date) return /\.\d{3}0*[1-9]/.test(text) || isNaN(+value) ? text : value;
  return value;
}

/** A text, as the value of the column that it came from. */
export function castKey({ type }: KeyColumn, text: SQL): SQL {
  return type === undefined ? text : sql`${text}::text::${sql.raw(type)}`;
}

/** A cast to a type with a length would cut. */
function withoutLength(type: string): string {
  return type.replace(/ *\(\d+\)/, "");
}
