/**
 * Permits: the expressions in which encrypted columns may appear. Drizzle's operators are plain
 * functions without a hook, so expressions are read when a statement takes them, and copied with
 * stand-ins in exactly these forms. Anything not read here, or missed, stays refused: its name
 * cannot be written.
 */

import { type Column, type Name, type SQL, sql, type StringChunk, Subquery } from "drizzle-orm";
import { describeColumn, encryptedColumns, isEncrypted, isReadable } from "./encrypted_column.ts";
import { ORIGINAL_NAME, placeOf, readable, refuse, refuseUse } from "./encrypted_column.ts";
import { Gate, withChunks } from "./gate.ts";
import { fieldsIn, Scope } from "./names.ts";
import { type Builder, flattenChunks, kindOf, mapChanged } from "./parts.ts";

/**
 * An expression with the permitted stand-ins.
 *
 * @param scope The statement that contains it.
 * @param bare Whether Drizzle writes columns without their tables here.
 */
export function permit(expression: SQL, scope: Scope, bare = false): SQL {
  const { queryChunks: around } = expression;
  const permitted = mapChanged<unknown>(
    around,
    (part, index) => permitPart(part, scope, bare, around, index),
  );
  return permitted === around ? expression : withChunks(expression, permitted);
}

/** A statement within an expression: opened in the given form only. */
function permitStatement(
  given: SQL,
  form: RegExp,
  scope: Scope,
  around: readonly unknown[],
  index: number,
): SQL {
  const gate = Gate.of(given);
  if (!gate) return permit(given, scope);
  return gate.column && has(form, around, index) ? Gate.open(given) : given;
}

/** The same for any part of a statement, possibly within an expression. */
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
      if (isAliasedTable(part as SQL)) assertOwnWords(around, scope);
      return permitStatement(part as SQL, ASKED_FOR, scope, around, index);
    case "aliased":
      scope.mentionAlias(part as SQL.Aliased);
      return part;
    case "subquery": {
      const { sql: inner, selectedFields, alias, isWith } = (part as Subquery)._;
      const opened = isWith ? inner : permitStatement(inner, SELECTED_FROM, scope, around, index);
      return opened === inner ? part : new Subquery(opened, selectedFields, alias);
    }
    case "view":
      // Its expressions are written by their aliases, so nothing else would refuse them.
      for (const { field } of fieldsIn(part as object)) {
        const { sql: expression = field } = field as Partial<SQL.Aliased>;
        if (kindOf(expression) === "sql") {
          permit(expression as SQL, new Scope(scope.nameIn, scope.verb));
        }
      }
      return part;
    case "table":
      if (around.length > 1) {
        assertOwnWords([part, ...around.filter((part) => kindOf(part) === "sql")], scope);
      }
      return part;
    case "other":
      if (Array.isArray(part)) return mapChanged(part, (element) => permitPart(element, scope));
      // Builders, whose statements Drizzle puts in parentheses.
      return typeof part === "object" && part && "dialect" in part && "getSQL" in part
        ? sql`(${permitStatement((part as Builder).getSQL(), ASKED_FOR, scope, around, index)})`
        : part;
    default:
      return part;
  }
}

/** Whether an expression is a table with its alias, as Drizzle writes it in FROM. */
const isAliasedTable = ({ queryChunks }: SQL): boolean =>
  queryChunks.some((part) => kindOf(part) === "name") &&
  queryChunks.some((part) => ["sql", "table"].includes(kindOf(part)));

/**
 * Refuses the statement of another builder that reads encrypted columns: it has the columns' names
 * in an expression beside the table or its name. The application's own SQL has both in the same
 * expression.
 */
export function assertOwnWords(parts: readonly unknown[], { nameIn }: Scope): void {
  const names = parts.flatMap(flattenChunks).map((part) =>
    kindOf(part) === "table"
      ? (part as { [ORIGINAL_NAME]: string })[ORIGINAL_NAME]
      : kindOf(part) === "name" && (part as Name).value
  );
  for (const column of encryptedColumns.values()) {
    if (names.includes(placeOf(column).table) && names.includes(nameIn(column))) {
      refuseForeign(column);
    }
  }
}

/** Refuses a statement that contains only names. */
export const refuseForeign = (column: object): never =>
  refuse(
    `reads ${describeColumn(column)} in a statement that was not built with the wrapped ` +
      "database, build it with that",
  );

/** Blanks, the text around a form's one operand, and what may not precede a keyword. */
const [B, BEFORE] = [String.raw`[ \t\n\r\f]`, String.raw`(?<![\w$."\x80-\uffff]|\.[ \t\n\r\f]*)`];
const OPERAND = String.raw`([ \t\n\r\f(]*)\0([ \t\n\r\f)]*)`;
const COUNTED = new RegExp(String.raw`${BEFORE}count${B}*\(${OPERAND}\)`, "i");
const TESTED = new RegExp(String.raw`^${OPERAND}is${B}+(?:not${B}+)?null[ \t\n\r\f)]*$`, "i");
const ASKED_FOR = new RegExp(`${BEFORE}exists${OPERAND}`, "i");
/** Directly after FROM, JOIN or LATERAL: Drizzle's own `$count`, and templates. */
const SELECTED_FROM = new RegExp(
  String
    .raw`(?:(?:^|[ \n),])(?:join|lateral)|(?<!distinct${B}*|--.*)[ \n)]from)${B}+()\0()`,
  "i",
);

/** Whether an operand is in a form, within balanced parentheses. */
function has(form: RegExp, around: readonly unknown[], index: number): boolean {
  const text = textOf(around, index);
  const [, opened, closed] = form.exec(text) ?? [];
  if (opened === undefined) return false;
  return form === TESTED || closed!.split(")").length >= opened.split("(").length;
}

/**
 * The text of an expression, with one control character for the operand and another for any part
 * that is not text.
 */
function textOf(parts: readonly unknown[], operand = -1): string {
  let text = "";
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index];
    const kind = kindOf(part);
    if (index === operand) text += "\0";
    else if (kind === "sql") text += textOf((part as SQL).queryChunks);
    else if (kind === "name") text += `"${(part as Name).value.replaceAll('"', '""')}"`;
    // A list in Drizzle 0.x, a string in 1.0.
    else if (kind === "text") text += [(part as StringChunk).value].flat().join("");
    else if (part !== undefined) text += "\x01";
  }
  return text;
}

/** The text as PostgreSQL reads it: lower case, with blanks and quotes only where they matter. */
export const wordsOf = (...parts: readonly unknown[]): string =>
  textOf(parts).replace(
    /"(?:[^"]|"")*"|[ \t\n\r\f]*([.,])[ \t\n\r\f]*|[A-Z]+/g,
    (found, mark) =>
      mark ?? found.replace(/^"([a-z_][a-z0-9_]*)"$/, "$1").replace(/^[A-Z]+$/, (letters) =>
        letters.toLowerCase()),
  ).trim();
