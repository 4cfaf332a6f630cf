/**
 * Delivers the events of one instance in order, each until it succeeds.
 *
 * @module
 */

import type { Backoff } from "../delivery.ts";
import { pause } from "./timers.ts";

/** Why a job did not succeed. */
export type Undone = "ERR_GAVE_UP" | "ERR_DROPPED" | "ERR_CLOSED";

/** An event to be delivered. */
export interface Job<Attempt extends { readonly ok: boolean }> {
  /** Number of consecutive failures after which it is given up. Default: the queue's. */
  readonly maxAttempts?: number | undefined;
  /** Makes an attempt; numbers start at 1. */
  attempt(attempt: number): Promise<Attempt>;
  /** Called before the wait for another attempt. */
  waiting(ms: number): void;
  /** How many deliveries follow the first successful one. */
  duplicates(): number;
  /** Called with the last successful attempt. */
  done(attempt: Attempt): void;
  /** Called with at most {@linkcode REMEMBERED} latest attempts if the job did not succeed. */
  undone(reason: Undone, count: number, latest: readonly Attempt[]): void;
  /** Called with an error of `attempt`. */
  broken(error: unknown): void;
}

/** How many attempts an error lists. */
export const REMEMBERED = 5;

/** The wait after a number of consecutive failures. */
export function backoffMs(failures: number, { initialMs, maxMs }: Backoff): number {
  return Math.min(maxMs, initialMs * 2 ** (failures - 1));
}

interface Entry<Attempt extends { readonly ok: boolean }> {
  readonly job: Job<Attempt>;
  dropped: boolean;
}

/** Runs the jobs of one instance in order. */
export class DeliveryQueue<Attempt extends { readonly ok: boolean }> {
  readonly #backoff: Backoff;
  readonly #maxAttempts: number;
  readonly #closed: AbortSignal;
  readonly #onEmpty: () => void;
  #entries: Entry<Attempt>[] = [];
  #running: Promise<void> | undefined;
  /** Ends the current wait between two attempts. */
  #wake = new AbortController();

  constructor(backoff: Backoff, maxAttempts: number, closed: AbortSignal, onEmpty: () => void) {
    this.#backoff = backoff;
    this.#maxAttempts = maxAttempts;
    this.#closed = closed;
    this.#onEmpty = onEmpty;
  }

  /** Settles when all jobs have ended; `undefined` if there is none. */
  get running(): Promise<void> | undefined {
    return this.#running;
  }

  /** Appends a job. */
  add(job: Job<Attempt>): void {
    this.#entries.push({ job, dropped: false });
    this.#running ??= this.#run();
  }

  /** Drops all jobs and adds one. An attempt in flight is awaited, not repeated. */
  replaceAll(job: Job<Attempt>): void {
    const [current, ...waiting] = this.#entries;
    for (const { job } of waiting) job.undone("ERR_DROPPED", 0, []);
    this.#entries = current === undefined ? [] : [current];
    if (current !== undefined) current.dropped = true;
    this.#wake.abort();
    this.add(job);
  }

  /** Ends the current wait, so that an aborted `closed` takes effect. */
  wake(): void {
    this.#wake.abort();
  }

  async #run(): Promise<void> {
    for (let entry = this.#entries[0]; entry !== undefined; entry = this.#entries[0]) {
      try {
        await this.#deliver(entry);
      } catch (error) {
        entry.job.broken(error);
      }
      this.#entries.shift();
    }
    // In the same turn as the check of the entries, so that a later job starts a new run.
    this.#running = undefined;
    this.#onEmpty();
  }

  async #deliver(entry: Entry<Attempt>): Promise<void> {
    const { job } = entry;
    const latest: Attempt[] = [];
    let count = 0;
    let successes = 0;
    let success: Attempt | undefined;
    let failures = 0; // consecutive
    for (;;) {
      const undone = this.#reasonToEnd(entry, failures);
      if (undone === "ERR_DROPPED" && success !== undefined) return job.done(success);
      if (undone !== undefined) return job.undone(undone, count, latest);

      const attempt = await job.attempt(++count);
      latest.push(attempt);
      if (latest.length > REMEMBERED) latest.shift();
      if (attempt.ok) {
        success = attempt;
        failures = 0;
        if (++successes > job.duplicates()) return job.done(attempt);
      } else if (this.#reasonToEnd(entry, ++failures) === undefined) {
        this.#wake = new AbortController();
        const waitMs = backoffMs(failures, this.#backoff);
        job.waiting(waitMs);
        await pause(waitMs, this.#wake.signal);
      }
    }
  }

  #reasonToEnd(entry: Entry<Attempt>, failures: number): Undone | undefined {
    if (this.#closed.aborted) return "ERR_CLOSED";
    if (entry.dropped) return "ERR_DROPPED";
    return failures >= (entry.job.maxAttempts ?? this.#maxAttempts) ? "ERR_GAVE_UP" : undefined;
  }
}
