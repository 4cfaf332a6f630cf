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
  MEANS_NOTHING,
  refuse,
  refuseUse,
  type Writing,
  writing,
} from "./encrypted_column.ts";
import {
  columnsOf,
  type Field,
  type Fields,
  fieldsOf,
  flattenFields,
  kindOf,
  type SetOperator,
} from "./parts.ts";

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

/** An encrypted column among fields. */
export const encryptedColumnIn = (fields: readonly Field[]): Column | undefined =>
  encryptedColumnOf(fields.find(({ field }) => encryptedColumnOf(field))?.field);

/** Encrypted columns, and `undefined` for others, by names or places. */
type Columns = ReadonlyMap<unknown, Column | undefined>;

/** Where two lists of columns differ, among those that both have, or among all. */
export function differing(one: Columns, other: Columns, all: boolean): Column | undefined {
  for (const key of [...one.keys(), ...all ? other.keys() : []]) {
    const [column, same] = [one.get(key), other.get(key)];
    const isCompared = all || other.has(key);
    if (isCompared && column !== same && !haveSameKey(column, same)) return column ?? same;
  }
  return undefined;
}

/** The same of fields by their places. */
export function differingByPlace(...sides: readonly (readonly Pick<Field, "field">[])[]) {
  const [one, other] = sides.map((fields) =>
    new Map(fields.map(({ field }, place) => [place, encryptedColumnOf(field)]))
  );
  return differing(one!, other!, true);
}

/** Refuses what would compare ciphertexts: both sides of a set operation are read with the columns of the first. */
export function assertSameKeys(
  left: readonly Field[],
  { type, isAll, rightSelect }: SetOperator,
): void {
  const right = fieldsOf(rightSelect.config ?? { fields: rightSelect.getSelectedFields?.() });
  const operation = `${type.toUpperCase()}${isAll ? " ALL" : ""}`;
  if (operation === "UNION ALL") {
    const found = differingByPlace(left, right);
    if (found) refuse(`puts ${describeColumn(found)} beside what is not encrypted under its key`);
  } else {
    const found = encryptedColumnIn([...left, ...right]);
    if (found) refuse(`compares ${describeColumn(found)} by ${operation}, ${MEANS_NOTHING}`);
  }
}

type Symbols = { readonly [symbol: symbol]: unknown };

const [NAME, ORIGINAL, SCHEMA, IS_ALIAS, VIEW] = "Name OriginalName Schema IsAlias ViewBaseConfig"
  .split(" ").map((name) => Symbol.for(`drizzle:${name}`)) as [
    symbol,
    symbol,
    symbol,
    symbol,
    symbol,
  ];

/** How SQL calls a table where it writes a column of it, and a second name by which a CTE may hide it. */
function namesOf(table: object): unknown[] {
  const { [NAME]: name, [ORIGINAL]: original, [SCHEMA]: schema, [IS_ALIAS]: isAlias } =
    table as Symbols;
  if (schema !== undefined) return [isAlias ? name : `${schema}.${name}`];
  return name === original ? [name] : [name, original];
}

/** The names and the fields of what is selected from. */
function describe(source: object): { names: unknown[]; fields: Fields } {
  const kind = kindOf(source);
  if (kind === "table") return { names: namesOf(source), fields: columnsOf(source) };
  const view = (kind === "view" ? (source as Symbols)[VIEW] : {}) as Record<string, unknown>;
  const subquery = kind === "subquery" ? (source as Subquery)._ : undefined;
  return {
    names: [view["name"], view["originalName"], subquery?.alias],
    fields: (view["selectedFields"] ?? subquery?.selectedFields ?? {}) as Fields,
  };
}

/** What a source consists of. */
export const fieldsIn = (source: object): Field[] => flattenFields(describe(source).fields);

const hasEncrypted = (source: object): boolean =>
  kindOf(source) === "table"
    ? encryptedColumnsOf(source).length > 0
    : encryptedColumnIn(fieldsIn(source)) !== undefined;

/** Columns by the names that SQL knows them by, and the names of what they are in. */
interface Named {
  readonly names: readonly unknown[];
  readonly columns: Columns;
  /** An encrypted column that has to be one of a source. */
  readonly sought?: Column | undefined;
}

/** What the statements of one dialect have in common. */
export class Naming {
  readonly #known = new WeakMap<object, Named>();

  /** @param nameIn Tells the name that a column has in SQL. */
  constructor(readonly nameIn: (column: object) => string, readonly dialect: object) {}

