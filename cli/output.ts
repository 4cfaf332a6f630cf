/** The output: results on standard output, everything else on standard error. */

import process from "node:process";
import * as util from "node:util";

type Style = "bold" | "dim" | "green" | "red" | "yellow";

/** Text with a style, applied if colours are enabled. */
export interface Styled {
  readonly style: Style;
  readonly text: string;
}

/** A part of a line. Characters that are not printable are escaped. */
export type Part = string | Styled;

/** Gives text a style. */
export function styled(style: Style, text: string): Styled {
  return { style, text };
}

/** Returns to the start of the line and erases it (ECMA-48: CR, EL). */
const CLEAR = "\r\x1b[K";

/**
 * Characters that control a terminal or reorder text: controls (ECMA-48, also 8-bit), format
 * characters such as those of bidirectional text (Unicode Standard Annex 9), line and paragraph
 * separators, lone surrogates.
 */
const NOT_PRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** An output stream. */
export interface Output {
  /** Whether it is a terminal. */
  readonly isTerminal: boolean;
  /** The terminal's width in characters. */
  readonly columns: number;
  /** Writes one line. */
  line(...parts: Part[]): void;
  /** Writes this program's own text without escaping. */
  text(text: string): void;
  /** Writes a value as JSON. */
  json(value: unknown): void;
  /** On a terminal: replaces the cursor's line. */
  frame(...parts: Part[]): void;
}

function outputTo(stream: NodeJS.WriteStream): Output {
  // https://no-color.org; TERM=dumb means a terminal without escape sequences.
  const coloured = stream.isTTY && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
  const render = (part: Part): string => {
    const { style, text } = typeof part === "string" ? { style: undefined, text: part } : part;
    const shown = printable(text);
    // Node.js has it from 20.12.
    return coloured && style !== undefined && typeof util.styleText === "function"
      ? util.styleText(style, shown, { validateStream: false })
      : shown;
  };
  const write = (text: string) => void stream.write(text);
  // A closed reader, such as `head` or a closed terminal, must not end work in progress.
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

/** Escapes characters that are not printable. */
export function printable(text: string): string {
  return text.replace(
    NOT_PRINTABLE,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** JSON that escapes characters that are not printable (RFC 8259, section 7). */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, inner) => typeof inner === "bigint" ? `${inner}` : inner)
    .replace(
      NOT_PRINTABLE,
      (character) =>
        character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
          .join(""),
    );
}

/** Formats a number: 1,234,567. */
export function formatNumber(number: number): string {
  return number.toLocaleString("en-US");
}

/** Formats a number with its noun: "1 row", "2 rows". */
export function count(number: number, singular: string, plural = `${singular}s`): string {
  return `${formatNumber(number)} ${number === 1 ? singular : plural}`;
}
