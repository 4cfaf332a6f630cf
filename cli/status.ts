/** `status`: tells under which keys the stored values are. */

import { type KeyCounts, keyStatus } from "../pg/reencryption.ts";
import { readOptions } from "./options.ts";
import { count, formatNumber, stdout } from "./output.ts";
import { withProgress } from "./progress.ts";
import { projectHelp, projectOptions, withProject } from "./project.ts";

export const help =
  `Counts, for each encrypted column, the values under the current key, under another one that is
still readable, and under none that is known.

Usage: mitthooks-drizzle status [--schema FILE] [--database-url URL] [--casing CASING]
                                [--config FILE]

Options:
${projectHelp}
The exit status is 0 only if no value is unreadable.
`;

const HEADINGS = ["column", "current", "other key", "unreadable", "null"];

export async function run(args: readonly string[]): Promise<number> {
  const options = await readOptions(args, projectOptions);
  let otherKey = 0;
  let unreadable = 0;
  await withProject(options, async (tables, db) => {
    for (const { name, table } of tables) {
      const counts = await withProgress(
        name,
        (update) => keyStatus(db, table, { onProgress: (progress) => update(progress) }),
      );
      print(name, counts);
      for (const column of Object.values(counts)) {
        otherKey += column.otherKey;
        unreadable += column.unreadable;
      }
    }
  });
  if (otherKey > 0) {
    stdout.line(
      `${count(otherKey, "value is", "values are")} not under the current key: ` +
        "keep the other key and run reencrypt",
      "yellow",
    );
  }
  if (unreadable > 0) {
    stdout.line(`${count(unreadable, "value")} cannot be read with any of the keys`, "red");
    return 1;
  }
  if (otherKey === 0) stdout.line("No value needs another key than the current one", "green");
  return 0;
}

function print(table: string, counts: Readonly<Record<string, KeyCounts>>): void {
  const rows = [
    HEADINGS,
    ...Object.entries(counts).map(([column, { current, otherKey, unreadable, null: nulls }]) => [
      column,
      ...[current, otherKey, unreadable, nulls].map(formatNumber),
    ]),
  ];
  const widths = HEADINGS.map((_, index) => Math.max(...rows.map((row) => row[index]!.length)));
  stdout.line(table, "bold");
  for (const row of rows) {
    const cells = row.map((cell, index) =>
      index === 0 ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!)
    );
    stdout.line(`  ${cells.join("  ")}`, row === HEADINGS ? "dim" : undefined);
  }
  stdout.line();
}
