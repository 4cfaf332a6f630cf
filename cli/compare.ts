/** `compare`: compares the table of instances with mStudio, and repairs it. */

import { getTableColumns } from "drizzle-orm";
import process from "node:process";
import { CompareError } from "../errors.ts";
import type { ExtensionInstanceTable, LastEventTable } from "../pg/schema.ts";
import type { EncryptableDatabase } from "../pg/interfaces.ts";
import { PgExtensionStorage } from "../pg/storage.ts";
import {
  type ComparedState,
  compareWithMstudio,
  type Comparison,
  type ComparisonProgress,
  repair,
  type RepairProgress,
  type RepairReport,
} from "../recovery/mod.ts";
import { describeError, Failure, UsageError } from "./errors.ts";
import { interruptible } from "./interruption.ts";
import { isUnderOtherKeys, NOTHING_READABLE } from "./keys_at_hand.ts";
import { flag, readOptions, text } from "./options.ts";
import { count, formatNumber, printable, stderr, stdout, styled } from "./output.ts";
import { type Progress, withProgress } from "./progress.ts";
import { projectHelp, projectOptions, withProject } from "./project.ts";
import type { NamedTable, ProjectTables } from "./schema_module.ts";

export const help =
  `Compares the table of extension instances with mStudio: lists instances that are missing, gone or
different, and those without a working secret. With --repair it repairs them, while the application
is running.

Usage: mitthooks-drizzle compare [--check-secrets] [--repair [--yes]] [--json] [--extension-id ID]
                                 [--table NAME] [--last-events NAME] [--schema FILE]
                                 [--database-url URL] [--casing CASING] [--config FILE]

The variable MITTWALD_API_TOKEN must be an API token of a member of the extension's contributor. It is
never read from the command line, which other users can see. MITTWALD_API_URL replaces the URL of
mittwald's API, for example with that of a simulated one.

Options:
  --check-secrets       also exchanges each secret for an access token, one request per secret
  --repair              stores mStudio's state where it differs, removes instances that are gone, and
                        rotates secrets that do not work, at most two per second. Asks for
                        confirmation. Does not call handlers of the storage's "on"; repair() does
  --yes                 skips the confirmation
  --json                prints differences and repairs as JSON and nothing else
  --extension-id ID     the extension's id; default: the variable EXTENSION_ID
  --table NAME          the table of instances, if the schema has several
  --last-events NAME    the table of last events, if the schema has several
${projectHelp}
The exit status is 0 if the table matches mStudio or was repaired, 1 if there are differences, 2 if
the comparison failed.
`;

/** Limit of instances listed per kind. */
const LISTED = 100;

const options = {
  ...projectOptions,
  "check-secrets": flag,
  repair: flag,
  yes: flag,
  json: flag,
  "extension-id": text,
  table: text,
  "last-events": text,
} as const;

