/**
 * What may be said of encrypted columns in expressions. Drizzle's functions for it are free ones that ask
 * nobody, so statements are written without permits first; only of one that is refused a copy is made, in which
 * exactly these forms have stand-ins. What is missed here stays refused.
 */

import {
  Column,
  count,
  exists,
  is,
  isNotNull,
  isNull,
  notExists,
  SQL,
  sql,
  StringChunk,
  Subquery,
} from "drizzle-orm";
import { isEncrypted, readable } from "./encrypted_column.ts";
import { Gate, withChunks } from "./gate.ts";

/** Has one of Drizzle's builders build its statement with our dialect. */
export type Adopt = (builder: { getSQL(): SQL }) => { getSQL(): SQL };

/** An expression with what is permitted in it. */
export function permit(expression: SQL, adopt: Adopt): SQL {
  const { queryChunks } = expression;
  let copy: unknown[] | undefined;
  for (const [index, chunk] of queryChunks.entries()) {
    const permitted = permitPart(chunk, adopt, expression, queryChunks[index - 1]);
    if (permitted !== chunk) (copy ??= [...queryChunks])[index] = permitted;
  }
  return copy ? withChunks(expression, copy) : expression;
}

function permitPart(part: unknown, adopt: Adopt, parent: SQL, before: unknown): unknown {
  // Most are texts.
  if (typeof part !== "object" || part === null || is(part, StringChunk)) return part;
  if (Array.isArray(part)) {
    const copy = part.map((element) => permitPart(element, adopt, new SQL([]), undefined));
    return copy.some((element, index) => element !== part[index]) ? copy : part;
  }
  const permitStatement = (statement: SQL) => {
    const { columns = [] } = Gate.of(statement) ?? {};
    const open = columns.length === 0 || hasForm(parent, part, "statement") ||
      (is(part, Subquery) && isSource(before));
    return open ? permit(Gate.open(statement), adopt) : statement;
  };
  if (is(part, SQL)) return permitStatement(part);
  if (is(part, Column) && isEncrypted(part)) {
    return hasForm(parent, part, "column") ? readable(part) : part;
  }
  if (is(part, Subquery)) {
    const { sql: inner, selectedFields, alias, isWith } = part._;
    return isWith ? part : new Subquery(permitStatement(inner), selectedFields, alias);
  }
  // The values of an INSERT in Drizzle 1.0, whose class is not exported. What is sent as JSON has none.
  const { cells, encoders, constructor } = part as { cells?: unknown; encoders?: unknown };
  if (constructor !== Object && Array.isArray(cells) && Array.isArray(encoders)) {
    const permitted = permitPart(cells, adopt, new SQL([]), undefined);
    return Object.create(part, { cells: { value: permitted } });
  }
  // Builders, around whose statements Drizzle puts parentheses.
  if (!("dialect" in part && "getSQL" in part)) return part;
  return sql`(${permitStatement(adopt(part as { getSQL(): SQL }).getSQL())})`;
}

/** Drizzle's own `$count`, and templates that select from a subquery. */
const isSource = (before: unknown) =>
  is(before, StringChunk) && /(?<!\bdistinct\s+)\b(?:from|join|lateral)\s+$/i.test(textOf(before));

let forms: { column: ReadonlySet<string>; statement: ReadonlySet<string> } | undefined;

/** The texts around the operand, as applications write them, and as each line of Drizzle does. */
function knownForms() {
  const probe = sql`?`;
  const formsOf = (...expressions: SQL[]) =>
    new Set(expressions.map((expression) => formOf(expression, probe)!));
  const templates = [sql`${probe} is null`, sql`${probe} is not null`];
  return {
    column: formsOf(...templates, isNull(probe), isNotNull(probe), count(probe)),
    statement: formsOf(exists(probe), notExists(probe)),
  };
}

/** Whether an expression is, beside its one operand, one of the texts that mean something to the rule. */
function hasForm(expression: SQL, operand: unknown, kind: "column" | "statement"): boolean {
  const form = formOf(expression, operand);
  return form !== undefined && (forms ??= knownForms())[kind].has(form);
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

/** A list in Drizzle 0.x, a string in 1.0. */
export function textOf({ value }: StringChunk): string {
  return [value].flat().join("");
}
