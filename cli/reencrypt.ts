/** `reencrypt`: encrypts every value with the current key. */

import { reencrypt as reencryptTable, type ReencryptionReport } from "../pg/reencryption.ts";
import { interruptible } from "./interruption.ts";
import { isUnderOtherKeys, NOTHING_READABLE } from "./keys_at_hand.ts";
import { flag, positiveInteger, readOptions } from "./options.ts";
import { count, formatNumber, stdout, styled, toJson } from "./output.ts";
import { withTableProgress } from "./progress.ts";
import { projectHelp, projectOptions, withProject } from "./project.ts";

export const help =
  `Encrypts every value of the encrypted columns with the current key, while the application is
running. Stop it with Ctrl-C and start it again at any time.

Usage: mitthooks-drizzle reencrypt [--dry-run] [--batch-size N] [--schema FILE]
                                   [--database-url URL] [--casing CASING] [--config FILE]

Options:
  --dry-run             only counts, and writes nothing
  --batch-size N        rows per batch; default: 500
${projectHelp}
The exit status is 0 only if all rows were processed, no value is unreadable, and every value is
under the current key.
`;

/** Limit of rows listed: an unreadable table would fill the screen. */
const LISTED = 100;

const options = { ...projectOptions, "dry-run": flag, "batch-size": positiveInteger } as const;

export async function run(args: readonly string[]): Promise<number> {
  const given = await readOptions(args, options);
  const { "dry-run": dryRun = false, "batch-size": batchSize } = given;
  return await withProject(
    given,
    ({ encrypted }, db) =>
      interruptible("Stopping after this batch", async (signal) => {
        let left = 0;
        // A signal during the very last batch stops nothing.
        let stopped = false;
        for (const { name, table } of encrypted) {
          stopped ||= signal.aborted;
          if (stopped) break;
          if (await isUnderOtherKeys(db, { name, table })) {
            stdout.line(styled("bold", name), ": ", styled("red", NOTHING_READABLE));
            left++;
            continue;
          }
          const report = await withTableProgress(name, (update) =>
            reencryptTable(db, table, {
              ...batchSize === undefined ? {} : { batchSize },
              dryRun,
              signal,
              onProgress: (progress) =>
                update(
                  progress,
                  `${formatNumber(progress.reencrypted)} ${
                    dryRun ? "would be " : ""
                  }re-encrypted, ` +
                    `${formatNumber(progress.unreadable)} unreadable`,
                ),
            }));
          print(name, report, dryRun);
          left += report.unreadable.length + report.notWritten.length;
          stopped = report.aborted;
        }
        if (stopped) {
          stdout.line(styled("yellow", "Stopped early; run it again to continue"));
          return signal.reason as number;
        }
        return left === 0 ? 0 : 1;
      }),
  );
}

function print(table: string, report: ReencryptionReport, dryRun: boolean): void {
  const { scanned, total, reencrypted, unreadable, notWritten, aborted } = report;
  const rows = aborted
    ? `${formatNumber(scanned)} of ${count(Math.max(total, scanned), "row")}`
    : count(scanned, "row");
  const done = dryRun ? "would be re-encrypted (dry run, nothing was written)" : "re-encrypted";
  stdout.line(styled("bold", table), `: ${rows}, ${count(reencrypted, "value")} ${done}`);
  printRows("with a value that no key can read", unreadable);
  printRows("that a trigger kept from being written correctly", notWritten);
}

function printRows(what: string, primaryKeys: readonly unknown[]): void {
  if (primaryKeys.length === 0) return;
  stdout.line(styled("red", `${count(primaryKeys.length, "row")} ${what}:`));
  for (const primaryKey of primaryKeys.slice(0, LISTED)) stdout.line(`  ${toJson(primaryKey)}`);
  if (primaryKeys.length > LISTED) {
    stdout.line(`  and ${count(primaryKeys.length - LISTED, "row")} more`);
  }
}
