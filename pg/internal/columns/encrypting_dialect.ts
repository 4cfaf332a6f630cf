/**
 * A Drizzle dialect that keeps the rule for encrypted columns: it has values encrypted where a statement stores
 * them, and puts stand-ins where encrypted columns may be written as themselves. Everywhere else their names
 * cannot be read, so a statement that uses them there cannot be written.
 */

import { Column, getViewSelectedFields, is, SQL, Subquery, Table, View } from "drizzle-orm";
import {
  describeColumn,
  haveSameKey,
  type How,
  isEncrypted,
  readable,
  Refusal,
  refuse,
  withheld,
  write,
  writing,
} from "./encrypted_column.ts";
import { Gate } from "./gate.ts";
import { permit } from "./permits.ts";
import { type MapperGenerators, planningMappers } from "./result_plan.ts";
import {
  assertDistinct,
  assertSameKeys,
  COLUMNS,
  columnsOf,
  encryptedColumnsIn,
  encryptedColumnsOf,
  type Field,
  type Fields,
  fieldsOf,
  flattenFields,
  type Selected,
  type Selection,
} from "./selection.ts";
import {
  assertConflictTarget,
  assertSourceOfInsert,
  storedRows,
  storedSet,
  storing,
} from "./storing.ts";
import { UndecryptedValue } from "./undecrypted_value.ts";

// What Drizzle's PgDialect has in all supported lines. Little of it is in its public types.

interface Builder {
  getSQL(): SQL;
}

interface Config extends Selection {
  readonly table?: unknown;
  readonly from?: unknown;
  readonly joins?: readonly { readonly table?: unknown }[];
  readonly distinct?: unknown;
  /** Of Drizzle 1.0. */
  readonly setFieldsFlat?: readonly Field[];
  readonly returning?: readonly Field[];
}

interface InsertConfig extends Config {
  readonly table: object;
  readonly values: readonly Fields[] | (Selected & Builder);
  readonly select?: boolean;
  readonly onConflict?: SQL;
}

interface SetOperation {
  readonly leftSelect: SQL;
  readonly setOperator: { readonly rightSelect: Builder };
}

interface RelationalConfig {
  readonly tableConfig: { readonly columns?: Fields; readonly table?: object };
  readonly queryConfig: true | Fields;
  /** Where it stands within another. */
  readonly nestedQueryRelation?: unknown;
}

interface Relational {
  readonly sql: SQL;
  readonly selection: readonly RelationalField[];
}

interface RelationalField {
  readonly field: object;
  readonly selection?: readonly RelationalField[];
}

type Query = { sql: string; params: unknown[] };