export async function run(args: readonly string[]): Promise<number> {
  const given = await readOptions(args, options);
  const {
    repair: repairs = false,
    yes = false,
    json = false,
    "check-secrets": checkSecrets = false,
  } = given;
  if (repairs && !yes && (json || !process.stdin.isTTY)) {
    throw new UsageError("--repair asks for confirmation; give --yes if nobody can answer");
  }
  try {
    return await withProject(given, async (tables, db) => {
      // After loading the schema module, which may load a .env file.
      const extensionId = given["extension-id"] || process.env["EXTENSION_ID"];
      const apiToken = process.env["MITTWALD_API_TOKEN"];
      if (!extensionId) throw new UsageError("set EXTENSION_ID, or give --extension-id");
      if (!apiToken) throw new UsageError("set MITTWALD_API_TOKEN");
      const api = { apiToken, apiUrl: process.env["MITTWALD_API_URL"] || undefined };
      const { storage, table, ordersEvents } = await openStorage(tables, db, given);
      return await interruptible("Stopping", async (signal) => {
        try {
          const found = await withProgress((update) =>
            compareWithMstudio({
              ...api,
              storage,
              extensionId,
              checkSecrets,
              signal,
              onProgress: (progress) => update(toProgress(progress)),
            })
          );
          if (!json) print(found);
          if (!repairs || found.equal) {
            if (json) stdout.json(found);
            return found.equal ? 0 : 1;
          }
          if (!ordersEvents) {
            throw new Failure("--repair: the schema has no table of last events, add it first");
          }
          if (await isUnderOtherKeys(db, table)) throw new Failure(`--repair: ${NOTHING_READABLE}`);
          if (!yes && !await confirm("Repair the table?", signal)) return 1;
          const done = await withProgress((update) =>
            repair(found, {
              ...api,
              storage,
              signal,
              onProgress: (progress) => update(toProgress(progress)),
            })
          );
          if (json) stdout.json({ ...found, repair: done });
          else printRepair(done);
          if (done.aborted) return signal.reason as number;
          return done.failed.length + done.left.length === 0 ? 0 : 1;
        } catch (error) {
          if (!signal.aborted) throw error;
          stderr.line(styled("yellow", "Stopped early; run it again to continue"));
          return signal.reason as number;
        }
      });
    });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    stderr.line(styled("red", `compare: ${describeError(error)}`));
    if (error instanceof CompareError && error.code === "ERR_API_TOKEN_REFUSED") {
      stderr.line("Create a token in mStudio, as a member of the extension's contributor");
    }
    return 2;
  }
}

/** The properties by which the tables are recognized. */
const INSTANCE = [
  "id",
  "contextId",
  "context",
  "active",
  "variantKey",
  "consentedScopes",
  "secret",
];
const LAST_EVENT = ["instanceId", "kind", "createdAt", "requestIds", "calledAt"];

async function openStorage(
  { encrypted, all }: ProjectTables,
  db: EncryptableDatabase,
  { table: tableName, "last-events": lastEventsName }: {
    readonly table?: string;
    readonly "last-events"?: string;
  },
) {
  const table = choose(encrypted, INSTANCE, "table", tableName);
  if (!table) throw new Failure("the schema has no table of extension instances");
  const lastEvents = choose(all, LAST_EVENT, "last-events", lastEventsName);
  const storage = new PgExtensionStorage(
    db,
    table.table as unknown as ExtensionInstanceTable,
    lastEvents ? { lastEvents: lastEvents.table as unknown as LastEventTable } : {},
  );
  // Reports missing tables and columns before any request to mStudio.
  await storage.recovery.list(undefined, 1);
  return { storage, table, ordersEvents: lastEvents !== undefined };
}

/** Finds the table with certain columns; if there are several, by its name. */
function choose(
  tables: readonly NamedTable[],
  columns: readonly string[],
  option: string,
  name: string | undefined,
): NamedTable | undefined {
  const fitting = tables.filter(({ table }) => {
    const properties = Object.keys(getTableColumns(table));
    return columns.every((column) => properties.includes(column));
  });
  const named = name === undefined ? fitting : fitting.filter((table) => table.name === name);
  if (named.length > 1) {
    throw new UsageError(`give --${option}: ${named.map((table) => table.name).join(" or ")}`);
  }
  if (name !== undefined && named.length === 0) {
    throw new UsageError(`--${option} names no such table of the schema`);
  }
  return named[0];
}

const STEPS: Readonly<
  Record<
    ComparisonProgress["step"] | RepairProgress["step"],
    readonly [label: string, unit: string]
  >
> = {
  instances: ["mStudio", "instance"],
  table: ["table", "row"],
  differences: ["once more", "difference"],
  secrets: ["secrets", "secret"],
  state: ["repairing", "instance"],
};

function toProgress({ step, done, total }: ComparisonProgress | RepairProgress): Progress {
  const [label, unit] = STEPS[step];
  return { label, unit, done, total };
}

