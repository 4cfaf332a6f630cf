/**
 * One webhook in a process that has just started.
 *
 * @module
 */
import process from "node:process";
import type pg from "pg";
import { type Delivery, requestOf } from "./deliveries.ts";

/** What a process is given to store. */
export interface ColdJob {
  readonly url: string;
  readonly serial: string;
  readonly publicKey: string;
  readonly delivery: Delivery;
}

/** Reads the environment. */
export function readColdJob(): ColdJob {
  return JSON.parse(process.env["BENCH_JOB"] ?? "{}");
}

/** Stores it, says so, and ends the process. */
export async function storeFirst(
  handle: (request: Request) => Promise<Response>,
  job: ColdJob,
  pool: pg.Pool,
): Promise<void> {
  const { status } = await handle(requestOf(job, job.delivery));
  process.stdout.write(`${JSON.stringify({ status })}\n`);
  await pool.end();
}
