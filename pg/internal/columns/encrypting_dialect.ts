/**
 * A Drizzle dialect that keeps the rule for encrypted columns. It turns the sink on while Drizzle writes, puts
 * stand-ins where encrypted columns and values of them may stand, opens gates at the places that are made for
 * statements, and has names and permits looked after in everything else.
 */

import { aliasedTable, type Column, SQL, Subquery, type Table } from "drizzle-orm";
import {
  describeColumn,
  isEncrypted,
  nameOf,
  readable,
  Refusal,
  refuse,
  refuseUse,
  viewed,
  withheld,
  write,
  writeFreely,
  type Writing,
  writing,
} from "./encrypted_column.ts";
import { Gate } from "./gate.ts";
import {
  assertSameKeys,
  differing,
  encryptedColumnIn,
  encryptedColumnsOf,
  fieldsIn,
  Naming,
  Scope,
} from "./names.ts";
import {
  type Builder,
  COLUMNS,
  columnsOf,
  type Config,
  type Field,
  type Fields,
  fieldsOf,
  flattenFields,
  flattenSelection,
  type Join,
  kindOf,
  mapChanged,
  type Relational,
  type RelationalConfig,
  type Selection,
  type SetOperator,
} from "./parts.ts";
import { assertExpressions, permit, permitPart, refuseForeign } from "./permits.ts";
import { type MapperGenerators, planningMappers } from "./result_plan.ts";
import {
  assertConflictTarget,
  assertSourceOfInsert,
  storedRows,
  storedSet,
  storing,
} from "./storing.ts";
import { UndecryptedValue } from "./undecrypted_value.ts";

/** The part of Drizzle's PgDialect that is decorated. */
export interface Dialect {
  casing?: { getColumnCasing(column: object): string; cacheTable(table: object): void };
  mapperGenerators?: MapperGenerators;
  sqlToQuery(statement: SQL, ...rest: unknown[]): { sql: string; params: unknown[] };
  _sqlToQuery?: Dialect["sqlToQuery"];
  buildSelection(fields: readonly Field[], options?: { isSingleTable?: boolean }): SQL;
  buildSelectQuery(config: Config): SQL;
  buildSetOperationQuery(operation: { leftSelect: SQL; setOperator: SetOperator }): SQL;
  buildWithCTE(queries: readonly Pick<Subquery, "_">[] | undefined): SQL;
  buildInsertQuery(config: Config): SQL;
  buildUpdateQuery(config: Config): SQL;
  buildUpdateSet(table: object, set: Fields): SQL;
  buildDeleteQuery(config: Config): SQL;
  /** Of Drizzle 0.x. */
  buildRelationalQueryWithoutPK?(config: RelationalConfig): Relational;
  /** Of Drizzle 1.0. */
  buildRelationalQuery?(config: RelationalConfig): Relational;
  collectRelationalQuery?(config: RelationalConfig, ...rest: unknown[]): unknown;
}

/** Where applications write expressions. */
const CLAUSES = ["where", "having", "groupBy", "orderBy", "onConflict"] as const;

/** Statements that the application wrote itself, ciphertext and all, and sends with `execute`. */
const rawStatements = new WeakSet<SQL>();

/** Lets a statement of the application's own name encrypted columns. */
export function allowRaw(statement: SQL): void {
  if (!Gate.of(statement)) rawStatements.add(statement);
}

/** What a CTE of a decorated database consists of: its dialect builds it, or the application's own words are it. */
export function ownStatement(own: Dialect, query: unknown): unknown {
  if (typeof query === "function") return query;
  const naming = new Naming(nameOf, own);
  return kindOf(query) === "sql" && !Gate.of(query as SQL)
    ? Gate.closed(new Scope(naming, "SELECT"), query as SQL, {})
    : naming.adopt(query as Builder);
}

