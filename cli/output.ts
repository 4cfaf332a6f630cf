/** What the operator sees: results on standard output, all else on standard error. */

import process from "node:process";
import * as util from "node:util";

type Style = "bold" | "dim" | "green" | "red" | "yellow";

/** Text in a style, where colours are wanted. */
export interface Styled {
  readonly style: Style;
  readonly text: string;
}

/** A piece of a line. Terminals get what of it can be printed, whatever it holds. */
export type Part = string | Styled;

/** Puts text in a style. */
export function styled(style: Style, text: string): Styled {
  return { style, text };
}

/** Back to the beginning of the line, which is then erased (ECMA-48: CR, EL). */
const CLEAR = "\r\x1b[K";

/**
 * Characters that do something to a terminal, or to the order of the text around them, instead of being seen:
 * controls (ECMA-48, the 8-bit ones included), format characters such as those of bidirectional text (Unicode
 * Standard Annex 9), line and paragraph separators, lone surrogates.
 */
const NOT_PRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** A stream that text is written to. */
export interface Output {
  /** Whether a person looks at it. */
  readonly isTerminal: boolean;
  /** Width of the terminal, in characters. */
  readonly columns: number;
  /** Writes one line. */
  line(...parts: Part[]): void;
  /** Writes a text of this program's own, of several lines. */
  text(text: string): void;
  /** Writes a value as JSON. */
  json(value: unknown): void;
  /** On a terminal: shows parts in the line that the cursor is in, in place of what is there. */
  frame(...parts: Part[]): void;
}

function outputTo(stream: NodeJS.WriteStream): Output {
  // Both are customs of terminals: https://no-color.org, and TERM=dumb of old.
  const coloured = stream.isTTY && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
  const render = (part: Part): string => {
    const { style, text } = typeof part === "string" ? { style: undefined, text: part } : part;
    const shown = printable(text);
    // Node has it since 20.12.
    return coloured && style !== undefined && typeof util.styleText === "function"
      ? util.styleText(style, shown, { validateStream: false })
      : shown;
  };
  const write = (text: string) => void stream.write(text);
  // A reader that is gone, such as `head` or a closed terminal, must not end work that is under way.
  stream.on("error", () => {});
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns || 80;
    },
    line: (...parts) => write(`${parts.map(render).join("")}\n`),
    text: write,
    json: (value) => write(`${toJson(value)}\n`),
    frame: (...parts) => write(CLEAR + parts.map(render).join("")),
  };
}

/** Results. */
export const stdout: Output = outputTo(process.stdout);
/** Progress, hints and errors. */
export const stderr: Output = outputTo(process.stderr);

/** Shows each character that cannot be printed by its number. */
export function printable(text: string): string {
  return text.replace(
    NOT_PRINTABLE,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** JSON in which each character that cannot be printed is escaped (RFC 8259, section 7). */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, inner) => typeof inner === "bigint" ? `${inner}` : inner)
    .replace(
      NOT_PRINTABLE,
      (character) =>
        character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
          .join(""),
    );
}

/** Writes a number for people: 1,234,567. */
export function formatNumber(number: number): string {
  return number.toLocaleString("en-US");
}

/** Writes a number with what it counts: "1 row", "2 rows". */
export function count(number: number, singular: string, plural = `${singular}s`): string {
  return `${formatNumber(number)} ${number === 1 ? singular : plural}`;
}
