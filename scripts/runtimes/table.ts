/**
 * The table of results, and its place in the README.
 *
 * @module
 */
import type { Cell, CellResult } from "./cell.ts";

const BEGIN = "<!-- runtimes:begin -->";
const END = "<!-- runtimes:end -->";

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

/**
 * Puts the table between its markers.
 *
 * @param text The document.
 * @returns The document with the table, or `undefined` where it has no markers.
 */
export function withTable(text: string, table: string): string | undefined {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END, begin);
  if (begin === -1 || end === -1) return undefined;
  return `${text.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${text.slice(end)}`;
}
