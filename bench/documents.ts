/**
 * Output of a run: lines in a terminal, docs/benchmarks.md with its chart, three rows of README.md.
 */

import { renewSection } from "../tools/marked_section.ts";
import { join, repository } from "../tools/paths.ts";
import type { Row } from "./rows.ts";

/** A row on one runtime: each contestant's time per piece of work, by round, in milliseconds. */
export type Measured = Row & { readonly times: Readonly<Record<string, readonly number[]>> };

export type Runtimes = Readonly<Record<string, readonly Measured[]>>;

const COLORS = ["#0969da", "#bf8700", "#8c959f"];
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

/**
 * One line per comparison, in the README only one; on the page also one for this library's
 * throughput.
 */
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

type Bars = Readonly<Record<string, readonly { label: string; value: number }[]>>;

/**
 * Draws a bar chart as SVG: a title, and the name and bars of each group; the largest value is
 * longest.
 */
function barChart(title: string, groups: Bars): string {
  const most = Math.max(...Object.values(groups).flat().map(({ value }) => value));
  const lines = [`<text x="10" y="20" font-weight="bold">${title}</text>`];
  let y = 32;
  for (const [name, bars] of Object.entries(groups)) {
    lines.push(`<text x="10" y="${y + 13}">${name}</text>`);
    for (const [index, { label, value }] of bars.entries()) {
      const width = Math.round(value / most * 380);
      lines.push(
        `<rect x="120" y="${y}" width="${width}" height="16" fill="${COLORS[index]}"/>`,
        `<text x="${126 + width}" y="${y + 13}">${label}</text>`,
      );
      y += 18;
    }
    y += 8;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="760" height="${y}" font-family="sans-serif" font-size="13">
<rect width="760" height="${y}" fill="#fff"/>
${lines.join("\n")}
</svg>
`;
}

/** Bars for each contestant's work per second. */
function picture(runtimes: Runtimes): string {
  const groups = Object.entries(runtimes).map(([runtime, rows]) => {
    const row = rows.find(({ name }) => name === "webhook")!;
    const bars = Object.entries(row.times)
      .map(([name, ms]) => ({ label: `${amountOf(row, name)} ${name}`, value: 1 / median(ms) }));
    return [runtime, bars];
  });
  return barChart(`Signed webhooks stored per second, ${BETTER.rate}`, Object.fromEntries(groups));
}

export async function writeDocuments(runtimes: Runtimes, note: string): Promise<void> {
  const names = Object.values(runtimes)[0]!.map(({ name }) => name);
  const renew = (path: string, ...more: [string[], boolean]) =>
    renewSection(join(repository, path), "bench", `${table(runtimes, ...more)}\n\n${note}`);
  await renew("docs/benchmarks.md", names, false);
  await renew("README.md", IN_README, true);
  await Deno.writeTextFile(join(repository, "docs/benchmarks.svg"), picture(runtimes));
}
