/** Shows how far a run is. */

import { count, formatNumber, type Output } from "./output.ts";

/** Without a terminal, a line is printed each time when so much more is done. */
const LINE_EVERY = 0.1;

/** How far the work at one table is, in rows. */
export interface Progress {
  readonly total: number;
  readonly scanned: number;
}

/** Shows the progress of one table. */
export interface ProgressDisplay {
  /** `details` stands in lines alone; a bar has no room for it. */
  update(progress: Progress, details?: string): void;
  /** Removes what does not stay. */
  end(): void;
}

/** A bar on a terminal, lines elsewhere. */
export function showProgress(output: Output, table: string): ProgressDisplay {
  return output.isTerminal ? bar(output, table) : lines(output, table);
}

function bar(output: Output, table: string): ProgressDisplay {
  // Back to the beginning of the line, which is then erased (ECMA-48: CR, EL).
  const clear = "\r\x1b[K";
  return {
    update(progress) {
      const done = ratio(progress);
      const head = `${table} `;
      const tail = ` ${String(Math.floor(100 * done)).padStart(3)} %  ${
        formatNumber(progress.scanned)
      } of ${count(progress.total, "row")}`;
      // One column stays free: terminals wrap in the last one.
      const room = output.columns - 1 - head.length - tail.length;
      const width = Math.min(40, room);
      const filled = Math.round(done * width);
      const drawn = width < 5 ? "" : output.style("green", "█".repeat(filled)) +
        output.style("dim", "░".repeat(width - filled));
      output.write(
        clear + (room < 0 ? tail.trim().slice(0, output.columns - 1) : head + drawn + tail),
      );
    },
    end: () => output.write(clear),
  };
}

function lines(output: Output, table: string): ProgressDisplay {
  let next = LINE_EVERY;
  return {
    update(progress, details) {
      const done = ratio(progress);
      if (done < next) return;
      next = (Math.floor(done / LINE_EVERY) + 1) * LINE_EVERY;
      output.line(
        `${table}: ${formatNumber(progress.scanned)} of ${count(progress.total, "row")}` +
          (details === undefined ? "" : `, ${details}`),
      );
    },
    end: () => {},
  };
}

/** Rows that were added meanwhile make no more than the whole. */
function ratio({ scanned, total }: Progress): number {
  return total === 0 ? 1 : Math.min(1, scanned / total);
}
