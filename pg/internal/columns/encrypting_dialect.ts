/**
 * A Drizzle dialect that enforces the rule for encrypted columns. It turns on the sink while
 * Drizzle writes, puts stand-ins where encrypted columns and their values are allowed, opens gates
 * where statements belong, and checks names and permits everywhere else.
 */

import { aliasedTable, type Column, SQL, Subquery, type Table } from "drizzle-orm";
import { describeColumn, isEncrypted, nameOf } from "./encrypted_column.ts";
import { readable, refuse, refuseUse, viewed, viewedTable, withheld } from "./encrypted_column.ts";
import { write, writeFreely, writing } from "./encrypted_column.ts";
import { Gate } from "./gate.ts";
import { differing, encryptedColumnIn, encryptedColumnsOf, fieldsIn, Scope } from "./names.ts";
import type { Builder, Config, Field, Fields } from "./parts.ts";
import { columnsOf, flattenFields, kindOf, mapChanged } from "./parts.ts";
import { assertOwnWords, permit, permitPart, refuseForeign } from "./permits.ts";
import { type MapperGenerators, planningMappers } from "./result_plan.ts";
import { assertConflictTarget, storedRows, storedSet, storing } from "./storing.ts";
import { UndecryptedValue } from "./undecrypted_value.ts";

/** The decorated part of Drizzle's PgDialect. */
export interface Dialect {
  casing?: { getColumnCasing(column: object): string; cacheTable(table: object): void };
  mapperGenerators?: MapperGenerators;
  sqlToQuery(statement: SQL, ...rest: unknown[]): { sql: string; params: unknown[] };
  _sqlToQuery?: Dialect["sqlToQuery"];
  buildSelection(fields: readonly Field[], options?: { isSingleTable?: boolean }): SQL;
  buildSelectQuery(config: Config): SQL;
  buildSetOperationQuery(operation: {
    leftSelect: SQL;
    setOperator: {
      type: string;
      isAll: boolean;
      rightSelect: Builder;
      orderBy?: unknown[] | undefined;
    };
  }): SQL;
  buildWithCTE(queries: readonly Pick<Subquery, "_">[] | undefined): SQL;
  buildInsertQuery(config: Config): SQL;
  buildUpdateQuery(config: Config): SQL;
  buildUpdateSet(table: object, set: Fields): SQL;
  buildDeleteQuery(config: Config): SQL;
  /** Drizzle 0.x only. */
  buildRelationalQueryWithoutPK?(config: RelationalConfig): Relational;
  /** Drizzle 1.0 only. */
  buildRelationalQuery?(config: RelationalConfig): Relational;
  collectRelationalQuery?(config: RelationalConfig, ...rest: unknown[]): unknown;
}

/** The configuration of a relational query. */
interface RelationalConfig {
  readonly tableConfig: { readonly columns?: Fields; readonly table: object };
  readonly queryConfig: true | Fields;
  /** Set if the query is nested in another. */
  readonly nestedQueryRelation?: unknown;
}

/** A relational query and its selection. */
interface Relational {
  readonly sql: SQL;
  readonly selection: readonly (Pick<Field, "field"> & Partial<Pick<Relational, "selection">>)[];
}

/** Whether a statement is the application's own SQL, or another dialect's. */
const isOwnWords = (query: unknown): query is SQL =>
  kindOf(query) === "sql" && !Gate.of(query as SQL);

/** The application's own SQL, which may name encrypted columns: it handles ciphertext itself. */
export const rawStatement = (statement: SQL): SQL =>
  isOwnWords(statement) ? Gate.closed(new Scope(nameOf, "query", [], true), statement) : statement;

/** The statement of a CTE: built by this dialect, or the application's own SQL. */
export const ownStatement = (own: Dialect, query: unknown): unknown =>
  isOwnWords(query) ? Gate.closed(new Scope(nameOf, "SELECT"), query) : adopted(own, query);

/** The same builder of Drizzle's, building with this dialect, which then knows the statement. */
function adopted<T>(own: Dialect, builder: T): T {
  const { dialect = own } = builder as { dialect?: object };
  return dialect === own ? builder : Object.create(builder as object, { dialect: { value: own } });
}