  /** Has one of Drizzle's builders build its statement with this dialect: only then it is known what that is. */
  adopt<T extends object>(builder: T): T {
    const { dialect = this.dialect } = builder as { dialect?: object };
    return dialect === this.dialect
      ? builder
      : Object.create(builder, { dialect: { value: this.dialect } });
  }

  /** Fields by the names that they have in SQL. */
  columns(fields: readonly Field[]): Columns {
    return new Map(fields.map(({ field }) => {
      const { fieldAlias, _ } = field as { fieldAlias?: string; _?: Subquery["_"] };
      const name = kindOf(field) === "column" ? this.nameIn(field) : fieldAlias ?? _?.alias;
      return [name, encryptedColumnOf(field)];
    }));
  }

  named(source: object): Named {
    let named = this.#known.get(source);
    if (!named) {
      const { names, fields } = describe(source);
      named = { names, columns: this.columns(flattenFields(fields)) };
      this.#known.set(source, named);
    }
    return named;
  }
}

/** A statement that is being built or written: what it selects from, and what else it names. */
export class Scope implements Writing {
  readonly isRelational = writing()?.isRelational;
  #mentions: Named[] | undefined;

  /** The built statements that it consists of. */
  written: Scope[] | undefined;

  constructor(
    readonly naming: Naming,
    readonly verb: string,
    readonly sources: readonly object[] = [],
  ) {}

  get refuse(): Writing["refuse"] {
    return refuseUse;
  }

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
      : [namesOf(column.table)[0]];
    const encrypted = isEncrypted(column) ? column : undefined;
    const columns = new Map([[this.naming.nameIn(column), encrypted]]);
    (this.#mentions ??= []).push({ names, columns, sought: own ? encrypted : undefined });
  }

  /** Notes the alias of an expression, which is written with or without its source. */
  mentionAlias({ fieldAlias, origin }: { fieldAlias: string; origin?: string }): void {
    const names = origin ? [origin] : this.sources.flatMap((source) => describe(source).names);
    (this.#mentions ??= []).push({ names, columns: new Map([[fieldAlias, undefined]]) });
  }

  /** Refuses what was written if a name means an encrypted column here and not there. */
  assertAgreement(): void {
    if (!this.written && !this.#mentions && this.sources.length < 2) return;
    const scopes: Scope[] = [this, ...this.written ?? []];
    const mentions = scopes.flatMap((scope) => scope.#mentions ?? []);
    const isConcerned = scopes.some(({ sources }) => sources.some(hasEncrypted));
    if (!isConcerned && !mentions.some(({ sought }) => sought)) return;
    const named = scopes.flatMap(({ naming, sources }) => sources.map((of) => naming.named(of)));
    for (const { names, columns, sought } of [...named, ...mentions]) {
      const sharing = (of: Named) =>
        of.names.some((name) => name !== undefined && names.includes(name));
      const found = [...named, ...mentions].filter(sharing)
        .map((of) => differing(columns, of.columns, false)).find(Boolean);
      const isThere = named.filter(sharing).some((of) => of.columns.has([...columns.keys()][0]));
      if (!found && (!sought || isThere)) continue;
      refuse(
        `uses a name for ${describeColumn((found ?? sought)!)} and for something else, give the ` +
          "sources of a statement names of their own, and select from them alone",
      );
    }
  }

  /**
   * Refuses DISTINCT where equal values would count as different ones. With the primary key among what is
   * selected they stand in the same row anyway.
   */
  assertDistinct(selected: readonly Field[]): void {
    for (const { field } of selected) {
      const column = encryptedColumnOf(field);
      if (!column) continue;
      const [name] = namesOf(column.table);
      const of = this.sources.find((source) => describe(source).names[0] === name);
      const columns = this.naming.columns(
        selected.filter(({ field }) =>
          kindOf(field) === "column" && namesOf((field as Column).table)[0] === name
        ),
      );
      const isSelected = (part: Column) => columns.has(this.naming.nameIn(part));
      // What is selected from a view or a subquery may be of several tables, and there several times.
      const key = column === field && kindOf(of) === "table" ? primaryKeyOf(of as PgTable) : [];
      if (key.length > 0 && key.every(isSelected)) continue;
      refuse(
        `compares ${
          describeColumn(column)
        } by DISTINCT, whose equal values are stored differently; ` +
          "select the primary key of its table, too (of a view or a subquery none is known)",
      );
    }
  }
}

function primaryKeyOf(table: PgTable): readonly Column[] {
  const { columns, primaryKeys } = getTableConfig(table);
  return primaryKeys[0]?.columns ?? columns.filter(({ primary }) => primary);
}
