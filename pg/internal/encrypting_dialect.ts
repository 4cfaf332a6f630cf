/**
 * A Drizzle dialect that keeps the rule for encrypted columns: it has values encrypted where a statement
 * stores them, lets encrypted columns be read as themselves, and refuses all else.
 */

import { Column, is, Name, Param, SQL, StringChunk, Subquery } from "drizzle-orm";
import type { EncryptionKey } from "../encryption_key.ts";
import {
  describeColumn,
  haveSameKey,
  isEncrypted,
  isOfAnotherCopy,
  keyOf,
  readable,
} from "./encrypted_column.ts";
import { storingEncoder } from "./pending_ciphertext.ts";
import { planRelations, planRows, remember } from "./result_plan.ts";
import { columnsOf, encryptedColumnOf, type Field, flattenFields } from "./selection.ts";
import {
  assertDistinct,
  EmbeddedStatement,
  isSorting,
  MEANS_NOTHING,
  noteStatement,
  refuse,
  statementOf,
  StatementRule,
  textOf,
} from "./statement_rule.ts";
import { UndecryptedValue } from "./undecrypted_value.ts";

// What Drizzle's PgDialect has in all supported lines. Little of it is in its public types.

interface Builder {
  getSQL(): SQL;
}

interface Selected extends Builder {
  readonly config?: Pick<SelectConfig, "fields" | "fieldsFlat" | "setOperators">;
  getSelectedFields?(): Fields;
}

type Fields = Readonly<Record<string, unknown>>;
type Values = Readonly<Record<string, unknown>>;

interface SelectConfig {
  readonly fields?: Fields;
  readonly fieldsFlat?: readonly Field[];
  readonly where?: unknown;
  readonly having?: unknown;
  readonly groupBy?: unknown;
  readonly orderBy?: unknown;
  readonly table?: unknown;
  readonly joins?: readonly { readonly on?: unknown; readonly table?: unknown }[];
  readonly distinct?: boolean | { readonly on: unknown };
  readonly setOperators: readonly {
    readonly type: string;
    readonly isAll: boolean;
    readonly rightSelect: Selected;
  }[];
}

interface WriteConfig {
  readonly table: object;
  readonly where?: unknown;
  readonly joins?: readonly { readonly on?: unknown }[];
  readonly set?: Values;
  readonly returning?: readonly Field[];
}

interface InsertConfig extends WriteConfig {
  readonly values: readonly Values[] | Selected;
  readonly select?: boolean;
  readonly onConflict?: SQL;
}

interface SetOperation {
  readonly leftSelect: SQL;
  readonly setOperator: { readonly rightSelect: Builder; readonly orderBy?: readonly unknown[] };
}

interface RelationalConfig {
  readonly tableConfig: { readonly columns: Readonly<Record<string, object>> };
  readonly queryConfig: unknown;
}

interface RelationsConfig {
  readonly schema: Readonly<Record<string, { readonly relations: Record<string, Relation> }>>;
}

interface Relation {
  readonly sourceColumns?: readonly RelatedColumn[];
  readonly targetColumns?: readonly RelatedColumn[];
  readonly through?: {
    readonly source: readonly RelatedColumn[];
    readonly target: readonly RelatedColumn[];
  };
}

type RelatedColumn = { readonly _: { readonly column: unknown } };

type Mapper = (rows: unknown[]) => unknown;

/** The part of a dialect that is decorated. */
export interface Dialect {
  readonly casing?: { getColumnCasing(column: object): string };
  escapeName(name: string): string;
  sqlToQuery(statement: SQL, ...rest: unknown[]): { sql: string; params: unknown[] };
  _sqlToQuery?(statement: SQL, ...rest: unknown[]): { sql: string; params: unknown[] };
  buildSelection(fields: readonly Field[], ...rest: unknown[]): SQL;
  buildSelectQuery(config: SelectConfig): SQL;
  buildSetOperationQuery(operation: SetOperation): SQL;
  buildWithCTE(queries: readonly { _: { sql: SQL; selectedFields: Fields } }[] | undefined): SQL;
  buildInsertQuery(config: InsertConfig): SQL;
  buildUpdateQuery(config: WriteConfig): SQL;
  buildUpdateSet(table: object, set: Values): SQL;
  buildDeleteQuery(config: WriteConfig): SQL;
  buildRelationalQueryWithoutPK?(config: RelationalConfig): unknown;
  /** Of Drizzle 1.0. */
  collectRelationalQuery?(config: RelationsConfig, ...rest: unknown[]): unknown;
  readonly mapperGenerators?: {
    rows(fields: readonly Field[], ...rest: unknown[]): Mapper;
    relationalRows(config: { selection: readonly unknown[] }): Mapper;
  };
}

