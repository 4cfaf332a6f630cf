/**
 * The one rule for encrypted columns: what is not known to be right is refused. It looks at the parts that
 * Drizzle's builders put a statement together from, before any SQL is written.
 *
 * An encrypted column may stand where it is read as itself (a stand-in takes its place there, see
 * `readable`), where a value of it is stored, and in the few forms below. Everywhere else its ciphertext
 * would be compared, sorted or handed out, and means nothing: it is random.
 */

import {
  Column,
  count,
  exists,
  getTableName,
  is,
  isNotNull,
  isNull,
  max,
  min,
  Name,
  notExists,
  Param,
  Placeholder,
  SQL,
  sql,
  StringChunk,
  Subquery,
  Table,
  View,
} from "drizzle-orm";
import { describeColumn, isEncrypted, isOfAnotherCopy, isReadable } from "./encrypted_column.ts";
import {
  encryptedColumnIn,
  encryptedColumnOf,
  type Field,
  type Fields,
  flattenFields,
  primaryKeyOf,
} from "./selection.ts";

/** What is known of a statement that a dialect of ours has built. */
export interface Statement {
  /** `SELECT`, `INSERT` … */
  readonly verb: string;
  /** An encrypted column that it selects or returns. Asked for only where it stands within another. */
  handsOut(): object | undefined;
  /** Its clauses, to tell in which of them something stands. */
  readonly clauses: Readonly<Record<string, unknown>>;
}

/** On statements that dialects of ours have built. A WeakMap of all queries costs more than looking at them. */
const STATEMENT = Symbol("statement");

type Noted = SQL & { [STATEMENT]?: Statement };

/**
 * Notes that a dialect of ours has built a statement: its parts have been looked at where they were built.
 *
 * @returns An expression of that statement alone: whoever copies its chunks copies the statement as a whole.
 */
export function noteStatement(built: SQL, statement: Statement): SQL {
  (built as Noted)[STATEMENT] = statement;
  return new SQL([built]);
}

/** The noted statement that an expression is, or consists of. */
function notedIn(expression: SQL): Noted | undefined {
  const { queryChunks } = expression;
  const [only] = queryChunks;
  const statement = queryChunks.length === 1 && is(only, SQL) ? only : expression;
  return Object.hasOwn(statement, STATEMENT) ? statement : undefined;
}

/** What was noted of a statement. */
export function statementOf(expression: SQL): Statement | undefined {
  return notedIn(expression)?.[STATEMENT];
}

/**
 * A statement at a place that is made for one: in a CTE, on a side of a union, behind INSERT. Elsewhere, in
 * an expression, what it selects is compared or handed out.
 */
export class EmbeddedStatement extends SQL {
  readonly fields: Fields;

  constructor(statement: SQL, fields: Fields = {}) {
    super([statement]);
    this.fields = fields;
  }
}

/** Looks at a statement and all that it consists of. */
export class StatementRule {
  readonly #adopt: (builder: { getSQL(): SQL }) => SQL;

  /** @param adopt Has one of Drizzle's builders build its statement with our dialect. */
  constructor(adopt: (builder: { getSQL(): SQL }) => SQL) {
    this.#adopt = adopt;
  }

