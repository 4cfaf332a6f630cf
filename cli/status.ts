/** `status`: tells under which keys the stored values are. */

import { type KeyCounts, keyStatus } from "../pg/reencryption.ts";
import { parseOptions } from "./arguments.ts";
import { connect, parseCasing } from "./database.ts";
import { count, formatNumber, stderr, stdout } from "./output.ts";
import { showProgress } from "./progress.ts";
import { findTables } from "./schema_module.ts";
import { UsageError } from "./usage_error.ts";

export const statusHelp =
  `Counts, for each encrypted column, the values under the current key, under another one that is
still readable, and under none that is known.

Usage: mitthooks-drizzle status --schema FILE [--database-url URL] [--casing CASING]

Options:
  --schema FILE         the application's schema module, which builds the keys
  --database-url URL    the database; default: the variable DATABASE_URL
  --casing CASING       snake_case or camelCase, if the application gives "casing" to Drizzle
  --help                shows this help

The exit status is 0 only if no value is unreadable.
`;

const HEADINGS = ["column", "current", "other key", "unreadable", "null"] as const;

/** Runs the command. */
export async function status(args: readonly string[]): Promise<number> {
  const options = parseOptions(args, {
    schema: { type: "string" },
    "database-url": { type: "string" },
    casing: { type: "string" },
  });
  if (!options.schema) throw new UsageError("give the schema module: --schema ./schema.ts");
  const casing = parseCasing(options.casing);
  // First: the module may read a .env file, which DATABASE_URL may come from.
  const tables = await findTables(options.schema);
  const connection = await connect(options["database-url"], casing);
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
