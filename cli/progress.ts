/** Shows how far the work at a table is. */

import { count, formatNumber, type Part, printable, stderr, styled } from "./output.ts";

/**
 * Shows how far the work at a table is: a bar on a terminal, which goes away at the end; elsewhere a line for
 * each tenth that has details to log.
 */
export async function withProgress<T>(
  table: string,
  work: (
    update: (rows: { total: number; scanned: number }, details?: string) => void,
  ) => Promise<T>,
): Promise<T> {
  const shown = printable(table);
  let tenths = 0;
  try {
    return await work(({ total, scanned }, details) => {
      // Rows that were added in the meantime belong to the whole.
      const all = Math.max(total, scanned);
      const done = all === 0 ? 1 : scanned / all;
      const rows = `${formatNumber(scanned)} of ${count(all, "row")}`;
      if (stderr.isTerminal) {
        stderr.frame(...bar(shown, done, rows));
      } else if (details !== undefined && Math.floor(done * 10) > tenths) {
        tenths = Math.floor(done * 10);
        stderr.line(`${table}: ${rows}, ${details}`);
      }
    });
  } finally {
    if (stderr.isTerminal) stderr.frame();
  }
}

/** A bar that fits into one line; its head and itself have to go where the terminal is narrow. */
function bar(table: string, done: number, rows: string): Part[] {
  const tail = ` ${String(Math.floor(100 * done)).padStart(3)} %  ${rows}`;
  // One column stays free: terminals wrap in the last one.
  const room = stderr.columns - 1 - `${table} `.length - tail.length;
  if (room < 0) return [tail.trim().slice(0, stderr.columns - 1)];
  const width = room < 5 ? 0 : Math.min(40, room);
  const filled = Math.round(done * width);
  return [
    `${table} `,
    styled("green", "█".repeat(filled)),
    styled("dim", "░".repeat(width - filled)),
    tail,
  ];
}
