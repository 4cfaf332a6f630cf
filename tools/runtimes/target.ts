import type { Shared } from "./shared.ts";

export interface Outcome {
  readonly versions: string;
  readonly passed: number;
  readonly failures: readonly string[];
}

/** One combination, or one kind of application. */
export interface Target {
  readonly name: string;
  /** What it proves, for the table. */
  readonly shows: string;
  /** Whether it represents its class in everyday runs. */
  readonly everyday?: boolean;
  run(shared: Shared): Promise<Outcome>;
}

/** Runs steps one after another; each succeeds or throws. */
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

/** The printed part of an error: the end of a long output. */
export function messageOf(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n").slice(-80).join("\n");
}

/** A target cannot run here, for a reason outside the package. */
export class UnavailableError extends Error {}