/** The part of a dialect that is decorated. */
export interface Dialect {
  casing?: { getColumnCasing(column: object): string; cacheTable(table: object): void };
  mapperGenerators?: MapperGenerators;
  escapeName(name: string): string;
  sqlToQuery(statement: SQL, ...rest: unknown[]): Query;
  _sqlToQuery?(statement: SQL, ...rest: unknown[]): Query;
  buildSelection(fields: readonly Field[], ...rest: unknown[]): SQL;
  buildSelectQuery(config: Config): SQL;
  buildSetOperationQuery(operation: SetOperation): SQL;
  buildWithCTE(queries: readonly { _: { sql: SQL; selectedFields: Fields } }[] | undefined): SQL;
  buildInsertQuery(config: InsertConfig): SQL;
  buildUpdateQuery(config: Config): SQL;
  buildUpdateSet(table: object, set: Fields): SQL;
  buildDeleteQuery(config: Config): SQL;
  /** Of Drizzle 0.x. */
  buildRelationalQueryWithoutPK?(config: RelationalConfig): Relational;
  /** Of Drizzle 1.0. */
  buildRelationalQuery?(config: RelationalConfig): Relational;
  collectRelationalQuery?(config: RelationalConfig, ...rest: unknown[]): unknown;
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

/** Statements that the application wrote itself, ciphertext and all, and sends with `execute`. */
const rawStatements = new WeakSet<SQL>();

/** Lets a statement of the application's own name encrypted columns. */
export function allowRaw(statement: SQL): void {
  if (!Gate.of(statement)) rawStatements.add(statement);
}

/** What a CTE of a decorated database consists of: its dialect builds it, or the application's own words are it. */
export function ownStatement(own: Dialect, query: unknown): unknown {
  if (typeof query === "function") return query;
  return is(query, SQL) && !Gate.of(query)
    ? Gate.closed("SELECT", query, () => [])
    : adopted(own, query as Builder);
}

/** What another dialect would build, ours builds: only then it is known what it consists of. */
function adopted<T extends Builder>(own: Dialect, builder: T): T {
  const { dialect } = builder as { dialect?: unknown };
  return dialect === undefined || dialect === own
    ? builder
    : Object.create(builder, { dialect: { value: own } });
}

/** Decorates a dialect. The given one stays as it is. */
export function encryptingDialect(dialect: Dialect): Dialect {
  const own: Dialect = Object.create(dialect);
  const adopt = <T extends Builder>(builder: T): T => adopted(own, builder);

  const assertExpression = (field: object) => {
    const expression = is(field, SQL.Aliased) ? field.sql : field;
    if (is(expression, SQL)) own.sqlToQuery(expression);
  };
  /** Opens a statement at a place that is made for one. */
  const opened = (statement: SQL, fields: Fields): SQL => {
    const gate = Gate.of(statement);
    const selected = flattenFields(fields);
    const described = encryptedColumnsIn(selected);
    if (gate) {
      const { columns } = gate;
      const differing = columns.length === described.length
        ? columns.find((column, index) => !haveSameKey(column, described[index]))
        : [...columns, ...described][0];
      if (differing) refuse(`selects ${describeColumn(differing)}, but is described otherwise`);
      return columns.length > 0 ? Gate.open(statement) : statement;
    }
    // Only names are left of what another dialect has built.
    const [read = encryptedSourceIn(statement)] = described;
    if (read) {
      refuse(
        `reads ${describeColumn(read)} in a statement that was not built with the wrapped ` +
          "database, build it with that",
      );
    }
    for (const { field } of selected) assertExpression(field);
    return statement;
  };
  /** What is selected from. */
  const source = <T>(table: T): T => {
    if (is(table, View)) {
      // Expressions of it are written by their aliases.
      for (const { field } of flattenFields(getViewSelectedFields(table))) assertExpression(field);
    }
    if (!is(table, Subquery) || table._.isWith) return table;
    const { sql, selectedFields, alias } = table._;
    const inner = opened(sql, selectedFields);
    return inner === sql ? table : new Subquery(inner, selectedFields, alias) as T;
  };
  const withSources = (config: Config): Config => ({
    ...config,
    table: source(config.table),
    ...config.from !== undefined && { from: source(config.from) },
    ...config.joins && {
      joins: config.joins.map((join) => ({ ...join, table: source(join.table) })),
    },
    ...config.setFieldsFlat && { setFieldsFlat: config.setFieldsFlat.map(selectable) },
  });
  const selectable = (selected: Field): Field => {
    const { field } = selected;
    if (is(field, Column)) {
      return isEncrypted(field) ? { ...selected, field: readable(field) } : selected;
    }
    if (is(field, Subquery)) return { ...selected, field: source(field) };
    const expression = is(field, SQL.Aliased) ? field.sql : field as SQL;
    const { decoder } = expression as unknown as { decoder: unknown };
    if (isEncrypted(decoder)) {
      refuse(`maps an expression with ${describeColumn(decoder)}, select the column itself`);
    }
    if ((field as { isSelectionField?: boolean }).isSelectionField) {
      assertExpression(expression);
      return selected;
    }
    const permitted = permit(expression, adopt);
    return permitted === expression ? selected : {
      ...selected,
      field: is(field, SQL.Aliased) ? new SQL.Aliased(permitted, field.fieldAlias) : permitted,
    };
  };
  const built = (verb: string, build: () => SQL, selected: () => readonly Field[] | undefined) =>
    Gate.closed(verb, write(verb, build), () => encryptedColumnsIn(selected()));
  const send = (original: Dialect["sqlToQuery"]): Dialect["sqlToQuery"] => (statement, ...rest) => {
    const { verb = writing()?.verb ?? "query" } = Gate.of(statement) ?? {};
    const attempt = (root: SQL, how: How = {}) =>
      write(verb, () => original.call(own, root, ...rest), how);
    if (rawStatements.has(statement)) return attempt(statement, { raw: true });
    const root = Gate.open(statement);
    try {
      return attempt(root, { first: true });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return attempt(write(verb, () => permit(root, adopt)));
    }
  };

  Object.assign<Dialect, Partial<Dialect>>(own, {
    sqlToQuery: send(dialect.sqlToQuery),

    buildSelection: (fields, ...rest) =>
      dialect.buildSelection.call(own, fields.map(selectable), ...rest),

    buildSelectQuery(config) {
      const selected = () => fieldsOf(config);
      const { table, joins = [], distinct, setOperators = [] } = config;
      return built("SELECT", () => {
        if (distinct === true) {
          assertDistinct(selected(), [table, ...joins.map((join) => join.table)]);
        }
        for (const operator of setOperators) assertSameKeys(selected(), operator);
        try {
          return dialect.buildSelectQuery.call(own, withSources(config));
        } catch (error) {
          // Drizzle names a column whose table is missing, to say just that.
          if (error instanceof Refusal) {
            write("SELECT", () => dialect.buildSelectQuery.call(own, config), { raw: true });
          }
          throw error;
        }
      }, selected);
    },

    buildSetOperationQuery({ leftSelect, setOperator }) {
      const rightSelect = Gate.open(adopt(setOperator.rightSelect).getSQL());
      const operation = { leftSelect, setOperator: { ...setOperator, rightSelect } };
      return dialect.buildSetOperationQuery.call(own, operation);
    },

    buildWithCTE: (queries) =>
      dialect.buildWithCTE.call(
        own,
        queries?.map(({ _ }) => ({ _: { ..._, sql: opened(_.sql, _.selectedFields) } })),
      ),

    buildInsertQuery: (config) =>
      built("INSERT", () => {
        const { table, onConflict } = config;
        assertConflictTarget(dialect, table, onConflict);
        let values = config.values;
        if (config.select) {
          const select = adopt(values as Selected & Builder);
          assertSourceOfInsert(table, select);
          values = is(select, SQL)
            ? select
            : Object.create(select, { getSQL: { value: () => Gate.open(select.getSQL()) } });
        } else values = storedRows(table, values as readonly Fields[]);
        return dialect.buildInsertQuery.call(own, { ...config, table: storing(table), values });
      }, () => config.returning),

    buildUpdateSet(table, set) {
      const { verb = "INSERT" } = writing() ?? {};
      // In an UPDATE, `excluded` is a table like any other.
      const conflicting = verb === "UPDATE" ? undefined : dialect;
      return write(
        verb,
        () => dialect.buildUpdateSet.call(own, storing(table), storedSet(table, set, conflicting)),
      );
    },

    buildUpdateQuery: (config) =>
      built(
        "UPDATE",
        () => dialect.buildUpdateQuery.call(own, withSources(config)),
        () => config.returning,
      ),

    buildDeleteQuery: (config) =>
      built("DELETE", () => dialect.buildDeleteQuery.call(own, config), () => config.returning),
  });

  const { casing, mapperGenerators, buildRelationalQuery, collectRelationalQuery } = dialect;
  if (casing) {
    // It reads the names of all columns of a table to write one of them.
    own.casing = Object.assign(Object.create(casing), {
      cacheTable: (table: object) => write("", () => casing.cacheTable(table), { raw: true }),
    });
  }
  const { _sqlToQuery, buildRelationalQueryWithoutPK } = dialect;
  if (_sqlToQuery) own._sqlToQuery = send(_sqlToQuery);
  if (mapperGenerators) {
    Object.defineProperty(own, "mapperGenerators", { value: planningMappers(mapperGenerators) });
  }
  const gated = (query: Relational): Relational => ({
    ...query,
    sql: Gate.closed("SELECT", Gate.open(query.sql), () => selectedIn(query.selection)),
  });
  if (buildRelationalQueryWithoutPK) {
    own.buildRelationalQueryWithoutPK = (config) => {
      const query = buildRelationalQueryWithoutPK.call(own, readableRelation(config));
      return config.nestedQueryRelation ? query : gated(query);
    };
  }
  if (buildRelationalQuery && collectRelationalQuery) {
    own.buildRelationalQuery = (config) =>
      gated(write("SELECT", () => buildRelationalQuery.call(own, config)));
    own.collectRelationalQuery = (config, ...rest) => {
      const { tableConfig } = config;
      source(tableConfig.table);
      const columns = new Proxy(columnsOf(tableConfig.table!), {
        get: (of, property: string) => {
          const column = of[property];
          return isEncrypted(column) ? readable(column) : column;
        },
      });
      const table = Object.create(tableConfig.table!, { [COLUMNS]: { value: columns } });
      const readableConfig = { ...config, tableConfig: { ...tableConfig, table } };
      return collectRelationalQuery.call(own, readableConfig, ...rest);
    };
  }
  return own;
}

/** An encrypted column of a table that a statement names. Of tables with an alias only the names are left. */
function encryptedSourceIn({ queryChunks }: SQL): object | undefined {
  return queryChunks.map((chunk) => {
    if (is(chunk, SQL)) return encryptedSourceIn(chunk);
    if (is(chunk, Subquery)) return encryptedSourceIn(chunk._.sql);
    return is(chunk, Table) ? encryptedColumnsOf(chunk)[0]?.[1] : undefined;
  }).find(Boolean);
}

function selectedIn(selection: readonly RelationalField[]): object[] {
  const nested = selection.flatMap((item) => selectedIn(item.selection ?? []));
  return [...encryptedColumnsIn(selection), ...nested];
}

/** Relational queries of Drizzle 0.x have their conditions made from the columns that they select. */
function readableRelation(config: RelationalConfig): RelationalConfig {
  const mapped = (fields: Fields, change: (field: unknown) => unknown): Fields =>
    Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, change(field)]));
  const columns = mapped(
    config.tableConfig.columns!,
    (column) => isEncrypted(column) ? readable(column, UndecryptedValue.decoderOf(column)) : column,
  );
  const withhold = (column: unknown) => isEncrypted(column) ? withheld(column) : column;
  const queryConfig = config.queryConfig === true ||
    mapped(
      config.queryConfig,
      (part) =>
        typeof part === "function"
          ? (fields: Fields, ...rest: unknown[]) => part(mapped(fields, withhold), ...rest)
          : part,
    );
  return { ...config, tableConfig: { ...config.tableConfig, columns }, queryConfig };
}
