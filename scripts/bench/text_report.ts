/**
 * The result in a terminal.
 *
 * @module
 */
import { comparison, moreIsBetter, withSpread, withUnit } from "./figures.ts";
import { medianOf, type RowResult } from "./result.ts";

/** A row: who did how much, the ratios with their spread, and who did not take part. */
export function rowReport(row: RowResult): string {
  const lines = [`${row.name}: ${row.work.replaceAll("`", "")}`];
  const quantities = [...new Set(row.ratios.map(({ quantity }) => quantity))];
  for (const quantity of quantities) {
    const values = row.contestants.map((contestant) =>
      `${contestant.name} ${withUnit(medianOf(contestant, quantity), quantity)}`
    );
    lines.push(`    ${values.join(" · ")}`);
    for (const ratio of row.ratios.filter((other) => other.quantity === quantity)) {
      const direction = moreIsBetter(quantity) ? "more is better" : "less is better";
      lines.push(`    ${comparison(ratio)} = ${withSpread(ratio)}, ${direction}`);
    }
  }
  for (const { name, reason } of row.absent) {
    lines.push(`    ${name}: not run, ${reason.trim().replaceAll("\n", "\n        ")}`);
  }
  return lines.join("\n");
}