/** The methods without which a dialect is none that can be decorated. */
export const DIALECT_METHODS = [
  "sqlToQuery",
  "buildSelection",
  "buildSelectQuery",
  "buildSetOperationQuery",
  "buildWithCTE",
  "buildInsertQuery",
  "buildUpdateQuery",
  "buildUpdateSet",
  "buildDeleteQuery",
] as const;

const SELECT = "SELECT";

/** Statements that the application wrote itself, ciphertext and all, and sends with `execute`. */
const rawStatements = new WeakSet<SQL>();

/** Lets a statement of the application's own name encrypted columns. */
export function allowRaw(statement: SQL): void {
  if (!statementOf(statement)) rawStatements.add(statement);
}

/** Decorates a dialect. The given one stays as it is. */
export function encryptingDialect(dialect: Dialect): Dialect {
  const own: Dialect = Object.create(dialect);
  // What another dialect would build, ours builds: only then it is known what it consists of.
  const adopted = <T extends Builder>(builder: T): T => {
    const { dialect: its } = builder as { dialect?: unknown };
    return its === undefined || its === own
      ? builder
      : Object.create(builder, { dialect: { value: own } });
  };
  const rule = new StatementRule((builder) => adopted(builder).getSQL());

  // Drizzle does not tell which statement a selection belongs to; statements can stand within others.
  let verb = SELECT;
  const built = (
    kind: string,
    build: () => SQL,
    selected: () => readonly Field[] | undefined,
    clauses: Readonly<Record<string, unknown>>,
  ): SQL => {
    const outer = verb;
    verb = kind;
    let statement: SQL;
    try {
      statement = build();
    } finally {
      verb = outer;
    }
    return noteStatement(statement, {
      verb: kind,
      handsOut() {
        return selected()?.map(({ field }) => encryptedColumnOf(field)).find(Boolean);
      },
      clauses,
    });
  };

  const methods: Partial<Dialect> = {
    buildSelection(fields, ...rest) {
      return dialect.buildSelection.call(own, selectable(rule, verb, fields), ...rest);
    },

    buildSelectQuery(config) {
      const { where, having, groupBy, orderBy, joins, distinct, setOperators } = config;
      const selected = () => fieldsOf(config);
      if (distinct === true) {
        assertDistinct(selected(), [config.table, ...joins?.map(({ table }) => table) ?? []]);
      }
      for (const operator of setOperators) assertSameKeys(selected(), operator);
      return built(SELECT, () => dialect.buildSelectQuery.call(own, config), selected, {
        WHERE: where,
        HAVING: having,
        "GROUP BY": groupBy,
        "ORDER BY": orderBy,
        "DISTINCT ON": typeof distinct === "object" ? distinct.on : undefined,
        JOIN: joins?.map(({ on }) => on),
      });
    },

    buildSetOperationQuery({ leftSelect, setOperator }) {
      // Columns become names there.
      rule.assertPart("SELECT", "ORDER BY", setOperator.orderBy);
      const { rightSelect } = setOperator;
      const operation = dialect.buildSetOperationQuery.call(own, {
        leftSelect: new EmbeddedStatement(leftSelect),
        setOperator: { ...setOperator, rightSelect: embedded(adopted(rightSelect)) },
      });
      // The left side of the next one. What it hands out, the statement around all of them says.
      return noteStatement(operation, { verb: SELECT, handsOut: () => undefined, clauses: {} });
    },

    buildWithCTE(queries) {
      const embeddedQueries = queries?.map(({ _ }) => ({
        _: { ..._, sql: new EmbeddedStatement(_.sql, _.selectedFields) },
      }));
      return dialect.buildWithCTE.call(own, embeddedQueries);
    },

    buildInsertQuery(config) {
      const { table, values, select, onConflict, returning } = config;
      const encrypted = encryptedColumnsOf(table);
      assertConflictTarget(dialect, encrypted, onConflict);
      let prepared = values;
      if (select) {
        assertSourceOfInsert(table, encrypted, values as Selected);
        prepared = embedded(adopted(values as Selected));
      } else if (encrypted.length > 0) {
        prepared = (values as readonly Values[]).map((row) => insertedRow(encrypted, row));
      }
      return built(
        "INSERT",
        () => dialect.buildInsertQuery.call(own, { ...config, values: prepared }),
        () => returning,
        {
          VALUES: select ? undefined : (prepared as readonly Values[]).map(Object.values),
          "ON CONFLICT": onConflict,
        },
      );
    },

    buildUpdateSet(table, set) {
      const encrypted = encryptedColumnsOf(table);
      // In an UPDATE, `excluded` is a table like any other.
      const excludedName = (column: Column) =>
        verb === "UPDATE" ? undefined : dialect.casing?.getColumnCasing(column) ?? column.name;
      return dialect.buildUpdateSet.call(
        own,
        table,
        encrypted.length > 0 ? updated(encrypted, set, excludedName) : set,
      );
    },

    buildUpdateQuery(config) {
      const { set, where, joins, returning } = config;
      return built("UPDATE", () => dialect.buildUpdateQuery.call(own, config), () => returning, {
        SET: set && Object.values(set),
        WHERE: where,
        JOIN: joins?.map(({ on }) => on),
      });
    },

    buildDeleteQuery(config) {
      const { where, returning } = config;
      return built("DELETE", () => dialect.buildDeleteQuery.call(own, config), () => returning, {
        WHERE: where,
      });
    },
  };

  for (const name of ["sqlToQuery", "_sqlToQuery"] as const) {
    const original = dialect[name];
    if (!original) continue;
    methods[name] = (statement, ...rest) => {
      if (rawStatements.has(statement)) rule.assertRaw(statement);
      else rule.assertStatement(statement);
      return original.call(own, statement, ...rest);
    };
  }

  const { buildRelationalQueryWithoutPK, collectRelationalQuery, mapperGenerators } = dialect;
  if (buildRelationalQueryWithoutPK) {
    methods.buildRelationalQueryWithoutPK = (config) =>
      buildRelationalQueryWithoutPK.call(own, readableRelation(rule, config));
  }
  if (collectRelationalQuery) {
    methods.collectRelationalQuery = (config, ...rest) => {
      assertRelations(config);
      return collectRelationalQuery.call(own, config, ...rest);
    };
  }
  // Drizzle 1.0 makes the function that maps rows here.
  if (mapperGenerators) {
    const { rows, relationalRows } = mapperGenerators;
    Object.defineProperty(own, "mapperGenerators", {
      value: {
        rows(fields: readonly Field[], ...rest: unknown[]) {
          const plan = planRows(fields);
          return plan ? remember(rows(plan.fields, ...rest), plan) : rows(fields, ...rest);
        },
        relationalRows(config: { selection: readonly unknown[] }) {
          const plan = planRelations(config.selection);
          return plan
            ? remember(relationalRows({ ...config, selection: plan.fields }), plan)
            : relationalRows(config);
        },
      },
    });
  }
  return Object.assign(own, methods);
}

