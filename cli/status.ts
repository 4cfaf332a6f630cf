/** `status`: tells under which keys the stored values are. */

import { type KeyCounts, keyStatus } from "../pg/reencryption.ts";
import type { OptionValues } from "./arguments.ts";
import type { Command } from "./command.ts";
import { connect } from "./database.ts";
import { count, formatNumber, stderr, stdout } from "./output.ts";
import { showProgress } from "./progress.ts";
import { projectHelp, projectOptions, readProject } from "./project.ts";

const help =
  `Counts, for each encrypted column, the values under the current key, under another one that is
still readable, and under none that is known.

Usage: mitthooks-drizzle status [--schema FILE] [--database-url URL] [--casing CASING]
                                [--config FILE]

Options:
${projectHelp}
The exit status is 0 only if no value is unreadable.
`;

const HEADINGS = ["column", "current", "other key", "unreadable", "null"] as const;

/** The command. */
export const status: Command<typeof projectOptions> = { help, options: projectOptions, run };

async function run(options: OptionValues<typeof projectOptions>): Promise<number> {
  const { tables, url, casing } = await readProject(options);
  const connection = await connect(url, casing);
  const sum = { otherKey: 0, unreadable: 0 };
  try {
    for (const { name, table } of tables) {
      // Only to somebody who waits for it: nothing is done that would have to be logged.
      const display = stderr.isTerminal ? showProgress(stderr, name) : undefined;
      const counts = await keyStatus(connection.db, table, {
        onProgress: (progress) => display?.update(progress),
      }).finally(() => display?.end());
      print(name, counts);
      for (const { otherKey, unreadable } of Object.values(counts)) {
        sum.otherKey += otherKey;
        sum.unreadable += unreadable;
      }
    }
  } finally {
    await connection.close();
  }
  if (sum.otherKey > 0) {
    stdout.line(stdout.style(
      "yellow",
      `${count(sum.otherKey, "value is", "values are")} not under the current key: ` +
        "keep the other key and run reencrypt",
    ));
  }
  if (sum.unreadable > 0) {
    stdout.line(
      stdout.style("red", `${count(sum.unreadable, "value")} cannot be read with any of the keys`),
    );
    return 1;
  }
  if (sum.otherKey === 0) {
    stdout.line(stdout.style("green", "No value needs another key than the current one"));
  }
  return 0;
}

function print(table: string, counts: Readonly<Record<string, KeyCounts>>): void {
  const rows = [
    HEADINGS as readonly string[],
    ...Object.entries(counts).map(([column, { current, otherKey, unreadable, null: nulls }]) => [
      column,
      ...[current, otherKey, unreadable, nulls].map(formatNumber),
    ]),
  ];
  const widths = HEADINGS.map((_, index) => Math.max(...rows.map((row) => row[index]!.length)));
  stdout.line(stdout.style("bold", table));
  for (const [number, row] of rows.entries()) {
    const cells = row.map((cell, index) =>
      index === 0 ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!)
    );
    const line = `  ${cells.join("  ")}`;
    stdout.line(number === 0 ? stdout.style("dim", line) : line);
  }
  stdout.line();
}
