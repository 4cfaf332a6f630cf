/** What the operator sees: results on standard output, all else on standard error. */

import process from "node:process";
import * as util from "node:util";

type Style = "bold" | "dim" | "green" | "red" | "yellow";

/** A stream that text is written to. */
export interface Output {
  /** Whether a person looks at it. */
  readonly isTerminal: boolean;
  /** Width of the terminal, in characters. */
  readonly columns: number;
  write(text: string): void;
  line(text?: string, style?: Style): void;
  /** Coloured, where colours are wanted. */
  style(style: Style, text: string): string;
}

function outputTo(stream: NodeJS.WriteStream): Output {
  // Both are customs of terminals: https://no-color.org, and TERM=dumb of old.
  const coloured = stream.isTTY && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns || 80;
    },
    write: (text) => void stream.write(text),
    line(text = "", style) {
      this.write(`${style ? this.style(style, text) : text}\n`);
    },
    style: (style, text) =>
      // Node has it since 20.12.
      coloured && typeof util.styleText === "function"
        ? util.styleText(style, text, { validateStream: false })
        : text,
  };
}

/** Results. */
export const stdout: Output = outputTo(process.stdout);
/** Progress, hints and errors. */
export const stderr: Output = outputTo(process.stderr);

/** Writes a number for people: 1,234,567. */
export function formatNumber(number: number): string {
  return number.toLocaleString("en-US");
}

/** Writes a number with what it counts: "1 row", "2 rows". */
export function count(number: number, singular: string, plural = `${singular}s`): string {
  return `${formatNumber(number)} ${number === 1 ? singular : plural}`;
}