/** The selected fields, with stand-ins for the encrypted columns that may be read. */
function selectable(
  rule: StatementRule,
  verb: string,
  fields: readonly Field[],
): readonly Field[] {
  const clause = verb === SELECT ? "the selection" : "RETURNING";
  const place = { verb, clause };
  return fields.map((selected) => {
    const { field } = selected;
    const column = encryptedColumnOf(field);
    if (column === undefined) {
      if (!is(field, Column)) rule.assertPart(verb, clause, fieldExpression(field));
      return selected;
    }
    if (isOfAnotherCopy(column)) rule.assertPart(verb, clause, column);
    if (is(field, Column)) return { ...selected, field: readable(field, asStored) };
    if (is(field, SQL)) return { ...selected, field: readableExpression(place, field, column) };
    if (is(field, SQL.Aliased)) {
      const alias = new SQL.Aliased(readableExpression(place, field.sql, column), field.fieldAlias);
      return { ...selected, field: Object.assign(Object.create(field), { sql: alias.sql }) };
    }
    if (is(field, Subquery)) {
      const { sql: statement, selectedFields, alias, isWith } = field._;
      const scalar = new EmbeddedStatement(statement, selectedFields);
      return { ...selected, field: new Subquery(scalar, selectedFields, alias, isWith) };
    }
    return selected;
  });
}