  /**
   * Refuses what breaks the rule.
   *
   * @param root What is about to be sent.
   * @throws {TypeError} Something does.
   */
  assertStatement(root: SQL): void {
    new Visit(this.#adopt, false).statement(root, {}, false);
  }

  /**
   * Refuses a part of a statement that breaks the rule.
   *
   * @param attempt Which statement is being built.
   * @param clause Where in it the part stands.
   * @param options `strict`: stand-ins count as the columns that they stand for.
   * @throws {TypeError} It does.
   */
  assertPart(verb: string, clause: string, part: unknown, { strict = false } = {}): void {
    const visit = new Visit(this.#adopt, strict);
    visit.within(
      { verb, handsOut: () => undefined, clauses: { [clause]: part } },
      () => visit.part(part),
    );
  }

  /**
   * Refuses values of encrypted columns in a raw statement: the application hands ciphertext to those.
   *
   * @throws {TypeError} It has one.
   */
  assertRaw(root: SQL): void {
    new Visit(this.#adopt, false, true).statement(root, {});
  }
}

/** Refuses to build a statement. */
export function refuse(verb: string, found: string): never {
  throw new TypeError(`Building ${/^[AEIOU]/.test(verb) ? "an" : "a"} ${verb}: ${found}`);
}

/** Ends a message about what cannot be done with an encrypted column. */
export const MEANS_NOTHING =
  "whose stored text is random and means nothing to the database; only IS NULL, IS NOT NULL and count() work, " +
  "to find a value keep a keyed hash of it in a column of its own";

/** What is refused, on its way up to where its clause is known. */
class Violation extends Error {
  readonly part: unknown;

  constructor(found: string, part: unknown) {
    super(found);
    this.part = part;
  }
}

/** The values of an INSERT in Drizzle 1.0, row after row. */
interface Rows {
  readonly cells: readonly unknown[];
  readonly encoders: readonly object[];
}

class Visit {
  /** The texts, names and tables since anything else was sent. */
  readonly #texts: object[] = [];
  readonly #adopt: (builder: { getSQL(): SQL }) => SQL;
  readonly #strict: boolean;
  readonly #raw: boolean;

  constructor(adopt: (builder: { getSQL(): SQL }) => SQL, strict: boolean, raw = false) {
    this.#adopt = adopt;
    this.#strict = strict;
    this.#raw = raw;
  }

  /** Looks at a whole statement, at a place that is made for one. */
  statement(root: SQL, fields: Fields, embedded = true): void {
    if (kindOf(root) === Kind.Embedded) return this.part(root);
    const noted = notedIn(root);
    if (noted) this.within(noted[STATEMENT], () => this.#chunks(noted));
    else this.within(undefined, () => this.#foreign(root, fields, embedded));
  }

  /** Tells, should something be refused, in which statement and clause it stands. */
  within(statement: Statement | undefined, look: () => void): void {
    try {
      look();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      const { verb = "query", clauses = {} } = statement ?? {};
      const clause = Object.keys(clauses).find((name) => this.#violates(clauses[name]));
      refuse(verb, `${clause ?? "an expression"} ${error.message}`);
    }
  }

  #violates(part: unknown): boolean {
    try {
      this.part(part);
      return false;
    } catch {
      return true;
    }
  }

  /**
   * Looks at one part.
   *
   * @param parent The expression that the part stands in.
   */
  part(part: unknown, parent?: SQL): void {
    if (typeof part !== "object" || part === null) return;
    if (Array.isArray(part)) {
      for (const element of part) this.part(element);
      return;
    }
    this.#object(part, kindOf(part), parent);
  }

  #object(part: object, kind: Kind, parent: SQL | undefined): void {
    switch (kind) {
      case Kind.Text:
      case Kind.Source:
        return;
      case Kind.Param: {
        const { encoder, value } = part as Param;
        if (isEncrypted(encoder)) {
          throw new Violation(
            `compares a value with ${describeColumn(encoder)}, ${MEANS_NOTHING}`,
            part,
          );
        }
        if (typeof value === "object") this.part(value);
        return;
      }
      case Kind.Column:
        return this.#column(part, parent);
      case Kind.Sql:
        return this.#expression(part as SQL, part, parent);
      case Kind.Embedded: {
        const { queryChunks, fields } = part as EmbeddedStatement;
        return this.statement(queryChunks[0] as SQL, fields);
      }
      case Kind.Aliased: {
        const { sql: expression } = part as SQL.Aliased;
        const column = encryptedColumnOf(expression);
        if (column) throw new Violation(`uses ${describeColumn(column)}, ${MEANS_NOTHING}`, part);
        return this.#expression(expression, part, parent);
      }
      case Kind.Subquery: {
        const { isWith, sql: statement, selectedFields } = (part as Subquery)._;
        // Of a CTE only the name is sent here.
        if (!isWith) this.statement(statement, selectedFields);
        return;
      }
      case Kind.Rows:
        return this.#rows(part as Rows);
      case Kind.Other: {
        const { getSQL } = part as { getSQL?: unknown };
        // Everything else is a value, and sent as one.
        if (typeof getSQL !== "function") return;
        const inner = this.#adopt(part as { getSQL(): SQL });
        if (inner !== part) this.#expression(inner, part, parent);
      }
    }
  }

  #rows({ cells, encoders }: Rows): void {
    const encrypted = encoders.map(isEncrypted);
    for (const [index, cell] of cells.entries()) {
      const column = index % encoders.length;
      // Our own dialect hands these over in an expression.
      if (encrypted[column] && cell !== null && !is(cell, SQL) && !is(cell, StringChunk)) {
        throw new Violation(
          `stores a value in ${describeColumn(encoders[column]!)} unencrypted, ` +
            "build the statement with the wrapped database",
          cells,
        );
      }
      this.part(cell);
    }
  }

  #column(column: object, parent: SQL | undefined): void {
    if (!isEncrypted(column) || this.#raw) return;
    if (isOfAnotherCopy(column)) throw new Violation(anotherCopy(column), column);
    if (isReadable(column) && !this.#strict) return;
    if (parent && isAllowed(parent, column, "column")) return;
    throw new Violation(`uses ${describeColumn(column)}, ${MEANS_NOTHING}`, column);
  }

  #expression(expression: SQL, part: unknown, parent: SQL | undefined): void {
    const noted = notedIn(expression);
    const known = noted?.[STATEMENT];
    if (!noted || !known) return this.#chunks(expression);
    const handsOut = known.handsOut();
    if (handsOut && !this.#raw && !(parent && isAllowed(parent, part, "statement"))) {
      throw new Violation(
        `has a subquery that selects ${describeColumn(handsOut)}, ${MEANS_NOTHING}`,
        part,
      );
    }
    this.within(known, () => this.#chunks(noted));
  }

  #chunks(expression: SQL): void {
    const { queryChunks } = expression;
    for (const [index, chunk] of queryChunks.entries()) {
      if (typeof chunk !== "object" || chunk === null) continue;
      const kind = kindOf(chunk);
      if (kind === Kind.Source || kind === Kind.Subquery) {
        this.#source(chunk, expression, queryChunks[index + 1]);
      }
      if (Array.isArray(chunk)) this.part(chunk);
      else this.#object(chunk, kind, expression);
      if (kind === Kind.Text || kind === Kind.Source) this.#texts.push(chunk);
      else if (kind !== Kind.Sql) this.#texts.length = 0;
    }
  }

  /** A table, view, CTE or subquery: as a row, or as what it selects, it would hand out ciphertext. */
  #source(source: object, expression: SQL, next: unknown): void {
    if (this.#raw) return;
    const column = encryptedColumnIn(source);
    if (column === undefined || standsAsSource(this.#texts)) return;
    // A column of it, by a name that the application writes; or how many rows there are.
    if (is(next, StringChunk) && /^\.\s*[^\s*]|^\.$/.test(textOf(next))) return;
    if (isAllowed(expression, source, "column")) return;
    // A scalar subquery that is selected has been looked at there.
    if (is(source, Subquery) && kindOf(source._.sql) === Kind.Embedded) return;
    throw new Violation(
      `uses a whole row with ${describeColumn(column)}, ${MEANS_NOTHING}`,
      source,
    );
  }

  /** A statement that another dialect has built, or the application itself. */
  #foreign(root: SQL, fields: Fields, embedded: boolean): void {
    const selected = flattenFields(fields);
    const select = readSelect(root);
    const encrypted = selected.map(({ field }) => encryptedColumnOf(field)).find(Boolean);
    if (!select) {
      if (encrypted) {
        throw new Violation(
          `selects ${
            describeColumn(encrypted)
          } in a statement that was not built with the wrapped ` +
            "database, build it with that",
          root,
        );
      }
      const hidden = embedded && !this.#raw && !isOwnSelect(root) ? sourceIn(root) : undefined;
      if (hidden) {
        throw new Violation(
          `uses a table with ${
            describeColumn(hidden)
          } in a statement that was not built with the wrapped database, build it with that`,
          root,
        );
      }
      return this.#chunks(root);
    }
    if (select.distinct) assertDistinct(selected, root.queryChunks);
    for (const chunk of root.queryChunks) {
      // What is selected there is looked at where the statement around it selects it.
      if (chunk !== select.selection || !encrypted) this.part(chunk, root);
    }
  }
}

/**
 * Refuses DISTINCT where equal values would count as different ones. With the primary key among what is
 * selected they stand in the same row anyway.
 *
 * @throws {TypeError} The selection has an encrypted column, but not the primary key of its table.
 */
export function assertDistinct(
  selected: readonly Field[],
  sources: readonly unknown[],
): void {
  // What is selected there may be of several tables, whatever the names.
  const subqueries = sources.flatMap((source) => is(source, Subquery) ? source._.alias : []);
  for (const { field } of selected) {
    const column = encryptedColumnOf(field);
    if (!column) continue;
    const ofSubquery = is(field, Column) && subqueries.includes(getTableName(field.table));
    if (is(field, Column) && !ofSubquery && hasPrimaryKeyOf(field, selected)) continue;
    refuse(
      "SELECT",
      `DISTINCT compares ${describeColumn(column)}, whose equal values are stored differently; ` +
        (ofSubquery
          ? "of a subquery no primary key is known, make it distinct within"
          : "select the primary key of its table, too"),
    );
  }
}

function hasPrimaryKeyOf({ table }: Column, selected: readonly Field[]): boolean {
  const key = primaryKeyOf(table);
  return key.length > 0 &&
    key.every((part) =>
      selected.some(({ field }) =>
        is(field, Column) && getTableName(field.table) === getTableName(table) &&
        field.name === part
      )
    );
}

const anotherCopy = (column: object): string =>
  `uses ${describeColumn(column)}, which another copy of this package made; ` +
  "the application and its schema have to load the same one";

// Told by the prototype alone, once for each class: asking Drizzle walks up all of them each time.
const Kind = {
  Other: 0,
  Text: 1,
  Param: 2,
  Column: 3,
  Sql: 4,
  Embedded: 5,
  Aliased: 6,
  Subquery: 7,
  Rows: 8,
  Source: 9,
} as const;
type Kind = typeof Kind[keyof typeof Kind];

const kinds = new WeakMap<object, Kind>();

function kindOf(part: object): Kind {
  // Not `part.constructor`: the proxies of subqueries take that for the name of a column.
  const constructor = Object.getPrototypeOf(part)?.constructor;
  if (typeof constructor !== "function") return Kind.Other;
  let kind = kinds.get(constructor);
  if (kind === undefined) kinds.set(constructor, kind = resolveKind(part));
  return kind;
}

function resolveKind(part: object): Kind {
  // Drizzle 1.0 lets instanceof hold for all of its own classes that the given one extends.
  if (part.constructor === EmbeddedStatement) return Kind.Embedded;
  for (const text of [StringChunk, Name, Placeholder]) if (is(part, text)) return Kind.Text;
  for (const source of [Table, View]) if (is(part, source)) return Kind.Source;
  if (is(part, Param)) return Kind.Param;
  if (is(part, Column)) return Kind.Column;
  if (is(part, SQL)) return Kind.Sql;
  if (is(part, SQL.Aliased)) return Kind.Aliased;
  if (is(part, Subquery)) return Kind.Subquery;
  const { cells, encoders, constructor } = part as Partial<Rows> & object;
  // The values of an INSERT in Drizzle 1.0, whose class is not exported. Whatever is sent as JSON has none.
  return constructor !== Object && Array.isArray(cells) && Array.isArray(encoders)
    ? Kind.Rows
    : Kind.Other;
}

/** The text around the one operand of what Drizzle's functions build: forms that mean something to the rule. */
const forms = once(() => ({
  column: formsOf((probe) => [
    // As applications write it, and as each line of Drizzle does.
    sql`${probe} is null`,
    sql`${probe} is not null`,
    isNull(probe),
    isNotNull(probe),
    count(probe),
  ]),
  statement: formsOf((probe) => [exists(probe), notExists(probe)]),
  sorting: formsOf((probe) => [min(probe), max(probe)]),
}));

function isAllowed(expression: SQL, operand: unknown, kind: "column" | "statement"): boolean {
  const form = formOf(expression, operand);
  return form !== undefined && forms()[kind].has(form);
}

/** Whether an expression is `min` or `max` of an operand, which sort, though what they select is a value. */
export function isSorting(expression: SQL, operand: unknown): boolean {
  const form = formOf(expression, operand);
  return form !== undefined && forms().sorting.has(form);
}

function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => made ??= make();
}

function formsOf(build: (probe: SQL) => SQL[]): Set<string> {
  const probe = sql`?`;
  return new Set(build(probe).map((expression) => formOf(expression, probe)!));
}

/** `undefined` where the expression has anything but text beside the operand. */
function formOf({ queryChunks }: SQL, operand: unknown): string | undefined {
  let form = "";
  for (const chunk of queryChunks) {
    if (chunk === operand) form += "\0";
    else if (is(chunk, StringChunk)) form += textOf(chunk);
    else if (chunk !== undefined) return undefined;
  }
  return form;
}

/** Whether the application has written a SELECT in words of its own: builders hide what they select, it shows. */
function isOwnSelect({ queryChunks }: SQL): boolean {
  const first = queryChunks.find((chunk) =>
    chunk !== undefined && !(is(chunk, StringChunk) && textOf(chunk).trim() === "")
  );
  return is(first, StringChunk) && /^\s*\(?\s*(?:select|with)\b/i.test(textOf(first));
}

/** An encrypted column of a table that a statement names. Of tables with an alias only the names are left. */
function sourceIn({ queryChunks }: SQL): object | undefined {
  return queryChunks.map((chunk) =>
    is(chunk, SQL) ? sourceIn(chunk) : is(chunk, Table) ? encryptedColumnIn(chunk) : undefined
  ).find(Boolean);
}

/** Words that a table or subquery stands behind where its rows are selected from, or written to. */
const SOURCE_WORDS: ReadonlySet<string> = new Set(
  "from join lateral only into update using of view concurrently table".split(" "),
);

/** Words that no list of tables goes across. */
const OTHER_WORDS: ReadonlySet<string> = new Set(
  ("select where on set values returning having by and or not case when then else end limit " +
    "offset in between like is filter over").split(" "),
);

const TOKEN = /[\w$]+|"[^"]*"|[^\s\w]/g;

/** Whether what was sent before ends as a list of tables does, read backwards: all else stays a value. */
function standsAsSource(before: readonly object[]): boolean {
  let depth = 0;
  let opened = false;
  for (let index = before.length - 1; index >= 0; index--) {
    const chunk = before[index];
    const tokens = is(chunk, StringChunk) ? textOf(chunk).toLowerCase().match(TOKEN) ?? [] : ["?"];
    for (const token of tokens.reverse()) {
      if (opened) return SOURCE_WORDS.has(token);
      if (token === ")") depth++;
      else if (token === "(" && depth > 0) depth--;
      else if (token === "(") opened = true;
      else if (depth > 0) continue;
      else if (SOURCE_WORDS.has(token)) return true;
      else if (OTHER_WORDS.has(token) || !/^[\w".,?]/.test(token)) return false;
    }
  }
  return false;
}

/** A list in Drizzle 0.x, a string in 1.0. */
export function textOf({ value }: StringChunk): string {
  return [value].flat().join("");
}

/** The selection of what any `buildSelectQuery` of Drizzle puts together, and whether it is DISTINCT. */
function readSelect({ queryChunks }: SQL): { selection: unknown; distinct: boolean } | undefined {
  const chunks = queryChunks.filter((chunk) =>
    chunk !== undefined && !(is(chunk, StringChunk) && textOf(chunk) === "")
  );
  const text = (chunk: unknown) => is(chunk, StringChunk) ? textOf(chunk) : undefined;
  const select = chunks.findIndex((chunk) => text(chunk) !== undefined);
  if (text(chunks[select]) !== "select") return undefined;
  const space = text(chunks[select + 1]) === " " ? select + 1 : select + 2;
  if (text(chunks[space]) !== " " || text(chunks[space + 2]) !== " from ") return undefined;
  const distinct = space === select + 2 ? chunks[select + 1] : undefined;
  return {
    selection: chunks[space + 1],
    // With ON, what it compares stands there, too.
    distinct: is(distinct, SQL) && distinct.queryChunks.length === 1,
  };
}