/** Decorates a dialect. The given one stays as it is. */
export function encryptingDialect(dialect: Dialect): Dialect {
  const own: Dialect = Object.create(dialect);
  const { casing, mapperGenerators, buildRelationalQuery, collectRelationalQuery } = dialect;
  const naming = new Naming(
    casing ? (column) => writeFreely(() => casing.getColumnCasing(column)) : nameOf,
    own,
  );
  /** The statement that is being built. */
  let scope = new Scope(naming, "query");

  const built = (verb: string, config: Config, selection: Selection, build: () => SQL): SQL => {
    const { withList, table, from, joins } = config;
    const sources = [table];
    if (withList) sources.push(...withList);
    if (from) sources.push(from);
    joins?.forEach((join) => sources.push(join.table));
    const outer = scope;
    scope = new Scope(naming, verb, sources);
    try {
      return Gate.closed(scope, write(scope, build), selection);
    } finally {
      scope = outer;
    }
  };
  const expression = <T>(part: T): T => permitPart(part, scope) as T;
  /** Opens a statement at a place that is made for one. */
  const opened = ({ sql, selectedFields, alias }: Subquery["_"]): SQL => {
    const gate = Gate.of(sql);
    const fields = flattenFields(selectedFields);
    if (!gate) {
      // Only names are left of what another dialect has built.
      const read = encryptedColumnIn(fields) ?? encryptedSourceIn(sql);
      if (read) refuseForeign(read);
      assertExpressions(fields, scope);
    } else if (gate.column ?? encryptedColumnIn(fields)) {
      const found = differing(naming.columns(gate.fields), naming.columns(fields), true);
      if (found) {
        refuse(
          `declares ${JSON.stringify(alias)} otherwise than what it selects: ` +
            `one has ${
              describeColumn(found)
            }, the other something else, leave the declaration to Drizzle`,
        );
      }
    }
    return Gate.open(sql);
  };
  /** What is selected from. */
  const source = <T extends object | undefined>(table: T): T => {
    const kind = kindOf(table);
    if (kind === "sql" || kind === "view") return expression(table);
    if (kind !== "subquery") return table;
    const { _ } = table as unknown as Subquery;
    const inner = _.isWith ? _.sql : opened(_);
    return inner === _.sql ? table : new Subquery(inner, _.selectedFields, _.alias) as unknown as T;
  };
  /** A scalar subquery. One that a view selects is what the view is declared to be. */
  const scalar = (field: Subquery): Subquery => {
    const { sql, selectedFields, isWith } = field._;
    const read = isWith && encryptedColumnIn(flattenFields(selectedFields));
    if (read) refuseUse(read, "takes a whole CTE for a value, with");
    const isSame = (of: Field) => (of.field as Partial<Subquery>)._?.sql === sql;
    const views = scope.sources.filter((from) => kindOf(from) === "view");
    return views.some((view) => fieldsIn(view).some(isSame)) ? field : source(field);
  };
  const selectedExpression = (field: SQL | SQL.Aliased, bare: boolean): SQL | SQL.Aliased => {
    const alias = kindOf(field) === "aliased" ? field as SQL.Aliased : undefined;
    const expression = alias?.sql ?? field as SQL;
    const { decoder } = expression as unknown as { decoder: unknown };
    if (isEncrypted(decoder)) {
      refuse(`maps an expression with ${describeColumn(decoder)}, select the column itself`);
    }
    const { isSelectionField } = field as { isSelectionField?: boolean };
    if (isSelectionField) scope.mentionAlias(alias!);
    const permitted = isSelectionField ? expression : permit(expression, scope, bare);
    if (permitted === expression) return field;
    return alias ? new SQL.Aliased(permitted, alias.fieldAlias) : permitted;
  };
  const selected = (item: Field, bare: boolean): Field => {
    const { field } = item;
    const kind = kindOf(field);
    let change: object = field;
    if (kind === "column") {
      scope.mention(field as Column, bare, true);
      if (isEncrypted(field)) change = readable(field);
    } else if (kind === "subquery") change = scalar(field as Subquery);
    // Drizzle 1.0 leaves the tables of columns in expressions to those that need them.
    else change = selectedExpression(field as SQL, bare && !mapperGenerators);
    return change === field ? item : { ...item, field: change };
  };
  /** What a statement is built from, with what is permitted in it. */
  const prepared = (config: Config): Config => {
    let changes: Record<string, unknown> | undefined;
    const put = (name: string, part: unknown) => {
      if (part !== config[name]) (changes ??= {})[name] = part;
    };
    for (const clause of CLAUSES) if (config[clause]) put(clause, expression(config[clause]));
    put("table", source(config.table));
    if (config.from) put("from", source(config.from));
    const joined = (join: Join) => ({
      ...join,
      table: source(join.table),
      on: expression(join.on),
    });
    if (config.joins?.length) put("joins", config.joins.map(joined));
    const { distinct } = config;
    if (typeof distinct === "object") put("distinct", { on: expression(distinct.on) });
    return changes ? { ...config, ...changes } : config;
  };
  const send = (original: Dialect["sqlToQuery"]): Dialect["sqlToQuery"] => (statement, ...rest) => {
    if (rawStatements.has(statement)) {
      return writeFreely(() => original.call(own, statement, ...rest));
    }
    const gate = Gate.of(statement);
    const whole = gate?.scope ?? new Scope(naming, writing()?.verb ?? "query");
    const attempt = (root: SQL) => {
      whole.written = undefined;
      return original.call(own, root, ...rest);
    };
    return write(whole, () => {
      let query;
      try {
        query = attempt(gate?.statement ?? permit(statement, whole));
      } catch (error) {
        if (!gate || !(error instanceof Refusal)) throw error;
        // Values of an INSERT may not have been read yet.
        query = attempt(permit(gate.statement, new Scope(naming, "")));
      }
      whole.assertAgreement();
      return query;
    });
  };

  Object.assign<Dialect, Partial<Dialect>>(own, {
    sqlToQuery: send(dialect.sqlToQuery),

    buildSelection: (fields, options) => {
      const bare = options?.isSingleTable ?? false;
      const items = mapChanged(fields, (item) => selected(item, bare));
      return dialect.buildSelection.call(own, items, options);
    },

    buildSelectQuery: (config) =>
      built("SELECT", config, config, () => {
        if (config.distinct === true) scope.assertDistinct(fieldsOf(config));
        config.setOperators?.forEach((other) => assertSameKeys(fieldsOf(config), other));
        try {
          return dialect.buildSelectQuery.call(own, prepared(config));
        } catch (error) {
          // Drizzle names a column whose table is missing, to say just that.
          if (error instanceof Refusal) writeFreely(() => dialect.buildSelectQuery(config));
          throw error;
        }
      }),

    buildSetOperationQuery({ leftSelect, setOperator }) {
      const rightSelect = Gate.open(naming.adopt(setOperator.rightSelect).getSQL());
      // Written without their tables.
      const orderBy = setOperator.orderBy?.map((part) =>
        kindOf(part) === "sql" ? permit(part as SQL, scope, true) : permitPart(part, scope, true)
      );
      const operation = { leftSelect, setOperator: { ...setOperator, rightSelect, orderBy } };
      return dialect.buildSetOperationQuery.call(own, operation);
    },

    buildWithCTE: (queries) =>
      dialect.buildWithCTE.call(own, queries?.map(({ _ }) => ({ _: { ..._, sql: opened(_) } }))),

    buildInsertQuery: (config) =>
      built("INSERT", config, { fieldsFlat: config.returning ?? [] }, () => {
        const { table, onConflict, select } = config;
        assertConflictTarget(table, onConflict, scope);
        let values = config.values;
        if (select) {
          const query = naming.adopt(values as Builder);
          assertSourceOfInsert(table, query);
          values = kindOf(query) === "sql"
            ? expression(query)
            : Object.create(query, { getSQL: { value: () => Gate.open(query.getSQL()) } });
        } else values = storedRows(table, values as readonly Fields[], scope);
        const statement = { ...prepared(config), table: storing(table), values };
        return dialect.buildInsertQuery.call(own, statement as Config);
      }),

    buildUpdateSet(table, set) {
      if (scope.verb === "UPDATE") {
        const values = storedSet(table, set, scope, false);
        return dialect.buildUpdateSet.call(own, storing(table), values);
      }
      // Called by `onConflictDoUpdate`, before the statement is built.
      const excluded = aliasedTable(table as Table, "excluded");
      const conflict = new Scope(naming, "INSERT", [table, excluded]);
      return write(conflict, () => {
        const values = storedSet(table, set, conflict, true);
        conflict.assertAgreement();
        return dialect.buildUpdateSet.call(own, storing(table), values);
      });
    },

    buildUpdateQuery: (config) =>
      built(
        "UPDATE",
        config,
        { fieldsFlat: config.returning ?? [] },
        () => dialect.buildUpdateQuery.call(own, prepared(config)),
      ),

    buildDeleteQuery: (config) =>
      built(
        "DELETE",
        config,
        { fieldsFlat: config.returning ?? [] },
        () => dialect.buildDeleteQuery.call(own, prepared(config)),
      ),
  });

  if (casing) {
    // It reads the names of all columns of a table to write one of them.
    own.casing = Object.assign(Object.create(casing), {
      cacheTable: (table: object) => writeFreely(() => casing.cacheTable(table)),
    });
  }
  const { _sqlToQuery, buildRelationalQueryWithoutPK } = dialect;
  if (_sqlToQuery) own._sqlToQuery = send(_sqlToQuery);
  if (mapperGenerators) {
    Object.defineProperty(own, "mapperGenerators", { value: planningMappers(mapperGenerators) });
  }
  const relational: Writing = { verb: "SELECT", refuse: refuseUse, isRelational: true };
  const gated = ({ sql, selection, ...query }: Relational): Relational => ({
    ...query,
    selection,
    sql: Gate.closed(
      new Scope(naming, "SELECT"),
      permit(Gate.open(sql), new Scope(naming, "SELECT")),
      { fieldsFlat: flattenSelection(selection) },
    ),
  });
  if (buildRelationalQueryWithoutPK) {
    own.buildRelationalQueryWithoutPK = (config) =>
      write(relational, () => {
        const query = buildRelationalQueryWithoutPK.call(own, readableRelation(config));
        return config.nestedQueryRelation ? query : gated(query);
      });
  }
  if (buildRelationalQuery && collectRelationalQuery) {
    own.buildRelationalQuery = (config) =>
      write(relational, () => gated(buildRelationalQuery.call(own, config)));
    own.collectRelationalQuery = ({ tableConfig, ...config }, ...rest) => {
      const { table } = tableConfig;
      source(table);
      const columns = viewed(columnsOf(table), (column) => readable(column));
      const selected = Object.create(table, { [COLUMNS]: { value: columns } });
      const readableConfig = { ...config, tableConfig: { ...tableConfig, table: selected } };
      return collectRelationalQuery.call(own, readableConfig, ...rest);
    };
  }
  return own;
}

