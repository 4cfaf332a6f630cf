/**
 * The contestants' end of the line: a job in, a measurement out. Runs on every runtime.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";

/** Some pieces of work, made ready. */
export interface Batch {
  /** Does one; this is what is measured. */
  run(index: number): Promise<unknown>;
  /** Rejects where the work was not done. */
  check?(): Promise<void>;
}

/** Makes so many pieces of work ready. */
export type Workload = (count: number) => Batch | Promise<Batch>;

/** What is asked of a contestant. */
export interface Slice {
  readonly workload: string;
  readonly count: number;
  readonly concurrency: number;
}

/** What it answers. */
export type SliceAnswer = { readonly ms: number } | { readonly error: string };

/** Environment of a contestant's process. */
export interface ContestantJob {
  readonly url: string;
  /** Instances in the table. */
  readonly instances: number;
  readonly lastEvents: boolean;
}

/** Reads the environment. */
export function readJob(): ContestantJob {
  return JSON.parse(process.env["BENCH_JOB"] ?? "{}");
}

/** Answers slices until the line is closed, and ends the process then. */
export async function serve(workloads: Readonly<Record<string, Workload>>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await measure(workloads, JSON.parse(line)).catch((error): SliceAnswer => ({
      error: error instanceof Error ? error.stack ?? error.message : String(error),
    }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}

async function measure(
  workloads: Readonly<Record<string, Workload>>,
  { workload, count, concurrency }: Slice,
): Promise<SliceAnswer> {
  const make = workloads[workload];
  if (make === undefined) throw new Error(`Measuring ${workload}: this contestant cannot do it`);
  const batch = await make(count);
  let next = 0;
  const lane = async () => {
    while (next < count) await batch.run(next++);
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, lane));
  const ms = performance.now() - start;
  await batch.check?.();
  return { ms };
}
