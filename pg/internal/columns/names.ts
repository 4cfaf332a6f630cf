/**
 * Names. To Drizzle a column counts by its object, to SQL by its name. So whatever shares a name within a statement
 * has to agree which columns are encrypted, and under which key; and so do statements that are put together.
 */

import type { Column, Subquery } from "drizzle-orm";
import { getTableConfig, type PgTable } from "drizzle-orm/pg-core";
import {
  describeColumn,
  haveSameKey,
  isEncrypted,
  refuse,
  type Writing,
  writing,
} from "./encrypted_column.ts";
import { columnsOf, type Field, type Fields, flattenFields, kindOf } from "./parts.ts";

const encryptedColumns = new WeakMap<object, readonly (readonly [string, Column])[]>();

/** The encrypted columns of a table, with their properties. */
export function encryptedColumnsOf(table: object): readonly (readonly [string, Column])[] {
  let found = encryptedColumns.get(table);
  if (!found) {
    found = Object.entries(columnsOf(table)).filter(([, column]) => isEncrypted(column));
    encryptedColumns.set(table, found);
  }
  return found;
}

/** The encrypted column that a field's values are read with, or `undefined`. */
export function encryptedColumnOf(field: unknown): Column | undefined {
  const kind = kindOf(field);
  if (kind === "column") return isEncrypted(field) ? field as Column : undefined;
  if (kind !== "subquery") return undefined;
  // A scalar subquery is read like the one field that it selects.
  const [only, ...others] = flattenFields((field as Subquery)._.selectedFields);
  return others.length === 0 ? encryptedColumnOf(only?.field) : undefined;
}

type AnyFields = readonly Pick<Field, "field">[];

/** An encrypted column among fields. */
export const encryptedColumnIn = (fields: AnyFields): Column | undefined =>
  encryptedColumnOf(fields.find(({ field }) => encryptedColumnOf(field))?.field);

/**
 * Where fields differ by their places: what is encrypted under one key stands beside something else.
 *
 * @param nameIn Tells names, which have to be the same, too.
 */
export function differing(one: AnyFields, other: AnyFields, nameIn?: Scope["nameIn"]) {
  const length = Math.max(one.length, other.length);
  for (let place = 0; place < length; place++) {
    const [a, b] = [encryptedColumnOf(one[place]?.field), encryptedColumnOf(other[place]?.field)];
    if (a === b || (haveSameKey(a, b) && (!nameIn || nameIn(a!) === nameIn(b!)))) continue;
    return a ?? b;
  }
  return undefined;
}

type Symbols = { readonly [symbol: symbol]: unknown };

const symbol = (name: string) => Symbol.for(`drizzle:${name}`);
const [NAME, ORIGINAL, SCHEMA] = [symbol("Name"), symbol("OriginalName"), symbol("Schema")];
const [IS_ALIAS, VIEW] = [symbol("IsAlias"), symbol("ViewBaseConfig")];

/** How SQL calls a table where it writes a column of it, and a second name by which a CTE may hide it. */
function namesOf(table: object): unknown[] {
  const { [NAME]: name, [ORIGINAL]: original, [SCHEMA]: schema, [IS_ALIAS]: isAlias } =
    table as Symbols;
  if (schema !== undefined) return [isAlias ? name : `${schema}.${name}`];
  return [name, original];
}

/** The names and the fields of what is selected from. */
function describe(source: object): { names: unknown[]; fields: Fields } {
  const kind = kindOf(source);
  if (kind === "table") return { names: namesOf(source), fields: columnsOf(source) };
  const of = kind === "view"
    ? (source as Symbols)[VIEW]
    : kind === "subquery" && (source as Subquery)._;
  const { name, originalName, alias, selectedFields = {} } = (of || {}) as Fields;
  return { names: [name, originalName, alias].filter(Boolean), fields: selectedFields as Fields };
}

/** What a source consists of. */
export const fieldsIn = (source: object): Field[] => flattenFields(describe(source).fields);

const hasEncrypted = (source: object): boolean =>
  kindOf(source) === "table"
    ? encryptedColumnsOf(source).length > 0
    : encryptedColumnIn(fieldsIn(source)) !== undefined;

/** A column that is named, and by which names of what it is in. */
interface Mention {
  readonly names: readonly unknown[];
  readonly name: string;
  readonly column: Column | undefined;
  /** Whether it has to be one of a source. */
  readonly own?: boolean;
}

