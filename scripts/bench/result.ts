/**
 * What a run leaves: the form of the JSON, and the figures that follow from the samples.
 *
 * @module
 */
import { median, type Ratio, ratioOf } from "./statistics.ts";

/**
 * What is compared: work per second, milliseconds per piece of work, peak memory in bytes, or (for
 * re-encryption) rows per second that `keyStatus` counts.
 */
export type Quantity = "rate" | "time" | "memory" | "counting";

/** What a contestant did in one round. */
export interface Sample {
  /** Pieces of work. */
  readonly count: number;
  /** Time they took, in milliseconds. */
  readonly ms: number;
  /** Resident memory at its highest, in bytes. */
  readonly memory?: number;
  /** Time that counting as many rows took, in milliseconds. */
  readonly countingMs?: number;
}

/** A contestant in a row, with one sample a round. */
export interface ContestantResult {
  readonly name: string;
  readonly samples: readonly Sample[];
}

/** The first contestant's quantity, divided by another's. */
export interface RatioResult extends Ratio {
  readonly quantity: Quantity;
  readonly over: string;
}

/** A row on one runtime. */
export interface RowResult {
  readonly name: string;
  readonly work: string;
  /** Those that ran; the first is divided by each of the others. */
  readonly contestants: readonly ContestantResult[];
  readonly ratios: readonly RatioResult[];
  /** Those that did not run, and why. */
  readonly absent: readonly { readonly name: string; readonly reason: string }[];
}

/** All rows of one runtime. */
export interface RuntimeResult {
  readonly runtime: string;
  readonly version: string;
  readonly rows: readonly RowResult[];
}

/** The JSON. */
export interface BenchResult {
  readonly date: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memory: number;
    readonly system: string;
  };
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  /** A smoke run: its figures mean nothing. */
  readonly quick: boolean;
  readonly runtimes: readonly RuntimeResult[];
}

/** A sample's value. */
export function valueOf(sample: Sample, quantity: Quantity): number {
  switch (quantity) {
    case "rate":
      return sample.count / sample.ms * 1_000;
    case "time":
      return sample.ms / sample.count;
    case "memory":
      return sample.memory ?? NaN;
    case "counting":
      return sample.count / (sample.countingMs ?? NaN) * 1_000;
  }
}

/** A contestant's median. */
export function medianOf(contestant: ContestantResult, quantity: Quantity): number {
  return median(contestant.samples.map((sample) => valueOf(sample, quantity)));
}

/** Divides the first contestant by each of the others. */
export function compare(
  contestants: readonly ContestantResult[],
  quantities: readonly Quantity[],
): RatioResult[] {
  const [first, ...others] = contestants;
  const values = (contestant: ContestantResult, quantity: Quantity) =>
    contestant.samples.map((sample) => valueOf(sample, quantity));
  return quantities.flatMap((quantity) =>
    others.map((other) => ({
      quantity,
      over: other.name,
      ...ratioOf(values(first!, quantity), values(other, quantity)),
    }))
  );
}
