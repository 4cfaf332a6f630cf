/**
 * Names. Drizzle identifies a column by its object, SQL by its name. So everything with the same
 * name in a statement has to agree on which columns are encrypted and under which key, and so do
 * combined statements.
 */

import type { Column, Subquery } from "drizzle-orm";
import { getTableConfig, type PgTable } from "drizzle-orm/pg-core";
import { describeColumn, haveSameKey, isEncrypted } from "./encrypted_column.ts";
import { refuse, type Writing, writing } from "./encrypted_column.ts";
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

/** The encrypted column that decodes a field's values, or `undefined`. */
export function encryptedColumnOf(field: unknown): Column | undefined {
  const kind = kindOf(field);
  if (kind === "column") return isEncrypted(field) ? field as Column : undefined;
  if (kind !== "subquery") return undefined;
  // A scalar subquery is decoded like the one field that it selects.
  const [only, ...others] = flattenFields((field as Subquery)._.selectedFields);
  return others.length === 0 ? encryptedColumnOf(only?.field) : undefined;
}

type AnyFields = readonly Pick<Field, "field">[];

/** An encrypted column among fields. */
export const encryptedColumnIn = (fields: AnyFields): Column | undefined =>
  encryptedColumnOf(fields.find(({ field }) => encryptedColumnOf(field))?.field);

/**
 * The first encrypted column whose counterpart at the same position is not encrypted under the same
 * key.
 *
 * @param nameIn The name of a column, which then has to be the same, too.
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

/** The name of a table before a column in SQL, and a second name by which a CTE may hide it. */
function namesOf(table: object): unknown[] {
  const { [NAME]: name, [ORIGINAL]: original, [SCHEMA]: schema, [IS_ALIAS]: isAlias } =
    table as Symbols;
  if (schema !== undefined) return [isAlias ? name : `${schema}.${name}`];
  return [name, original];
}

/** The names and the fields of a source. */
function describe(source: object): { names: unknown[]; fields: Fields } {
  const kind = kindOf(source);
  if (kind === "table") return { names: namesOf(source), fields: columnsOf(source) };
  const of = kind === "view"
    ? (source as Symbols)[VIEW]
    : kind === "subquery" && (source as Subquery)._;
  const { name, originalName, alias, selectedFields = {} } = (of || {}) as Fields;
  return { names: [name, originalName, alias].filter(Boolean), fields: selectedFields as Fields };
}

/** The fields of a source. */
export const fieldsIn = (source: object): Field[] => flattenFields(describe(source).fields);

const hasEncrypted = (source: object): boolean =>
  kindOf(source) === "table"
    ? encryptedColumnsOf(source).length > 0
    : encryptedColumnIn(fieldsIn(source)) !== undefined;

function haveDistinctNames(sources: readonly object[]): boolean {
  const all = sources.flatMap((source) => [...new Set(describe(source).names)]);
  return new Set(all).size === all.length;
}

/** A column named in a statement, with the possible names of its source. */
interface Mention {
  readonly names: readonly unknown[];
  readonly name: string;
  readonly column: Column | undefined;
  /** Whether it has to belong to a source. */
  readonly own?: boolean;
}

/** A statement being built or written: its sources, and what else it names. */
export class Scope implements Writing {
  readonly isRelational = writing()?.isRelational ?? false;
  mentions: Mention[] | undefined;
  written: Scope[] | undefined;
  selected: readonly Field[] = [];

  /** @param nameIn The name of a column in SQL. */
  constructor(
    readonly nameIn: (column: object) => string,
    readonly verb: string,
    readonly sources: readonly object[] = [],
    readonly isFree = false,
  ) {}

  /**
   * Records a column.
   *
   * @param bare Whether it is written without its table.
   * @param own Whether it has to belong to one of the statement's sources.
   */
  mention(column: Column, bare: boolean, own = false): void {
    if (this.sources.includes(column.table)) return;
    const names = bare && this.sources.length === 1
      ? describe(this.sources[0]!).names
      : namesOf(column.table).slice(0, 1);
    (this.mentions ??= []).push({
      names,
      name: this.nameIn(column),
      column: encryptedColumnOf(column),
      own,
    });
  }

  /** Records the alias of an expression, written with or without its source. */
  mentionAlias({ fieldAlias: name, origin }: { fieldAlias: string; origin?: string }): void {
    const names = origin ? [origin] : this.sources.flatMap((source) => describe(source).names);
    (this.mentions ??= []).push({ names, name, column: undefined });
  }

  /** Refuses the statement if a name means an encrypted column in one place and not in another. */
  assertAgreement(): void {
    if (!this.written && !this.mentions && this.sources.length < 2) return;
    const scopes: Scope[] = [this, ...this.written ?? []];
    const mentions = scopes.flatMap((scope) => scope.mentions ?? []);
    const sources = scopes.flatMap((scope) => scope.sources);
    if (mentions.length === 0 && haveDistinctNames(sources)) return;
    const isConcerned = sources.some(hasEncrypted);
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
              "the statement's sources distinct names, and select only from them",
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
   * Refuses DISTINCT if equal values would count as different. If the primary key is selected, too,
   * every row is distinct anyway.
   */
  assertDistinct(selected: AnyFields): void {
    for (const { field } of selected) {
      const column = encryptedColumnOf(field);
      if (!column) continue;
      const [name] = namesOf(column.table);
      const isOwn = (part: object) =>
        kindOf(part) === "column" && namesOf((part as Column).table)[0] === name;
      const columns = selected.flatMap(({ field }) => isOwn(field) ? this.nameIn(field) : []);
      // A view or a subquery may contain rows of several tables, and each several times.
      const of = this.sources.find((source) => describe(source).names[0] === name);
      const key = column === field && kindOf(of) === "table" ? primaryKeyOf(of as PgTable) : [];
      if (key.length > 0 && key.every((part) => columns.includes(this.nameIn(part)))) continue;
      refuse(
        `compares ${describeColumn(column)} by DISTINCT, whose equal values are stored ` +
          "differently; select the primary key of its table, too (views and subqueries have none)",
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
