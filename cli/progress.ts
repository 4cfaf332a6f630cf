/** Shows progress. */

import { count, formatNumber, type Part, printable, stderr, styled } from "./output.ts";

/** The progress of some work. */
export interface Progress {
  /** The name of the work. */
  readonly label: string;
  /** The unit counted, in the singular. */
  readonly unit: string;
  readonly done: number;
  readonly total: number;
}

/**
 * Shows progress: on a terminal, a bar that disappears at the end; elsewhere a line for each tenth
 * that has details.
 */
export async function withProgress<T>(
  work: (update: (progress: Progress, details?: string) => void) => Promise<T>,
): Promise<T> {
  let tenths = 0;
  try {
    return await work(({ label, unit, done, total }, details) => {
      // Includes items added in the meantime.
      const all = Math.max(total, done);
      const part = all === 0 ? 1 : done / all;
      const text = `${formatNumber(done)} of ${count(all, unit)}`;
      if (stderr.isTerminal) {
        stderr.frame(...bar(printable(label), part, text));
      } else if (details !== undefined && Math.floor(part * 10) > tenths) {
        tenths = Math.floor(part * 10);
        stderr.line(`${label}: ${text}, ${details}`);
      }
    });
  } finally {
    if (stderr.isTerminal) stderr.frame();
  }
}

/** Like `withProgress`, for the rows of a table. */
export function withTableProgress<T>(
  table: string,
  work: (
    update: (rows: { readonly total: number; readonly scanned: number }, details?: string) => void,
  ) => Promise<T>,
): Promise<T> {
  return withProgress((update) =>
    work(({ total, scanned }, details) =>
      update({ label: table, unit: "row", done: scanned, total }, details)
    )
  );
}

/** A bar that fits into one line; a narrow terminal gets no label or no bar. */
function bar(label: string, part: number, text: string): Part[] {
  const tail = ` ${String(Math.floor(100 * part)).padStart(3)} %  ${text}`;
  // Keeps the last column free: terminals wrap there.
  const room = stderr.columns - 1 - `${label} `.length - tail.length;
  if (room < 0) return [tail.trim().slice(0, stderr.columns - 1)];
  const width = room < 5 ? 0 : Math.min(40, room);
  const filled = Math.round(part * width);
  return [
    `${label} `,
    styled("green", "█".repeat(filled)),
    styled("dim", "░".repeat(width - filled)),
    tail,
  ];
}
