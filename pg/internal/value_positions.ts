/**
 * Tells which parameters of a statement are values that it stores.
 *
 * An encrypted value is different each time, so it means nothing anywhere else: compared in a condition it
 * never matches, and `where secret <> $1` matches every row. Where a parameter stands cannot be learned
 * from Drizzle, which encodes all of them alike; it can be read off the statement that is sent.
 */

import { type Token, tokenize } from "./sql_tokens.ts";

/** Where in the statement a token stands. */
interface Place {
  /** Index of the opening parenthesis around it, or -1. */
  readonly parenthesis: number;
  /** Index of the innermost `case` around it within the same parentheses, or -1. */
  readonly case: number;
  /** The clause of the innermost statement that it belongs to. */
  readonly clause: Clause;
}

type Clause = "insert" | "values" | "update" | "set" | "other";

/** A statement with, for each token, where it stands and, for parentheses and `case`, its other end. */
interface Statement {
  readonly tokens: readonly Token[];
  readonly places: readonly Place[];
  readonly partners: ReadonlyMap<number, number>;
}

/** What ends a value in a VALUES row, a SET clause or a function call. */
const AFTER_ASSIGNMENT = new Set([",", ")", ";", "where", "from", "returning"]);
const AFTER_BRANCH = new Set(["when", "else", "end"]);

/**
 * The parameters of a statement that are values in VALUES or SET, as indexes into the parameter list.
 *
 * A value may be cast, stand in parentheses, be an argument of `coalesce`, or be a result of `case`.
 * Everything that is not recognised is taken for a comparison.
 */
export function findStoredParameters(sql: string): ReadonlySet<number> {
  const statement = parse(tokenize(sql));
  const stored = new Set<number>();
  const compared = new Set<number>();
  const parameters = statement.tokens.filter(({ kind }) => kind === "parameter");
  // In a statement with $1, a colon and a number are the bounds of an array slice.
  const sign = parameters.some(({ text }) => text.startsWith("$")) ? "$" : ":";
  for (const [index, token] of statement.tokens.entries()) {
    if (token.kind !== "parameter" || !token.text.startsWith(sign)) continue;
    const parameter = Number(token.text.slice(1)) - 1;
    (isStored(statement, index, index) ? stored : compared).add(parameter);
  }
  // Raw statements may use one parameter twice.
  for (const parameter of compared) stored.delete(parameter);
  return stored;
}

function parse(tokens: readonly Token[]): Statement {
  const places: Place[] = [];
  const partners = new Map<number, number>();
  const pair = (start: number, end: number) => partners.set(start, end).set(end, start);
  const outer: { place: Place; cases: number[] }[] = [];
  let parenthesis = -1;
  let cases: number[] = [];
  let clause: Clause = "other";
  for (const [index, { kind, text }] of tokens.entries()) {
    if (text === ")" && kind === "symbol" && outer.length > 0) {
      pair(parenthesis, index);
      const frame = outer.pop()!;
      ({ parenthesis, clause } = frame.place);
      cases = frame.cases;
    }
    if (kind === "word" && text === "end" && cases.length > 0) pair(cases.pop()!, index);
    const place = { parenthesis, case: cases.at(-1) ?? -1, clause };
    places.push(place);
    if (text === "(" && kind === "symbol") {
      outer.push({ place, cases });
      parenthesis = index;
      cases = [];
      clause = "other";
    }
    if (kind === "word" && text === "case") cases.push(index);
    else if (kind === "word") clause = nextClause(clause, text, tokens[index - 1]?.text);
  }
  return { tokens, places, partners };
}

function nextClause(clause: Clause, word: string, previous: string | undefined): Clause {
  switch (word) {
    case "insert":
      return "insert";
    case "update":
      // Not the locking clause of a SELECT, `for update` and `for no key update`.
      return previous === "for" || previous === "key" ? "other" : "update";
    case "values":
      return clause === "insert" ? "values" : "other";
    case "set":
      return clause === "update" ? "set" : "other";
    case "with":
    case "select":
    case "delete":
    case "merge":
    case "from":
    case "using":
    case "join":
    case "on":
    case "where":
    case "group":
    case "having":
    case "order":
    case "limit":
    case "offset":
    case "union":
    case "intersect":
    case "except":
    case "returning":
      return "other";
    default:
      return clause;
  }
}

/** Whether the expression from `start` to `end` is a value that the statement stores. */
function isStored(statement: Statement, start: number, end: number): boolean {
  const { tokens, places, partners } = statement;
  end = skipCast(statement, end);
  const before = tokens[start - 1];
  const after = tokens[end + 1];
  const place = places[start]!;

  if (isWord(before, "then") || isWord(before, "else")) {
    const caseEnd = partners.get(place.case);
    return caseEnd !== undefined && after?.kind === "word" && AFTER_BRANCH.has(after.text) &&
      isStored(statement, place.case, caseEnd);
  }

  if (isSymbol(before, "=")) {
    return isAssignment(statement, start - 1) &&
      (after === undefined || AFTER_ASSIGNMENT.has(after.text));
  }

  const opening = place.parenthesis;
  const closing = partners.get(opening);
  if (closing === undefined || !(isSymbol(before, "(") || isSymbol(before, ","))) return false;
  const callee = tokens[opening - 1];
  if (isWord(callee, "cast") && isWord(after, "as")) {
    return isStored(statement, opening - 1, closing);
  }
  if (!(isSymbol(after, ",") || isSymbol(after, ")"))) return false;
  if (places[opening]!.clause === "values" && (isWord(callee, "values") || isSymbol(callee, ","))) {
    return true;
  }
  if (isWord(callee, "coalesce") || isWord(callee, "row")) {
    return isStored(statement, opening - 1, closing);
  }
  // Grouping parentheses, or the right side of `set (a, b) = ($1, $2)`; anything else calls a function.
  return (callee?.kind === "symbol" || isWord(callee, "then") || isWord(callee, "else")) &&
    isStored(statement, opening, closing);
}

/** Whether an equals sign assigns: `set column = …`, `, column = …`, `set (a, b) = …`. */
function isAssignment({ tokens, places, partners }: Statement, equals: number): boolean {
  if (places[equals]!.clause !== "set") return false;
  let target = equals - 1;
  if (isSymbol(tokens[target], ")")) {
    target = partners.get(target) ?? target;
  } else if (tokens[target]?.kind !== "name" && tokens[target]?.kind !== "word") {
    return false;
  }
  const before = tokens[target - 1];
  return isWord(before, "set") || isSymbol(before, ",");
}

/** The end of `expression::type`, with a schema, modifiers and array brackets. */
function skipCast({ tokens, partners }: Statement, end: number): number {
  while (isSymbol(tokens[end + 1], "::")) {
    end += 2;
    while (isSymbol(tokens[end + 1], ".")) end += 2;
    if (isSymbol(tokens[end + 1], "(")) end = partners.get(end + 1) ?? end;
    while (isSymbol(tokens[end + 1], "[")) end += 2;
  }
  return end;
}

function isWord(token: Token | undefined, text: string): boolean {
  return token?.kind === "word" && token.text === text;
}

function isSymbol(token: Token | undefined, text: string): boolean {
  return token?.kind === "symbol" && token.text === text;
}
