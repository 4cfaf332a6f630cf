/**
 * The table of results.
 *
 * @module
 */
import type { Cell, CellResult } from "./cell.ts";

/** Makes the table. */
export function resultTable(results: readonly (readonly [Cell, CellResult])[]): string {
  const rows = results.map(([cell, { versions, passed, failed }]) => [
    cell.name,
    versions,
    cell.shows,
    failed === 0 ? String(passed) : `${passed}, **${failed} failed**`,
  ]);
  return [["", "versions", "what runs", "passed"], ["---", "---", "---", "---"], ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
