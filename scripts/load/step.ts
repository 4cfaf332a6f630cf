/** Deliveries at a given concurrency, and what became of them. */

import type { SimulatedMstudio } from "../../testing/mod.ts";
import type { ExampleServer } from "./example_server.ts";

/** For how long mStudio waits for an answer. */
const SENDER_LIMIT_MS = 6_000;

/** How long mStudio waits at least after a failure. */
const BACKOFF_MS = 1_000;

/** How many instances live at once. */
const INSTANCES = 1_000;

/** When a step ends. */
export interface StepLimits {
  /** Deliveries under way at once. */
  readonly concurrency: number;
  /** After so many milliseconds nothing new is sent. */
  readonly ms: number;
  /** After so many deliveries nothing new is sent. Default: no limit. */
  readonly deliveries?: number;
}

/** What became of the deliveries of a step. */
export interface StepResult {
  readonly concurrency: number;
  readonly deliveries: number;
  /** Deliveries that were stored, per second. */
  readonly storedPerSecond: number;
  /** Times until the answer, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** How often each answer came: by status and code, or `no answer`. */
  readonly answers: ReadonlyMap<string, number>;
}

/** The answer of a delivery that went well. */
export const STORED = "200 STORED";
/** The sender gave up, or the connection broke. */
export const NO_ANSWER = "no answer";

/** Runs a step. */
export async function runStep(
  { mstudio, url }: Pick<ExampleServer, "mstudio" | "url">,
  { concurrency, ms, deliveries = Infinity }: StepLimits,
): Promise<StepResult> {
  const times: number[] = [];
  const answers = new Map<string, number>();
  const events = eventsOf(mstudio);
  const start = performance.now();
  let begun = 0;
  const lane = async (number: number) => {
    // Senders do not begin in the same moment.
    await pause(number);
    while (performance.now() - start < ms && begun < deliveries) {
      begun++;
      const request = await mstudio.request(events.next().value);
      const sentAt = performance.now();
      const answer = await deliver(url, request);
      times.push(performance.now() - sentAt);
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
      if (answer !== STORED) await pause(BACKOFF_MS);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, number) => lane(number)));
  const seconds = (performance.now() - start) / 1_000;
  times.sort((a, b) => a - b);
  const quantile = (share: number) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? NaN;
  return {
    concurrency,
    deliveries: times.length,
    storedPerSecond: (answers.get(STORED) ?? 0) / seconds,
    p50: quantile(0.5),
    p99: quantile(0.99),
    longest: quantile(1),
    answers,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function deliver(url: string, request: Request): Promise<string> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: request.headers,
      body: await request.arrayBuffer(),
      signal: AbortSignal.timeout(SENDER_LIMIT_MS),
    });
    const { code } = await response.json();
    return `${response.status} ${code}`;
  } catch {
    return NO_ANSWER;
  }
}

/** Instances come, change twice, and go, each slot of the thousand one after the other. */
function* eventsOf(
  mstudio: SimulatedMstudio,
): Generator<ReturnType<SimulatedMstudio["event"]>, never> {
  const run = crypto.randomUUID().slice(0, 8);
  for (let round = 0;; round++) {
    const id = (slot: number) => `${run}-${round}-${slot}`;
    for (
      const kind of [
        "ExtensionAddedToContext",
        "SecretRotated",
        "InstanceUpdated",
        "InstanceRemovedFromContext",
      ] as const
    ) {
      for (let slot = 0; slot < INSTANCES; slot++) yield mstudio.event(kind, { id: id(slot) });
    }
  }
}