function asStored(stored: unknown): unknown {
  return stored;
}

/** A scalar subquery has been looked at where it was built, and is again where the statement is sent. */
function fieldExpression(field: unknown): unknown {
  return is(field, SQL.Aliased) ? field.sql : is(field, SQL) ? field : undefined;
}

/** An expression that is mapped with an encrypted column may hold others of the same key, and no value. */
function readableExpression(
  place: { readonly verb: string; readonly clause: string },
  expression: SQL,
  mappedWith: object,
): SQL {
  const { verb, clause } = place;
  const chunks = expression.queryChunks.map((chunk) => {
    if (is(chunk, SQL) && !statementOf(chunk)) {
      return readableExpression(place, chunk, mappedWith);
    }
    if (isEncrypted(chunk) && is(chunk, Column)) {
      if (isSorting(expression, chunk)) {
        refuse(verb, `${clause} sorts ${describeColumn(chunk)}, ${MEANS_NOTHING}`);
      }
      if (haveSameKey(chunk, mappedWith)) return readable(chunk, asStored);
      return refuse(
        verb,
        `${clause} maps ${describeColumn(chunk)} with ${describeColumn(mappedWith)}, ` +
          "which has another key; map it with a column of its own key",
      );
    }
    if (chunk === undefined || is(chunk, StringChunk) || is(chunk, Name) || is(chunk, Column)) {
      return chunk;
    }
    return refuse(
      verb,
      `${clause} maps an expression with ${
        describeColumn(mappedWith)
      } that holds more than columns; ` +
        "a value or a subquery in it would be taken for ciphertext, select the column itself",
    );
  });
  const copy = new SQL(chunks);
  return Object.assign(copy, { decoder: { mapFromDriverValue: asStored } });
}

/** Reads the fields of a select in whichever form its builder has them. */
function fieldsOf(
  { fields, fieldsFlat }: { fields?: Fields; fieldsFlat?: readonly Field[] },
): readonly Field[] {
  return fieldsFlat ?? flattenFields(fields ?? {});
}

function embedded<T extends Selected>(select: T): T {
  if (is(select, SQL)) return new EmbeddedStatement(select) as unknown as T;
  const fields = select.config?.fields ?? {};
  return Object.create(select, {
    getSQL: { value: () => new EmbeddedStatement(select.getSQL(), fields) },
  });
}

/** Both sides of a set operation are read with the columns of the first. */
function assertSameKeys(
  left: readonly Field[],
  { type, isAll, rightSelect }: SelectConfig["setOperators"][number],
): void {
  const right = fieldsOf(rightSelect.config ?? { fields: rightSelect.getSelectedFields?.() ?? {} });
  const operation = `${type.toUpperCase()}${isAll ? " ALL" : ""}`;
  const width = Math.max(left.length, right.length);
  for (let index = 0; index < width; index++) {
    const one = encryptedColumnOf(left[index]?.field);
    const other = encryptedColumnOf(right[index]?.field);
    const column = one ?? other;
    if (!column) continue;
    if (operation !== "UNION ALL") {
      refuse("SELECT", `${operation} compares ${describeColumn(column)}, ${MEANS_NOTHING}`);
    }
    // The result is read like the first. Of a column it is taken for encrypted, and may be stored as it is.
    if (is(left[index]?.field, Column) && !is(right[index]?.field, Column)) {
      refuse(
        "SELECT",
        `${operation} puts ${
          describeColumn(column)
        } beside an expression, select the column itself`,
      );
    }
    if (!haveSameKey(one, other)) {
      refuse(
        "SELECT",
        `${operation} puts ${
          describeColumn(column)
        } beside a column that is not encrypted under its key`,
      );
    }
  }
}