/** A statement that is being built or written: what it selects from, and what else it names. */
export class Scope implements Writing {
  readonly isRelational = writing()?.isRelational ?? false;
  readonly #mentions: Mention[] = [];
  readonly written: Scope[] = [];
  selected: readonly Field[] = [];

  /** @param nameIn Tells the name that a column has in SQL. */
  constructor(
    readonly nameIn: (column: object) => string,
    readonly verb: string,
    readonly sources: readonly object[] = [],
    readonly isFree = false,
  ) {}

  /**
   * Notes a column.
   *
   * @param bare Whether it is written without its table.
   * @param own Whether it has to be one of the statement's own.
   */
  mention(column: Column, bare: boolean, own = false): void {
    if (this.sources.includes(column.table)) return;
    const names = bare && this.sources.length === 1
      ? describe(this.sources[0]!).names
      : namesOf(column.table).slice(0, 1);
    this.#mentions.push({
      names,
      name: this.nameIn(column),
      column: encryptedColumnOf(column),
      own,
    });
  }

  /** Notes the alias of an expression, which is written with or without its source. */
  mentionAlias({ fieldAlias: name, origin }: { fieldAlias: string; origin?: string }): void {
    const names = origin ? [origin] : this.sources.flatMap((source) => describe(source).names);
    this.#mentions.push({ names, name, column: undefined });
  }

  /** Refuses what was written if a name means an encrypted column here and not there. */
  assertAgreement(): void {
    const scopes = this.written.length > 0 ? [this, ...this.written] : [this];
    const mentions = scopes.flatMap((scope) => scope.#mentions);
    if (scopes.length + mentions.length + this.sources.length < 3) return;
    const isConcerned = scopes.some(({ sources }) => sources.some(hasEncrypted));
    if (!isConcerned && !mentions.some(({ own, column }) => own && column)) return;
    const meanings = new Map<string, Column | undefined>();
    const note = ({ names, name, column, own }: Mention) => {
      const places = names.map((of) => JSON.stringify([of, name]));
      const isKnown = places.some((place) => meanings.has(place));
      for (const place of places) {
        const other = meanings.get(place);
        const isSame = column === other || !meanings.has(place) || haveSameKey(column, other);
        if (!isSame || (own && column && !isKnown)) {
          refuse(
            `uses a name for ${describeColumn((column ?? other)!)} and for something else, give ` +
              "the sources of a statement names of their own, and select from them alone",
          );
        }
        meanings.set(place, column);
      }
    };
    for (const { sources, nameIn } of scopes) {
      for (const source of sources) {
        const { names, fields } = describe(source);
        for (const { field } of flattenFields(fields)) {
          note({ names, name: nameOfField(field, nameIn), column: encryptedColumnOf(field) });
        }
      }
    }
    mentions.forEach(note);
  }

  /**
   * Refuses DISTINCT where equal values would count as different ones. With the primary key among what is
   * selected they stand in the same row anyway.
   */
  assertDistinct(selected: AnyFields): void {
    for (const { field } of selected) {
      const column = encryptedColumnOf(field);
      if (!column) continue;
      const [name] = namesOf(column.table);
      const isOwn = (part: object) =>
        kindOf(part) === "column" && namesOf((part as Column).table)[0] === name;
      const columns = selected.flatMap(({ field }) => isOwn(field) ? this.nameIn(field) : []);
      // What is selected from a view or a subquery may be of several tables, and there several times.
      const of = this.sources.find((source) => describe(source).names[0] === name);
      const key = column === field && kindOf(of) === "table" ? primaryKeyOf(of as PgTable) : [];
      if (key.length > 0 && key.every((part) => columns.includes(this.nameIn(part)))) continue;
      refuse(
        `compares ${describeColumn(column)} by DISTINCT, whose equal values are stored ` +
          "differently; select the primary key of its table, too (of a view or a subquery none is known)",
      );
    }
  }
}

/** The name that a field of a source has in SQL. */
function nameOfField(field: object, nameIn: Scope["nameIn"]): string {
  if (kindOf(field) === "column") return nameIn(field);
  const { fieldAlias, _ } = field as { fieldAlias?: string; _?: Subquery["_"] };
  return fieldAlias ?? _?.alias ?? "";
}

function primaryKeyOf(table: PgTable): readonly Column[] {
  const { columns, primaryKeys } = getTableConfig(table);
  return primaryKeys[0]?.columns ?? columns.filter(({ primary }) => primary);
}
