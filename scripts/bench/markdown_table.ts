/**
 * The README's table of figures.
 *
 * @module
 */
import { comparison, digits, reasonOf, runtimeTitle } from "./figures.ts";
import type { BenchResult, RatioResult, RowResult, RuntimeResult } from "./result.ts";

/** Where the picture is, as seen from the README. */
export const PICTURE = "docs/benchmarks.svg";

/**
 * Makes the section: the picture, the table, and what it was measured on.
 *
 * @param result What was measured.
 * @param rowNames The rows that the table has, where they were measured.
 */
export function figuresSection(result: BenchResult, rowNames: readonly string[]): string {
  const lines = rowNames.flatMap((name) => linesOfRow(result, name));
  const header = ["work", "compared", ...result.runtimes.map(runtimeTitle)];
  const table = [header, header.map(() => "---"), ...lines]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const { machine, versions } = result;
  const measured = [
    `${machine.cores} cores of ${machine.cpu}`,
    versions["PostgreSQL"] ?? "PostgreSQL",
    `node-postgres ${versions["pg"]}`,
    `drizzle-orm ${versions["drizzle-orm"]}`,
    `${result.rounds} rounds`,
    result.date.slice(0, 10),
  ].join(", ");
  return `![Webhooks stored per second, and cold starts](${PICTURE})

${table}

Medians of the ratios of all rounds. Where rates are compared, more is better; where times are, less.
The original is version 0.1.0 of this package with mitthooks 0.3.0, the floor is Web Crypto and one
hand-written statement, without a request to read.
Measured on ${measured}.${result.quick ? "\n**A smoke run: these figures mean nothing.**" : ""}`;
}

function linesOfRow(result: BenchResult, name: string): string[][] {
  const rows = result.runtimes.map(({ rows }) => rows.find((row) => row.name === name));
  const some = rows.find((row) => row !== undefined);
  if (some === undefined) return [];
  // Who is absent on one runtime may be there on another.
  const compared = new Map<string, Pick<RatioResult, "quantity" | "over">>();
  for (const ratio of rows.flatMap((row) => row?.ratios ?? [])) {
    compared.set(`${ratio.quantity} ${ratio.over}`, ratio);
  }
  return [...compared.values()].map(({ quantity, over }) => [
    some.work,
    comparison({ quantity, over }),
    ...result.runtimes.map((runtime) => cell(runtime, name, quantity, over)),
  ]);
}

function cell(
  { rows }: RuntimeResult,
  name: string,
  quantity: RatioResult["quantity"],
  over: string,
): string {
  const row: RowResult | undefined = rows.find((row) => row.name === name);
  const ratio = row?.ratios.find((ratio) => ratio.quantity === quantity && ratio.over === over);
  if (ratio !== undefined) return digits(ratio.median);
  const absent = row?.absent.find((absent) => absent.name === over) ?? row?.absent[0];
  return absent === undefined ? "" : `not run: ${reasonOf(absent).replaceAll("|", "\\|")}`;
}