/** An encrypted column of a table that a statement names. Of tables with an alias only the names are left. */
function encryptedSourceIn({ queryChunks }: SQL): Column | undefined {
  return queryChunks.map((chunk) => {
    const kind = kindOf(chunk);
    if (kind === "sql") return encryptedSourceIn(chunk as SQL);
    if (kind === "subquery") return encryptedSourceIn((chunk as Subquery)._.sql);
    return kind === "table" ? encryptedColumnsOf(chunk as Table)[0]?.[1] : undefined;
  }).find(Boolean);
}

/** Relational queries of Drizzle 0.x have their conditions made from the columns that they select. */
function readableRelation(config: RelationalConfig): RelationalConfig {
  const { tableConfig, queryConfig } = config;
  const decoding = (column: object) => readable(column, UndecryptedValue.decoderOf(column));
  const parts = queryConfig === true ? [] : Object.entries(queryConfig).map(([name, part]) => [
    name,
    typeof part === "function"
      ? (fields: Fields, ...rest: unknown[]) => part(viewed(fields, withheld), ...rest)
      : part,
  ]);
  return {
    ...config,
    tableConfig: { ...tableConfig, columns: viewed(tableConfig.columns!, decoding) },
    queryConfig: queryConfig === true || Object.fromEntries(parts),
  };
}
