/** `reencrypt`: writes every value under the current key. */

import process from "node:process";
import { reencrypt as reencryptTable, type ReencryptionReport } from "../pg/reencryption.ts";
import { parseOptions, parsePositiveInteger } from "./arguments.ts";
import { connect, parseCasing } from "./database.ts";
import { count, formatNumber, stderr, stdout } from "./output.ts";
import { showProgress } from "./progress.ts";
import { findTables, type NamedTable } from "./schema_module.ts";
import { UsageError } from "./usage_error.ts";

export const reencryptHelp =
  `Writes every value of the encrypted columns under its current key. Can be ended with Ctrl-C and
started again at any time, while the application is running.

Usage: mitthooks-drizzle reencrypt --schema FILE [--dry-run] [--batch-size N]
                                   [--database-url URL] [--casing CASING]

Options:
  --schema FILE         the application's schema module, which builds the keys
  --dry-run             only looks, and writes nothing
  --batch-size N        rows that are read and written at once; default: 500
  --database-url URL    the database; default: the variable DATABASE_URL
  --casing CASING       snake_case or camelCase, if the application gives "casing" to Drizzle
  --help                shows this help

The exit status is 0 only if the end was reached, no value is unreadable, and each one that had to be
written was.
`;

/** So many rows are listed; a table that is wholly unreadable would fill the screen. */
const LISTED = 100;

/** What a shell reports of a program that a signal has ended: 128 and the signal's number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/** Runs the command. */
export async function reencrypt(args: readonly string[]): Promise<number> {
  const options = parseOptions(args, {
    schema: { type: "string" },
    "dry-run": { type: "boolean" },
    "batch-size": { type: "string" },
    "database-url": { type: "string" },
    casing: { type: "string" },
  });
  if (!options.schema) throw new UsageError("give the schema module: --schema ./schema.ts");
  const batchSize = parsePositiveInteger("--batch-size", options["batch-size"]);
  const casing = parseCasing(options.casing);
  // First: the module may read a .env file, which DATABASE_URL may come from.
  const tables = await findTables(options.schema);
  const connection = await connect(options["database-url"], casing);
  const interruption = listenForSignals();
  let left = 0;
  let stopped = false;
  try {
    for (const table of tables) {
      stopped ||= interruption.signal.aborted;
      if (stopped) break;
      const display = showProgress(stderr, table.name);
      const report = await reencryptTable(connection.db, table.table, {
        ...(batchSize === undefined ? {} : { batchSize }),
        dryRun: options["dry-run"] ?? false,
        signal: interruption.signal,
        onProgress: (progress) =>
          display.update(
            progress,
            `${formatNumber(progress.reencrypted)} re-encrypted, ` +
              `${formatNumber(progress.unreadable)} unreadable`,
          ),
      }).finally(() => display.end());
      print(table, report, options["dry-run"] ?? false);
      left += report.unreadable.length + report.notWritten.length;
      stopped = report.aborted;
    }
    // A signal during the last batch of all comes too late to stop anything.
    if (stopped && interruption.status !== undefined) {
      stdout.line(stdout.style("yellow", "Stopped before the end; run it again to go on"));
      return interruption.status;
    }
  } finally {
    interruption.end();
    await connection.close();
  }
  return left === 0 ? 0 : 1;
}

/** The first signal ends the work after the batch; the second one ends the program at once. */
function listenForSignals() {
  const controller = new AbortController();
  let status: number | undefined;
  const listeners = Object.entries(SIGNALS).map(([name, code]) => {
    const listener = () => {
      if (status !== undefined) process.exit(code);
      status = code;
      controller.abort();
      stderr.line("\nStopping after this batch; once more to stop at once");
    };
    process.on(name, listener);
    return [name, listener] as const;
  });
  return {
    signal: controller.signal,
    get status() {
      return status;
    },
    end() {
      for (const [name, listener] of listeners) process.off(name, listener);
    },
  };
}

function print({ name }: NamedTable, report: ReencryptionReport, dryRun: boolean): void {
  const { scanned, total, reencrypted, unreadable, notWritten, aborted } = report;
  const looked = aborted
    ? `${formatNumber(scanned)} of ${count(total, "row")}`
    : count(scanned, "row");
  stdout.line(
    `${stdout.style("bold", name)}: ${looked}, ${count(reencrypted, "value")} ` +
      (dryRun ? "to be re-encrypted (dry run, nothing was written)" : "re-encrypted"),
  );
  printRows("with a value that no key can read", unreadable);
  printRows("not written as they should be, because of a trigger", notWritten);
}

function printRows(what: string, primaryKeys: readonly unknown[]): void {
  if (primaryKeys.length === 0) return;
  stdout.line(stdout.style("red", `${count(primaryKeys.length, "row")} ${what}:`));
  for (const primaryKey of primaryKeys.slice(0, LISTED)) {
    const text = JSON.stringify(
      primaryKey,
      (_, value) => typeof value === "bigint" ? String(value) : value,
    );
    stdout.line(`  ${text}`);
  }
  if (primaryKeys.length > LISTED) {
    stdout.line(`  and ${count(primaryKeys.length - LISTED, "row")} more`);
  }
}
