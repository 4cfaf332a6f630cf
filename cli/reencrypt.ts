/** `reencrypt`: writes every value under the current key. */

import process from "node:process";
import { reencrypt as reencryptTable, type ReencryptionReport } from "../pg/reencryption.ts";
import { type OptionValues, parsePositiveInteger } from "./arguments.ts";
import type { Command } from "./command.ts";
import { connect } from "./database.ts";
import { count, formatNumber, stderr, stdout } from "./output.ts";
import { showProgress } from "./progress.ts";
import { projectHelp, projectOptions, readProject } from "./project.ts";
import type { NamedTable } from "./schema_module.ts";

const help =
  `Writes every value of the encrypted columns under its current key. Can be ended with Ctrl-C and
started again at any time, while the application is running.

Usage: mitthooks-drizzle reencrypt [--dry-run] [--batch-size N] [--schema FILE]
                                   [--database-url URL] [--casing CASING] [--config FILE]

Options:
  --dry-run             only looks, and writes nothing
  --batch-size N        rows that are read and written at once; default: 500
${projectHelp}
The exit status is 0 only if the end was reached, no value is unreadable, and each one that had to be
written was.
`;

/** So many rows are listed; a table that is wholly unreadable would fill the screen. */
const LISTED = 100;

/** What a shell reports of a program that a signal has ended: 128 and the signal's number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

const options = {
  ...projectOptions,
  "dry-run": { type: "boolean" },
  "batch-size": { type: "string" },
} as const;

/** The command. */
export const reencrypt: Command<typeof options> = { help, options, run };

async function run(given: OptionValues<typeof options>): Promise<number> {
  const batchSize = parsePositiveInteger("--batch-size", given["batch-size"]);
  const dryRun = given["dry-run"] ?? false;
  const { tables, url, casing } = await readProject(given);
  const connection = await connect(url, casing);
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
        dryRun,
        signal: interruption.signal,
        onProgress: (progress) =>
          display.update(
            progress,
            `${formatNumber(progress.reencrypted)} re-encrypted, ` +
              `${formatNumber(progress.unreadable)} unreadable`,
          ),
      }).finally(() => display.end());
      print(table, report, dryRun);
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
