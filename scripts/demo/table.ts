/** The table that the demo prints, a row at a time. */

const COLUMNS = [
  ["event", 26],
  ["", 1],
  ["context", 8],
  ["on", 3],
  ["variant", 7],
  ["secret in the database", 27],
  ["secret as read", 15],
] as const;

/** The longest line, in characters. */
export const WIDTH = COLUMNS.reduce((sum, [, width]) => sum + width + 1, -1);

/** Prints a row; longer texts are cut in the middle. */
export function printRow(...cells: string[]): void {
  const fitted = COLUMNS.map(([, width], index) => fit(cells[index] ?? "", width));
  console.log(fitted.join(" ").trimEnd());
}

/** Prints the head. */
export function printHead(): void {
  printRow(...COLUMNS.map(([title]) => title));
  console.log(COLUMNS.map(([, width]) => "─".repeat(width)).join(" "));
}

function fit(text: string, width: number): string {
  if (text.length <= width) return text.padEnd(width);
  const kept = width - 1;
  return `${text.slice(0, Math.ceil(kept / 2))}…${text.slice(text.length - Math.floor(kept / 2))}`;
}
