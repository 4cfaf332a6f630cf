/**
 * What a target of the matrix is, and what comes of it.
 *
 * @module
 */
import type { Shared } from "./shared.ts";

/** What came of a target. */
export interface Outcome {
  /** Versions of what was tested together. */
  readonly versions: string;
  readonly passed: number;
  /** What went wrong, one text each. */
  readonly failures: readonly string[];
}

/** One combination, or one kind of application. */
export interface Target {
  readonly name: string;
  /** What it shows, for the table. */
  readonly shows: string;
  /** Whether it stands for its class in the everyday run. */
  readonly everyday?: boolean;
  run(shared: Shared): Promise<Outcome>;
}

/** Takes steps one after another, each of which succeeds or throws. */
export async function runSteps(
  versions: string,
  steps: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<Outcome> {
  const failures: string[] = [];
  for (const [name, step] of Object.entries(steps)) {
    await step().catch((error) => failures.push(`${name}: ${messageOf(error)}`));
  }
  return { versions, passed: Object.keys(steps).length - failures.length, failures };
}

/** What to print of an error: what a program printed last, if it printed much. */
export function messageOf(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n").slice(-80).join("\n");
}

/** A target cannot run here, which is no fault of the package. */
export class UnavailableError extends Error {}
