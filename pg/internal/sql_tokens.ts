/** The lexical structure of a PostgreSQL statement, as far as telling a parameter's place needs it. */

/** One token; literals and comments never become one that could be taken for a keyword or a parameter. */
export interface Token {
  /**
   * `word`: unquoted identifier or keyword, in lower case. `name`: quoted identifier. `literal`: string or
   * number. `parameter`: `$1`, or `:1` as the AWS Data API writes it. `symbol`: one character, or `::`.
   */
  readonly kind: "word" | "name" | "literal" | "parameter" | "symbol";
  readonly text: string;
}

// Lexical rules: PostgreSQL manual, section 4.1. Alternatives are ordered: the first that matches counts.
const LEXEMES = [
  /(?<space>\s+|--[^\n]*)/,
  /(?<comment>\/\*)/,
  /(?<literal>[eE]'[^'\\]*(?:(?:\\[^]|'')[^'\\]*)*'|(?:[bBxXnN]|[uU]&)?'[^']*'(?:'[^']*')*)/,
  /(?<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)/,
  /(?<parameter>\$\d+|:\d+)/,
  /(?<name>(?:[uU]&)?"[^"]*"(?:"[^"]*")*)/,
  /(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)/,
  /(?<number>\d[\w.]*)/,
  /(?<symbol>::|[^])/,
];

const LEXEME = new RegExp(LEXEMES.map((lexeme) => lexeme.source).join("|"), "y");

/** Splits a statement into its tokens, in time proportional to its length. */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = [];
  const lexeme = new RegExp(LEXEME);
  while (lexeme.lastIndex < sql.length) {
    const groups = lexeme.exec(sql)!.groups!;
    if (groups.comment !== undefined) {
      lexeme.lastIndex = endOfComment(sql, lexeme.lastIndex);
    } else if (groups.dollar !== undefined) {
      const end = sql.indexOf(groups.dollar, lexeme.lastIndex);
      lexeme.lastIndex = end < 0 ? sql.length : end + groups.dollar.length;
      tokens.push({ kind: "literal", text: "" });
    } else if (groups.literal !== undefined || groups.number !== undefined) {
      tokens.push({ kind: "literal", text: "" });
    } else if (groups.parameter !== undefined) {
      tokens.push({ kind: "parameter", text: groups.parameter });
    } else if (groups.name !== undefined) {
      tokens.push({ kind: "name", text: groups.name });
    } else if (groups.word !== undefined) {
      tokens.push({ kind: "word", text: groups.word.toLowerCase() });
    } else if (groups.symbol !== undefined) {
      tokens.push({ kind: "symbol", text: groups.symbol });
    }
  }
  return tokens;
}

// Block comments nest in PostgreSQL.
function endOfComment(sql: string, start: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = start;
  for (let depth = 1; depth > 0;) {
    const found = mark.exec(sql);
    if (!found) return sql.length;
    depth += found[0] === "/*" ? 1 : -1;
  }
  return mark.lastIndex;
}