/** Decorates a dialect. The given one is left unchanged. */
export function encryptingDialect(dialect: Dialect): Dialect {
  const own: Dialect = Object.create(dialect);
  const { casing, mapperGenerators, buildRelationalQuery, collectRelationalQuery } = dialect;
  const nameIn = casing
    ? (column: object) => writeFreely(() => casing.getColumnCasing(column))
    : nameOf;
  /** The statement being built. */
  const scope = () => writing() as Scope;
  const built = (verb: string, config: Config, build: () => SQL): SQL => {
    const { withList, table, from, joins } = config;
    const sources = [table];
    if (withList) sources.push(...withList);
    if (from) sources.push(from);
    joins?.forEach((join) => sources.push(join.table));
    const statement = new Scope(nameIn, verb, sources);
    return Gate.closed(statement, write(statement, build), statement.selected);
  };
  const expression = <T>(part: T): T => permitPart(part, scope()) as T;
  /** Opens a statement at a place where one belongs. */
  const opened = ({ sql, selectedFields, alias }: Subquery["_"]): SQL => {
    const gate = Gate.of(sql);
    const fields = flattenFields(selectedFields);
    const found = gate && differing(gate.fields, fields, nameIn);
    if (found) {
      refuse(
        `declares ${JSON.stringify(alias)} differently from its selection: one has ` +
          `${describeColumn(found)}, the other does not, leave the declaration to Drizzle`,
      );
    }
    if (!gate) {
      // A statement built by another dialect contains only names.
      const read = encryptedColumnIn(fields);
      if (read) refuseForeign(read);
      assertOwnWords([sql], scope());
    }
    return Gate.open(sql);
  };
  /** Opens a source of the statement. */
  const source = <T extends object>(table: T): T => {
    if (kindOf(table) !== "subquery") return expression(table);
    const { _ } = table as unknown as Subquery;
    const inner = _.isWith ? _.sql : opened(_);
    return inner === _.sql ? table : new Subquery(inner, _.selectedFields, _.alias) as unknown as T;
  };
  /** Opens a scalar subquery, unless a view declares it as one of its fields. */
  const scalar = (field: Subquery): Subquery => {
    const { sql, selectedFields, isWith } = field._;
    const read = isWith && encryptedColumnIn(flattenFields(selectedFields));
    if (read) refuseUse(read, "uses a whole CTE as a value, with");
    const views = scope().sources.filter((from) => kindOf(from) === "view");
    const isSame = (of: Field) => (of.field as Partial<Subquery>)._?.sql === sql;
    return views.some((view) => fieldsIn(view).some(isSame)) ? field : source(field);
  };
  const selectedExpression = (field: SQL | SQL.Aliased, bare: boolean): SQL | SQL.Aliased => {
    const alias = kindOf(field) === "aliased" ? field as SQL.Aliased : undefined;
    const expression = alias?.sql ?? field as SQL;
    const { decoder } = expression as unknown as { decoder: unknown };
    if (isEncrypted(decoder)) refuseUse(decoder, "maps an expression with");
    if ((field as { isSelectionField?: boolean }).isSelectionField) {
      scope().mentionAlias(alias!);
      return field;
    }
    const permitted = permit(expression, scope(), bare);
    if (permitted === expression) return field;
    return alias ? new SQL.Aliased(permitted, alias.fieldAlias) : permitted;
  };
  const selected = (item: Field, bare: boolean): Field => {
    const { field } = item;
    const kind = kindOf(field);
    let change: object = field;
    if (kind === "column") {
      scope().mention(field as Column, bare, true);
      if (isEncrypted(field)) change = readable(field);
    } else if (kind === "subquery") change = scalar(field as Subquery);
    // Drizzle 1.0 keeps the tables of columns in expressions.
    else change = selectedExpression(field as SQL, bare && !mapperGenerators);
    return change === field ? item : { ...item, field: change };
  };
  /** A statement's configuration with the permitted stand-ins. */
  const prepared = (config: Config): Config => {
    const { table, where, having, groupBy, orderBy, onConflict, from, joins, distinct } = config;
    // Copied only on a change: most statements have none.
    let changed = config;
    const put = (name: string, given: unknown, part: unknown) => {
      if (part !== given) changed = { ...changed, [name]: part };
    };
    put("table", table, source(table));
    if (where) put("where", where, expression(where));
    if (having) put("having", having, expression(having));
    if (groupBy) put("groupBy", groupBy, expression(groupBy));
    if (orderBy) put("orderBy", orderBy, expression(orderBy));
    if (onConflict) put("onConflict", onConflict, expression(onConflict));
    if (from) put("from", from, source(from));
    if (typeof distinct === "object") put("distinct", distinct, { on: expression(distinct.on) });
    const joined = (join: NonNullable<Config["joins"]>[number]) => {
      const [table, on] = [source(join.table), expression(join.on)];
      return table === join.table && on === join.on ? join : { ...join, table, on };
    };
    if (joins) put("joins", joins, mapChanged(joins, joined));
    return changed;
  };
  /** INSERT … SELECT stores the selected values unchanged. */
  const sourceOfInsert = (table: object, select: Builder): Builder => {
    if (kindOf(select) === "sql") {
      const [[, encrypted] = []] = encryptedColumnsOf(table);
      if (!encrypted) return expression(select);
      refuse(
        `stores the result of a raw statement in ${describeColumn(encrypted)}; ` +
          "select with Drizzle's builder, or write all of it with db.execute",
      );
    }
    const query = adopted(own, select);
    const statement = query.getSQL();
    const fields = Gate.of(statement)?.fields ?? [];
    const found = differing(
      fields.map(({ path: [property] }) => ({ field: columnsOf(table)[property!]! })),
      fields,
    );
    if (found) {
      refuse(
        `copies between ${describeColumn(found)} and something other than a column ` +
          "encrypted under its key",
      );
    }
    return Object.create(query, { getSQL: { value: () => Gate.open(statement) } });
  };
  const send = (original: Dialect["sqlToQuery"]): Dialect["sqlToQuery"] => (statement, ...rest) => {
    const gate = Gate.of(statement);
    const whole = gate?.scope ?? new Scope(nameIn, writing()?.verb ?? "query");
    return write(whole, () => {
      whole.written = undefined;
      const query = original.call(own, gate?.statement ?? permit(statement, whole), ...rest);
      whole.assertAgreement();
      return query;
    });
  };

  Object.assign<Dialect, Partial<Dialect>>(own, {
    sqlToQuery: send(dialect.sqlToQuery),

    buildSelection(fields, options) {
      const statement = scope();
      // Drizzle 1.0 builds the selection again around set operations.
      if (statement.selected.length === 0) statement.selected = fields;
      const bare = options?.isSingleTable ?? false;
      return dialect.buildSelection.call(
        own,
        mapChanged(fields, (item) => selected(item, bare)),
        options,
      );
    },

    buildSelectQuery: (config) =>
      built("SELECT", config, () => {
        const query = dialect.buildSelectQuery.call(own, prepared(config));
        if (config.distinct === true) scope().assertDistinct(scope().selected);
        return query;
      }),

    buildSetOperationQuery({ leftSelect, setOperator }) {
      const right = adopted(own, setOperator.rightSelect).getSQL();
      const sides = [scope().selected, Gate.of(right)?.fields ?? []] as const;
      const { type, isAll } = setOperator;
      // Both sides are decoded with the columns of the first.
      const found = isAll && type === "union"
        ? differing(...sides)
        : encryptedColumnIn(sides.flat());
      if (found) {
        refuseUse(found, `compares by ${type.toUpperCase()}, or combines with other values,`);
      }
      // Drizzle writes these columns without their tables.
      const orderBy = setOperator.orderBy?.map((part) =>
        kindOf(part) === "sql"
          ? permit(part as SQL, scope(), true)
          : permitPart(part, scope(), true)
      );
      const operation = { ...setOperator, rightSelect: Gate.open(right), orderBy };
      return dialect.buildSetOperationQuery.call(own, { leftSelect, setOperator: operation });
    },

    buildWithCTE: (queries) =>
      dialect.buildWithCTE.call(own, queries?.map(({ _ }) => ({ _: { ..._, sql: opened(_) } }))),

    buildInsertQuery: (config) =>
      built("INSERT", config, () => {
        const { table, onConflict, select } = config;
        assertConflictTarget(table, onConflict, scope());
        const values = select
          ? sourceOfInsert(table, config.values as Builder)
          : storedRows(table, config.values as readonly Fields[], scope());
        const into = { ...prepared(config), table: storing(table), values };
        return dialect.buildInsertQuery.call(own, into);
      }),

    buildUpdateSet(table, set) {
      const isUpdate = writing()?.verb === "UPDATE";
      // `onConflictDoUpdate` calls this before the statement is built.
      const statement = isUpdate
        ? scope()
        : new Scope(nameIn, "INSERT", [table, aliasedTable(table as Table, "excluded")]);
      return write(statement, () => {
        const values = storedSet(table, set, statement);
        if (!isUpdate) statement.assertAgreement();
        return dialect.buildUpdateSet.call(own, storing(table), values);
      });
    },

    buildUpdateQuery: (config) =>
      built("UPDATE", config, () => dialect.buildUpdateQuery.call(own, prepared(config))),

    buildDeleteQuery: (config) =>
      built("DELETE", config, () => dialect.buildDeleteQuery.call(own, prepared(config))),
  });

  if (casing) {
    // To write one column, it reads the names of all columns of the table.
    own.casing = Object.assign(Object.create(casing), {
      cacheTable: (table: object) => writeFreely(() => casing.cacheTable(table)),
    });
  }
  const { _sqlToQuery, buildRelationalQueryWithoutPK } = dialect;
  if (_sqlToQuery) own._sqlToQuery = send(_sqlToQuery);
  if (mapperGenerators) {
    Object.defineProperty(own, "mapperGenerators", { value: planningMappers(mapperGenerators) });
  }
  type Build = (config: RelationalConfig) => Relational;
  const relational = (build: Build, config: RelationalConfig) => {
    const statement = Object.assign(new Scope(nameIn, "SELECT"), { isRelational: true });
    return write(statement, () => {
      const query = build.call(own, config);
      if (config.nestedQueryRelation) return query;
      const sql = permit(Gate.open(query.sql), statement);
      return { ...query, sql: Gate.closed(statement, sql, flattenSelection(query.selection)) };
    });
  };
  if (buildRelationalQueryWithoutPK) {
    own.buildRelationalQueryWithoutPK = (config) =>
      relational(buildRelationalQueryWithoutPK, readableRelation(config));
  }
  if (buildRelationalQuery && collectRelationalQuery) {
    own.buildRelationalQuery = (config) => relational(buildRelationalQuery, config);
    own.collectRelationalQuery = (config, ...rest) => {
      const table = viewedTable(source(config.tableConfig.table), readable);
      const tableConfig = { ...config.tableConfig, table };
      return collectRelationalQuery.call(own, { ...config, tableConfig }, ...rest);
    };
  }
  return own;
}

const flattenSelection = (selection: Relational["selection"]): Field[] =>
  selection.flatMap((item) => [{ ...item, path: [] }, ...flattenSelection(item.selection ?? [])]);

/** Drizzle 0.x builds the conditions of a relational query from the columns that it selects. */
function readableRelation(config: RelationalConfig): RelationalConfig {
  const { tableConfig, queryConfig } = config;
  const decoding = (column: object) => readable(column, UndecryptedValue.decoderOf(column));
  const withholding = (part: unknown) =>
    typeof part === "function"
      ? (fields: Fields, ...rest: unknown[]) => part(viewed(fields, withheld), ...rest)
      : part;
  return {
    ...config,
    tableConfig: { ...tableConfig, columns: viewed(tableConfig.columns!, decoding) },
    queryConfig: queryConfig === true || Object.fromEntries(
      Object.entries(queryConfig).map(([name, part]) => [name, withholding(part)]),
    ),
  };
}
