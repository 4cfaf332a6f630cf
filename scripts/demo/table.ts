/** The table that the demo prints, a row at a time. */

import { stdout } from "../../cli/output.ts";

const COLUMNS = [
  ["event", 14],
  ["", 1],
  ["context", 8],
  ["on", 3],
  ["variant", 7],
  ["secret in the database", 24],
  ["secret as read", 15],
] as const;

/** Prints a row; longer texts are cut in the middle. */
export function printRow(...cells: string[]): void {
  const fitted = COLUMNS.map(([, width], index) => fit(cells[index] ?? "", width));
  const [stored, read] = fitted.splice(-2);
  stdout.line(
    `${fitted.join(" ")} ${stdout.style("dim", stored!)} ${stdout.style("green", read!.trimEnd())}`,
  );
}

/** Prints the head. */
export function printHead(): void {
  const titles = COLUMNS.map(([title, width]) => title.padEnd(width)).join(" ");
  stdout.line(stdout.style("bold", titles.trimEnd()));
  stdout.line(COLUMNS.map(([, width]) => "─".repeat(width)).join(" "));
}

/** Prints something that was tried. */
export function printTried(what: string, result: string): void {
  stdout.line(`${stdout.style("bold", what.padEnd(16))} ${result}`);
}

function fit(text: string, width: number): string {
  if (text.length <= width) return text.padEnd(width);
  return `${text.slice(0, Math.ceil((width - 1) / 2))}…${text.slice(-Math.floor((width - 1) / 2))}`;
}
