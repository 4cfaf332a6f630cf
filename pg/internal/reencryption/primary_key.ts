/**
 * Converts primary key values to text, which keeps every digit, and back. Uses the types in the
 * database, which may differ from those in the table's definition.
 */

import { type SQL, sql } from "drizzle-orm";
import type { Column } from "../columns/encrypted_table.ts";

/** A primary key column and the conversion of its values. */
export interface KeyColumn {
  /** Its TypeScript name. */
  readonly property: string;
  readonly column: Column;
  /** Its value as text. */
  readonly text: SQL;
  /** The type to which the text is cast; `undefined` for texts, which need no cast. */
  readonly type: string | undefined;
  /** Whether each text is certain to convert back to its value in every session. */
  readonly certain: boolean;
}

/** Integer types of databases and of table definitions. */
const INTEGERS: ReadonlySet<string> = new Set([
  "smallint",
  "integer",
  "bigint",
  "smallserial",
  "serial",
  "bigserial",
]);

/** Text types. */
const TEXTS: ReadonlySet<string> = new Set(["text", "varchar", "character varying"]);

/** Types with the values of JavaScript's numbers, whatever their texts look like. */
const FLOATS: ReadonlySet<string | undefined> = new Set(["real", "double precision"]);

/** Names from `pg_typeof` that, used as a type, would mean a length of 1. */
const WITHOUT_LENGTH: ReadonlyMap<string, string> = new Map([
  ["bit", `"bit"`],
  ["character", "bpchar"],
]);

type PrimaryKey = readonly (readonly [property: string, column: Column])[];

/** Fields to select from the table for the columns' types. */
export function typesOf(table: SQL, primaryKey: PrimaryKey): Record<string, SQL> {
  return Object.fromEntries(
    primaryKey.map(([, column], index) =>
      [`type${index}`, sql`pg_typeof((select ${column} from ${table} limit 1))::text`] as const
    ),
  );
}

/**
 * Determines the columns of a primary key.
 *
 * @param found The result of selecting {@linkcode typesOf}, if the database supports it.
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
    // Compared as bigint: "integer" and "serial" have 64 bits in some databases, and indexes
    // support the comparison.
    if (INTEGERS.has(name)) return { ...certain, type: "bigint" };
    if (name === "uuid") return { ...certain, type: name };
    const type = WITHOUT_LENGTH.get(name) ?? name;
    // In JSON, times have ISO form with an offset, whatever the session's settings.
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
 * A key's value as the application reads it; its text if the JavaScript type cannot represent it:
 * integers from 2^53 as numbers, microseconds in a `Date`.
 */
export function exactly({ type }: KeyColumn, value: unknown, text: string): unknown {
  if (typeof value === "number") {
    return String(value) === text || FLOATS.has(type) ? value : text;
  }
  if (value instanceof Date) return /\.\d{3}0*[1-9]/.test(text) || isNaN(+value) ? text : value;
  return value;
}

/** Casts a text back to its column's value. */
export function castKey({ type }: KeyColumn, text: SQL): SQL {
  return type === undefined ? text : sql`${text}::text::${sql.raw(type)}`;
}

/** Drops the length: a cast to a type with a length truncates. */
function withoutLength(type: string): string {
  return type.replace(/ *\(\d+\)/, "");
}
