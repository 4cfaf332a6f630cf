/**
 * Medians, and ratios with their spread.
 *
 * @module
 */

/** A ratio that was measured several times. */
export interface Ratio {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly perRound: readonly number[];
}

/**
 * The median.
 *
 * @param values At least one number.
 * @throws {RangeError} There is none.
 */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("Taking a median: there are no values");
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return Number.isInteger(middle)
    ? (sorted[middle - 1]! + sorted[middle]!) / 2
    : sorted[Math.floor(middle)]!;
}

/**
 * Divides round by round, so that what slowed a round down as a whole cancels out.
 *
 * @param dividends One value a round.
 * @param divisors The other's value in the same round.
 * @throws {RangeError} There are not as many of both.
 */
export function ratioOf(dividends: readonly number[], divisors: readonly number[]): Ratio {
  if (dividends.length !== divisors.length) {
    throw new RangeError(
      `Taking ratios: there are ${dividends.length} rounds of the one and ${divisors.length} of the other`,
    );
  }
  const perRound = dividends.map((dividend, round) => dividend / divisors[round]!);
  return {
    median: median(perRound),
    min: Math.min(...perRound),
    max: Math.max(...perRound),
    perRound,
  };
}
