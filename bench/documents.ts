/** Output of a run: lines in a terminal, docs/benchmarks.md, three rows of README.md. */

import { renewSection } from "../tools/marked_section.ts";
import { join, repository } from "../tools/paths.ts";
import type { Row } from "./rows.ts";

/** A row on one runtime: each contestant's time per piece of work, by round, in milliseconds. */
export type Measured = Row & { readonly times: Readonly<Record<string, readonly number[]>> };

export type Runtimes = Readonly<Record<string, readonly Measured[]>>;

const IN_README = ["webhook", "select10000", "coldStart"];
const BETTER = { rate: "more is better", time: "less is better" } as const;

const median = (values: readonly number[]) =>
  values.toSorted((one, other) => one - other)[values.length >> 1]!;

/** The first contestant divided by another one, by round. */
const ratiosOf = ({ quantity, times }: Measured, other: string) =>
  Object.values(times)[0]!.map((ms, round) =>
    quantity === "rate" ? times[other]![round]! / ms : ms / times[other]![round]!
  );

function amountOf({ quantity, times }: Measured, name: string): string {
  const ms = median(times[name]!);
  if (quantity === "rate") return `${Math.round(1_000 / ms).toLocaleString("en-US")}/s`;
  return ms < 1 ? `${Math.round(ms * 1_000)} µs` : `${Number(ms.toPrecision(3))} ms`;
}

export function describe(row: Measured): string {
  const [first, ...others] = Object.keys(row.times);
  const amounts = Object.keys(row.times).map((name) => `${name} ${amountOf(row, name)}`);
  const ratios = others.map((other) => {
    const all = ratiosOf(row, other);
    const spread = `${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)}`;
    return `${row.quantity} of ${first} ÷ ${other}: ${median(all).toFixed(2)} (${spread})`;
  });
  return [`${row.name}, ${BETTER[row.quantity]}`, amounts.join(", "), ...ratios].join("\n    ");
}

/** One line per comparison, on the page also one for this library's amount. */
function table(runtimes: Runtimes, names: readonly string[], inReadme: boolean): string {
  const lines = names.flatMap((name) => {
    const rows = Object.values(runtimes).map((rows) => rows.find((row) => row.name === name)!);
    const { work, quantity, times } = rows[0]!;
    const [first, ...others] = Object.keys(times);
    const ratios = others.map((other) => [
      `${quantity} ÷ ${other}, ${BETTER[quantity]}`,
      ...rows.map((row) => median(ratiosOf(row, other)).toFixed(2)),
    ]);
    const amounts = [first!, ...rows.map((row) => amountOf(row, first!))];
    return (inReadme ? ratios.slice(0, 1) : [amounts, ...ratios]).map((cells) => [work, ...cells]);
  });
  const head = ["work", "", ...Object.keys(runtimes)];
  const all = [head, head.map(() => "---"), ...lines];
  return all.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** A bar for each contestant's webhooks, drawn by GitHub. */
function chart(runtimes: Runtimes): string {
  const bars = Object.entries(runtimes).flatMap(([runtime, rows]) =>
    Object.entries(rows.find(({ name }) => name === "webhook")!.times)
      .map(([contestant, ms]) => [`${runtime}: ${contestant}`, 1_000 / median(ms)] as const)
  );
  return `\`\`\`mermaid
xychart-beta horizontal
  title "Signed webhooks stored per second, ${BETTER.rate}"
  x-axis ${JSON.stringify(bars.map(([label]) => label))}
  bar ${JSON.stringify(bars.map(([, rate]) => Math.round(rate)))}
\`\`\``;
}

export async function writeDocuments(runtimes: Runtimes, note: string): Promise<void> {
  const names = Object.values(runtimes)[0]!.map(({ name }) => name);
  const renew = (path: string, ...parts: string[]) =>
    renewSection(join(repository, path), "bench", [...parts, note].join("\n\n"));
  await renew("docs/benchmarks.md", chart(runtimes), table(runtimes, names, false));
  await renew("README.md", table(runtimes, IN_README, true));
}
