/** `status`: counts the stored values by key. */

import { type KeyCounts, keyStatus } from "../pg/reencryption.ts";
import { NOTHING_READABLE } from "./keys_at_hand.ts";
import { flag, readOptions } from "./options.ts";
import { count, formatNumber, printable, stdout, styled } from "./output.ts";
import { withTableProgress } from "./progress.ts";
import { projectHelp, projectOptions, withProject } from "./project.ts";

export const help =
  `Counts the values of each encrypted column: under the current key, under another key that is still
available, and unreadable ones.

Usage: mitthooks-drizzle status [--json] [--schema FILE] [--database-url URL] [--casing CASING]
                                [--config FILE]

Options:
  --json                prints { "tables": { TABLE: { COLUMN: { "current", "otherKey", "unreadable",
                        "null" } } } }, with numbers, and nothing else
${projectHelp}
The exit status is 0 only if no value is unreadable.
`;

const HEADINGS = ["column", "current", "other key", "unreadable", "null"];

export async function run(args: readonly string[]): Promise<number> {
  const { json, ...options } = await readOptions(args, { ...projectOptions, json: flag });
  const counts: Record<string, Readonly<Record<string, KeyCounts>>> = {};
  await withProject(options, async ({ encrypted }, db) => {
    for (const { name, table } of encrypted) {
      counts[name] = await withTableProgress(
        name,
        (update) => keyStatus(db, table, { onProgress: (progress) => update(progress) }),
      );
      if (!json) print(name, counts[name]);
    }
  });
  const columns = Object.values(counts).flatMap((table) => Object.values(table));
  const sum = (state: keyof KeyCounts) =>
    columns.reduce((total, column) => total + column[state], 0);
  if (json) stdout.json({ tables: counts });
  else summarise(sum("current"), sum("otherKey"), sum("unreadable"));
  return sum("unreadable") > 0 ? 1 : 0;
}

function summarise(current: number, otherKey: number, unreadable: number): void {
  if (otherKey > 0) {
    stdout.line(styled(
      "yellow",
      `${count(otherKey, "value is", "values are")} not under the current key: ` +
        "keep the other key and run reencrypt",
    ));
  }
  if (unreadable > 0) {
    stdout.line(styled(
      "red",
      current + otherKey === 0
        ? NOTHING_READABLE
        : `${count(unreadable, "value")} cannot be read with any key`,
    ));
  } else if (otherKey === 0) {
    stdout.line(styled("green", "All values are under the current key"));
  }
}

function print(table: string, counts: Readonly<Record<string, KeyCounts>>): void {
  const rows = [
    HEADINGS,
    ...Object.entries(counts).map(([column, { current, otherKey, unreadable, null: nulls }]) => [
      printable(column),
      ...[current, otherKey, unreadable, nulls].map(formatNumber),
    ]),
  ];
  const widths = HEADINGS.map((_, index) => Math.max(...rows.map((row) => row[index]!.length)));
  stdout.line(styled("bold", table));
  for (const row of rows) {
    const cells = row.map((cell, index) =>
      index === 0 ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!)
    );
    const line = `  ${cells.join("  ")}`;
    stdout.line(row === HEADINGS ? styled("dim", line) : line);
  }
  stdout.line();
}