interface EncryptedProperty {
  readonly property: string;
  readonly column: Column;
  readonly key: EncryptionKey;
}

const encryptedColumns = new WeakMap<object, readonly EncryptedProperty[]>();

function encryptedColumnsOf(table: object): readonly EncryptedProperty[] {
  const columns = columnsOf(table);
  let found = encryptedColumns.get(columns);
  if (!found) {
    found = Object.entries(columns).flatMap(([property, column]) => {
      if (!isEncrypted(column)) return [];
      if (isOfAnotherCopy(column)) {
        refuse(
          "statement",
          `it writes ${describeColumn(column)}, which another copy of this package made; ` +
            "the application and its schema have to load the same one",
        );
      }
      return [{ property, column: column as Column, key: keyOf(column)! }];
    });
    encryptedColumns.set(columns, found);
  }
  return found;
}

function insertedRow(encrypted: readonly EncryptedProperty[], row: Values): Values {
  const prepared: Record<string, unknown> = { ...row };
  for (const one of encrypted) {
    const { property, column } = one;
    const value = row[property];
    if (value === undefined || (is(value, Param) && value.value === undefined)) {
      const make = column.defaultFn ?? (column.default ? undefined : column.onUpdateFn);
      if (make) prepared[property] = stored("INSERT", "VALUES", one, make());
    } else prepared[property] = stored("INSERT", "VALUES", one, value);
  }
  return prepared;
}

function updated(
  encrypted: readonly EncryptedProperty[],
  set: Values,
  excludedName: (column: Column) => string | undefined,
): Values {
  const prepared: Record<string, unknown> = { ...set };
  for (const one of encrypted) {
    const { property, column } = one;
    const value = set[property] === undefined ? column.onUpdateFn?.() : set[property];
    if (value !== undefined) {
      prepared[property] = is(value, SQL) && isExcluded(value, excludedName(column))
        ? value
        : stored("UPDATE", "SET", one, value);
    }
  }
  return prepared;
}

/** What is sent for a value that is stored in an encrypted column. */
function stored(
  verb: string,
  clause: string,
  { column, key }: EncryptedProperty,
  value: unknown,
): unknown {
  const encoder = storingEncoder(key);
  // Drizzle 0.x hands values over as parameters, 1.0 as they are, and takes parameters within SQL alone.
  if (is(value, Param)) return new Param(value.value, encoder);
  if (typeof value !== "object" || value === null || !(is(value, Column) || is(value, SQL))) {
    return new SQL([new Param(value, encoder)]);
  }
  const source = is(value, SQL) ? onlyColumn(value) : value;
  if (source && haveSameKey(source, column)) return readable(source, asStored);
  return refuse(
    verb,
    `${clause} gives ${
      describeColumn(column)
    } something that is neither a string, null, a placeholder nor ` +
      "a column encrypted under the same key",
  );
}

/** The column that an expression consists of. */
function onlyColumn({ queryChunks }: SQL): Column | undefined {
  const [only, ...others] = queryChunks.filter((chunk) =>
    chunk !== undefined && !(is(chunk, StringChunk) && textOf(chunk) === "")
  );
  return others.length === 0 && is(only, Column) ? only : undefined;
}

/** Drizzle's idiom for the value that was proposed for insertion: `` sql`excluded.secret` ``. */
function isExcluded({ queryChunks }: SQL, name: string | undefined): boolean {
  let text = "";
  if (name === undefined) return false;
  for (const chunk of queryChunks) {
    if (is(chunk, StringChunk)) text += textOf(chunk);
    else if (is(chunk, Name)) text += `"${chunk.value}"`;
    else if (chunk !== undefined) return false;
  }
  return text === `excluded.${name}` || text === `excluded."${name}"`;
}

