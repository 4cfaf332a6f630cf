/**
 * Permits: what may be said of encrypted columns in expressions. Drizzle's functions for it are free ones that ask
 * nobody, so expressions are read where a statement takes them, and a copy is made in which exactly these forms
 * have stand-ins. What is not read here, or missed, stays refused: its name cannot be written.
 */

import { type Column, type Name, SQL, sql, Subquery } from "drizzle-orm";
import {
  describeColumn,
  isEncrypted,
  isReadable,
  readable,
  refuse,
  refuseUse,
} from "./encrypted_column.ts";
import { Gate, withChunks } from "./gate.ts";
import { encryptedColumnsOf, fieldsIn, Scope } from "./names.ts";
import { type Builder, type Field, kindOf, mapChanged, textOf } from "./parts.ts";

/**
 * An expression with what is permitted in it.
 *
 * @param scope The statement that takes it.
 * @param bare Whether Drizzle writes columns without their tables here.
 */
export function permit(expression: SQL, scope: Scope, bare = false): SQL {
  const { queryChunks } = expression;
  const permitted = mapChanged<unknown>(
    queryChunks,
    (chunk, index) => permitPart(chunk, scope, bare, queryChunks, index),
  );
  return permitted === queryChunks ? expression : withChunks(expression, permitted);
}

/** The same for any part of a statement, which may stand somewhere in an expression. */
export function permitPart(
  part: unknown,
  scope: Scope,
  bare = false,
  around: readonly unknown[] = [],
  index = 0,
): unknown {
  switch (kindOf(part)) {
    case "column":
      if (!isEncrypted(part)) scope.mention(part as Column, bare);
      else if (!isReadable(part)) {
        return has(COUNTED, around, index) || has(TESTED, around, index)
          ? readable(part)
          : refuseUse(part);
      }
      return part;
    case "sql":
      return permitStatement(part as SQL, scope, () => has(ASKED_FOR, around, index));
    case "aliased":
      scope.mentionAlias(part as SQL.Aliased);
      return part;
    case "subquery": {
      const { sql: inner, selectedFields, alias, isWith } = (part as Subquery)._;
      if (isWith) return part;
      const statement = permitStatement(inner, scope, () => has(SELECTED_FROM, around, index));
      return statement === inner ? part : new Subquery(statement, selectedFields, alias);
    }
    case "param": {
      const { value } = part as { value: unknown };
      return isEncrypted(value) ? refuseUse(value, "takes for a value") : part;
    }
    case "view":
      // Expressions of it are written by their aliases.
      assertExpressions(fieldsIn(part as object), scope);
      return part;
    case "table":
      // Not in what our dialect has built.
      if (scope.verb) assertOwnWords(part as object, scope, around);
      return part;
    case "other":
      if (typeof part !== "object" || part === null) return part;
      return permitObject(part, scope, () => has(ASKED_FOR, around, index));
    default:
      return part;
  }
}

/** Refuses fields that are expressions of encrypted columns. */
export function assertExpressions(fields: readonly Field[], { naming, verb }: Scope): void {
  for (const { field } of fields) {
    const { sql: expression = field } = field as Partial<SQL.Aliased>;
    if (kindOf(expression) === "sql") permit(expression as SQL, new Scope(naming, verb));
  }
}

/** The gate of a statement is opened where it is in its place. */
function permitStatement(statement: SQL, scope: Scope, isInPlace: () => boolean): SQL {
  const gate = Gate.of(statement);
  if (!gate) return permit(statement, scope);
  if (gate.column && isInPlace()) return Gate.open(statement);
  gate.assertHarmless();
  return statement;
}

function permitObject(part: object, scope: Scope, isInPlace: () => boolean): unknown {
  if (Array.isArray(part)) return mapChanged(part, (element) => permitPart(element, scope));
  // Where the chunks of a statement were taken out of it.
  if (part instanceof Gate) return permitStatement(new SQL([part as never]), scope, isInPlace);
  // Builders, around whose statements Drizzle puts parentheses.
  if ("dialect" in part && "getSQL" in part) {
    const statement = scope.naming.adopt(part as Builder).getSQL();
    return sql`(${permitStatement(statement, scope, isInPlace)})`;
  }
  // The values of an INSERT in Drizzle 1.0, whose class is not exported. What is sent as JSON has none.
  const { cells, encoders, constructor } = part as { cells?: unknown; encoders?: unknown };
  if (constructor === Object || !Array.isArray(cells) || !Array.isArray(encoders)) return part;
  return Object.create(part, { cells: { value: permitObject(cells, scope, isInPlace) } });
}

/**
 * Refuses what another builder made of a table with encrypted columns: it leaves the names of columns in an
 * expression beside the table. An application's own words name a table in one breath with what they want of it.
 */
function assertOwnWords(table: object, { naming }: Scope, around: readonly unknown[]): void {
  const encrypted = encryptedColumnsOf(table).map(([, column]) => column);
  const assertUnnamed = (part: unknown) => {
    if (kindOf(part) === "sql") (part as SQL).queryChunks.forEach(assertUnnamed);
    if (kindOf(part) !== "name") return;
    const found = encrypted.find((column) => naming.nameIn(column) === (part as Name).value);
    if (found) refuseForeign(found);
  };
  if (encrypted.length > 0) around.filter((part) => kindOf(part) === "sql").forEach(assertUnnamed);
}

/** Refuses a statement of which only names are left. */
export const refuseForeign = (column: Column): never =>
  refuse(
    `reads ${describeColumn(column)} in a statement that was not built with the wrapped ` +
      "database, build it with that",
  );

const OPERAND = "\0";
/** Any other part of an expression than its words. */
const OTHER = "\x01";

/** The forms of expressions with one operand, between the parentheses around it. */
const COUNTED = /(?<![\w$."\x80-\uffff])count\((\(*)\0(\)*)\)/;
const TESTED = /^(\(*)\0(\)*) ?is (?:not )?null\)*$/;
const ASKED_FOR = /(?<![\w$."\x80-\uffff])exists ?(\(*)\0(\)*)/;
/** Right behind FROM, JOIN or LATERAL: Drizzle's own `$count`, and templates. */
const SELECTED_FROM = /(?:(?:^|[ ),])(?:join|lateral)|(?<!distinct|--.*|\/\*.*)[ )]from) ()\0()/;

function has(form: RegExp, around: readonly unknown[], index: number): boolean {
  const words = wordsOf(around, index);
  const [, opened, closed] = form.exec(words) ?? [];
  if (opened === undefined) return false;
  return form === TESTED
    ? words.split("(").length === words.split(")").length
    : closed!.length >= opened.length;
}

/** The words of an expression as PostgreSQL reads them: small letters, blanks and quotes where they matter. */
export function wordsOf(parts: readonly unknown[], operand = -1): string {
  const text = (part: unknown, at = -2): string => {
    if (at === operand) return OPERAND;
    const kind = kindOf(part);
    if (kind === "sql") return (part as SQL).queryChunks.map((chunk) => text(chunk)).join("");
    if (kind === "name") return `"${(part as Name).value.replaceAll('"', '""')}"`;
    return kind === "text" ? textOf(part) : part === undefined ? "" : OTHER;
  };
  return parts.map(text).join("").replace(
    /"(?:[^"]|"")*"|[ \t\n\r\f]*([().])[ \t\n\r\f]*|[ \t\n\r\f]+|[A-Z]+/g,
    (found, mark) =>
      mark ??
        (found.startsWith('"')
          ? found.replace(/^"([a-z_][a-z0-9_]*)"$/, "$1")
          : found.trim() && found.toLowerCase() || " "),
  ).trim();
}