/** Asks a question. Any answer but yes means no. */
async function confirm(question: string, signal: AbortSignal): Promise<boolean> {
  stdout.line(styled("bold", question), ' Type "yes":');
  const answer = await new Promise<string>((resolve) => {
    process.stdin.once("data", (data) => resolve(String(data)));
    process.stdin.once("end", () => resolve(""));
    signal.addEventListener("abort", () => resolve(""));
  });
  process.stdin.pause();
  return /^\s*y(es)?\s*$/i.test(answer);
}

function print(found: Comparison): void {
  const { counts, missing, gone, different, unusableSecrets, deliveries, equal } = found;
  stdout.line(
    `${count(counts.mstudio, "instance")} in mStudio, ${formatNumber(counts.stored)} in the table`,
  );
  printRows("red", "missing in the table", missing, ({ id, mstudio }) => [id, describe(mstudio)]);
  printRows("red", "gone in mStudio", gone, ({ id, stored }) => [id, describe(stored)]);
  printRows("red", "different: in the table → in mStudio", different, ({ id, stored, mstudio }) => [
    id,
    changes(stored, mstudio).join(", "),
  ]);
  printRows(
    "red",
    "without a working secret",
    unusableSecrets,
    ({ id, reason }) => [id, reason],
  );
  const deliveryRow = (
    { instanceId, kind, attempts, nextAt }: typeof deliveries.halted[number],
  ) => [
    instanceId,
    kind,
    count(attempts, "attempt"),
    nextAt === undefined ? "" : `next ${nextAt}`,
  ];
  printRows("yellow", "halted deliveries", deliveries.halted, deliveryRow);
  printRows("yellow", "pending deliveries", deliveries.pending, deliveryRow);
  stdout.line();
  if (equal) stdout.line(styled("green", "The table matches mStudio"));
}

function printRepair({ inserted, updated, removed, rotated, left, failed, aborted }: RepairReport) {
  stdout.line(
    `${formatNumber(inserted)} inserted, ${formatNumber(updated)} updated, ` +
      `${formatNumber(removed)} removed, ${count(rotated, "new secret")}`,
  );
  printRows("yellow", "skipped", left, ({ id, reason }) => [id, reason]);
  printRows("red", "not repaired", failed, ({ id, reason }) => [id, reason]);
  if (aborted) stdout.line(styled("yellow", "Stopped early; run it again to continue"));
  else if (left.length + failed.length === 0) stdout.line(styled("green", "Repaired"));
}

function printRows<T>(
  style: "red" | "yellow",
  what: string,
  items: readonly T[],
  row: (item: T) => readonly string[],
): void {
  if (items.length === 0) return;
  stdout.line();
  stdout.line(styled(style, `${formatNumber(items.length)} ${what}`));
  const rows = items.slice(0, LISTED).map((item) => row(item).map(printable));
  const widths = rows[0]!.map((_, index) => Math.max(...rows.map((row) => row[index]!.length)));
  for (const row of rows) {
    stdout.line(`  ${row.map((cell, index) => cell.padEnd(widths[index]!)).join("  ").trimEnd()}`);
  }
  if (items.length > LISTED) stdout.line(`  and ${formatNumber(items.length - LISTED)} more`);
}

function describe(state: ComparedState): string {
  return Object.values(parts(state)).join(", ");
}

/** The differences, each with the values in the table and in mStudio. */
function changes(stored: ComparedState, mstudio: ComparedState): string[] {
  const [before, after] = [parts(stored), parts(mstudio)];
  return Object.keys(before).flatMap((name) =>
    before[name] === after[name] ? [] : [`${before[name]} → ${after[name]}`]
  );
}

function parts(state: ComparedState): Record<string, string> {
  const { contextId, context, active, variantKey, consentedScopes } = state;
  return {
    context: `${context} ${contextId}`,
    active: active ? "enabled" : "disabled",
    variant: variantKey === null ? "no variant" : `variant ${variantKey}`,
    scopes: consentedScopes.length === 0
      ? "no scopes"
      : `scopes ${[...new Set(consentedScopes)].sort().join(" ")}`,
  };
}
