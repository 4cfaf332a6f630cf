/** Shows how far the work at a table is. */

import { count, formatNumber, stderr } from "./output.ts";

/** Back to the beginning of the line, which is then erased (ECMA-48: CR, EL). */
const CLEAR = "\r\x1b[K";

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
  let tenths = 0;
  try {
    return await work(({ total, scanned }, details) => {
      // Rows that were added meanwhile make no more than the whole.
      const done = total === 0 ? 1 : Math.min(1, scanned / total);
      const rows = `${formatNumber(scanned)} of ${count(total, "row")}`;
      if (stderr.isTerminal) {
        stderr.write(CLEAR + bar(table, done, rows));
      } else if (details !== undefined && Math.floor(done * 10) > tenths) {
        tenths = Math.floor(done * 10);
        stderr.line(`${table}: ${rows}, ${details}`);
      }
    });
  } finally {
    if (stderr.isTerminal) stderr.write(CLEAR);
  }
}

/** A bar that fits into one line; its head and itself have to go where the terminal is narrow. */
function bar(table: string, done: number, rows: string): string {
  const tail = ` ${String(Math.floor(100 * done)).padStart(3)} %  ${rows}`;
  // One column stays free: terminals wrap in the last one.
  const room = stderr.columns - 1 - `${table} `.length - tail.length;
  if (room < 0) return tail.trim().slice(0, stderr.columns - 1);
  const width = room < 5 ? 0 : Math.min(40, room);
  const filled = Math.round(done * width);
  return `${table} ` +
    stderr.style("green", "█".repeat(filled)) +
    stderr.style("dim", "░".repeat(width - filled)) + tail;
}
