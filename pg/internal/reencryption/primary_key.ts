/**
 * How the values of a primary key travel: as text, which keeps every digit, out of the database and back
 * into it.
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

/** The whole numbers of table definitions. */
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

/** Names by which `pg_typeof` tells a type, but which, as names of types, have a length of 1. */
const WITHOUT_LENGTH: ReadonlyMap<string, string> = new Map([
  ["bit", `"bit"`],
  ["character", "bpchar"],
]);

type PrimaryKey = readonly (readonly [property: string, column: Column])[];

/**
 * What to select, from the table, to learn the types that its definition does not tell with certainty:
 * Drizzle's name of an enum has no schema, a type of one's own any name, and a text may be a uuid.
 */
export function unknownTypes(table: SQL, primaryKey: PrimaryKey): Record<string, SQL> {
  return Object.fromEntries(
    primaryKey.flatMap(([, column], index) =>
      certainType(column) === undefined
        ? [[`type${index}`, sql`pg_typeof((select ${column} from ${table} limit 1))::text`]]
        : []
    ),
  );
}

/**
 * The columns of a primary key.
 *
 * @param found What {@linkcode unknownTypes} selected, if the database can tell.
 */
export function keyColumns(
  primaryKey: PrimaryKey,
  found: Readonly<Record<string, unknown>>,
): KeyColumn[] {
  return primaryKey.map(([property, column], index) => {
    const text = sql`${column}::text`;
    const certain = certainType(column);
    if (certain !== undefined) return { property, column, text, type: certain, certain: true };
    const name = String(found[`type${index}`] ?? withoutLength(column.getSQLType()));
    if (TEXTS.has(name)) return { property, column, text, type: undefined, certain: true };
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

/** A text, as the value of the column that it came from. */
export function castKey({ type }: KeyColumn, text: SQL): SQL {
  return type === undefined ? text : sql`${text}::text::${sql.raw(type)}`;
}

/**
 * The type that the definition of a column tells with certainty, to be cast to. Whole numbers of every size are
 * compared as the largest of them: "integer" and "serial" have 64 bits in some databases, and indexes serve
 * the comparison.
 */
function certainType(column: Column): string | undefined {
  const type = column.getSQLType();
  return INTEGERS.has(type) ? "bigint" : type === "uuid" ? type : undefined;
}

/** A cast to a type with a length would cut. */
function withoutLength(type: string): string {
  return type.replace(/ *\(\d+\)/, "");
}