/** Only the escaped names of the target reach the dialect, as one text. */
function assertConflictTarget(
  dialect: Dialect,
  encrypted: readonly EncryptedProperty[],
  onConflict: SQL | undefined,
): void {
  const target = onConflict?.queryChunks.find((chunk) => is(chunk, SQL));
  if (!is(target, SQL)) return;
  const names = `,${
    target.queryChunks.map((chunk) => is(chunk, StringChunk) ? textOf(chunk) : "").join("")
  },`;
  for (const { column } of encrypted) {
    const name = dialect.escapeName(dialect.casing?.getColumnCasing(column) ?? column.name);
    if (names.includes(`,${name},`)) {
      refuse(
        "INSERT",
        `ON CONFLICT has ${
          describeColumn(column)
        } as its target, whose equal values are stored differently`,
      );
    }
  }
}

/** INSERT … SELECT stores what is selected as it is. */
function assertSourceOfInsert(
  table: object,
  encrypted: readonly EncryptedProperty[],
  source: Selected,
): void {
  if (is(source, SQL)) {
    if (encrypted.length === 0) return;
    refuse(
      "INSERT",
      `it stores the result of a raw statement in ${describeColumn(encrypted[0]!.column)}; ` +
        "select with Drizzle's builder, or write all of it with db.execute",
    );
  }
  const columns = columnsOf(table);
  const selected = source.config?.fields ?? {};
  for (const [property, field] of Object.entries(selected)) {
    const from = encryptedColumnOf(field);
    const to = columns[property];
    // An expression may be mapped with an encrypted column, and be of others.
    if ((from || isEncrypted(to)) && !(is(field, Column) && haveSameKey(from, to))) {
      refuse(
        "INSERT",
        `SELECT gives ${
          describeColumn(isEncrypted(to) ? to : from!)
        } and what is not a column encrypted ` +
          "under its key one value",
      );
    }
  }
  for (const { rightSelect } of source.config?.setOperators ?? []) {
    assertSourceOfInsert(table, encrypted, rightSelect);
  }
}

/** Relational queries of Drizzle 0.x build their conditions and their selection in one go. */
function readableRelation(rule: StatementRule, config: RelationalConfig): RelationalConfig {
  const { tableConfig, queryConfig } = config;
  const columns = Object.fromEntries(
    Object.entries(tableConfig.columns).map(([property, column]) => [
      property,
      isEncrypted(column) ? readable(column, UndecryptedValue.decoderOf(column)) : column,
    ]),
  );
  if (queryConfig === true) return { ...config, tableConfig: { ...tableConfig, columns } };
  const checked: Record<string, unknown> = { ...queryConfig as object };
  for (const [name, clause] of RELATIONAL_CLAUSES) {
    const part = checked[name];
    if (typeof part === "function") {
      checked[name] = (...args: unknown[]) => {
        const result = part(...args);
        rule.assertPart("SELECT", clause, partsOf(result), { strict: true });
        return result;
      };
    } else rule.assertPart("SELECT", clause, partsOf(part), { strict: true });
  }
  return { ...config, tableConfig: { ...tableConfig, columns }, queryConfig: checked };
}

const assertedRelations = new WeakSet<object>();

/** Drizzle 1.0 compares the columns of a relation by their names. Filters reach those of other tables. */
function assertRelations({ schema }: RelationsConfig): void {
  if (assertedRelations.has(schema)) return;
  for (
    const [name, relation] of Object.values(schema).flatMap((of) => Object.entries(of.relations))
  ) {
    const { sourceColumns = [], targetColumns = [], through } = relation;
    const { source = [], target = [] } = through ?? {};
    const columns = [...sourceColumns, ...targetColumns, ...source, ...target];
    const column = columns.map(({ _ }) => _.column).find(isEncrypted);
    if (column === undefined) continue;
    refuse("SELECT", `the relation ${name} compares ${describeColumn(column)}, ${MEANS_NOTHING}`);
  }
  assertedRelations.add(schema);
}

const RELATIONAL_CLAUSES = [["where", "WHERE"], ["orderBy", "ORDER BY"], [
  "extras",
  "extras",
]] as const;

/** Extras come by their names. */
function partsOf(result: unknown): unknown {
  if (typeof result !== "object" || result === null || Array.isArray(result)) return result;
  return is(result, Column) || "getSQL" in result ? result : Object.values(result);
}
