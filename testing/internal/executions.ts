/**
 * The deliveries of a simulated mStudio as its API lists them: one for each event, with all of its attempts.
 *
 * @module
 */

import type { LifecycleEvent } from "../events.ts";

/** How many of those are kept that succeeded. */
const KEPT = 1_000;

/** The delivery of one event. */
export interface Execution {
  readonly id: string;
  readonly event: LifecycleEvent;
  /** `queued`: waits for its turn, or for its next attempt. `halted`: given up. `failed`: was to be made only once. */
  state: "running" | "queued" | "halted" | "failed" | "successful";
  attempts: number;
  nextAt: Date | undefined;
}

/** All of them, in the order in which they were queued. */
export class Executions {
  readonly #all = new Set<Execution>();
  readonly #successful: Execution[] = [];
  /** When the next attempt for an instance is made, where one is scheduled. */
  readonly #next = new Map<string, Date>();

  /** Takes note of an event that is queued. */
  add(event: LifecycleEvent): Execution {
    const execution: Execution = {
      id: crypto.randomUUID(),
      event,
      state: "queued",
      attempts: 0,
      nextAt: undefined,
    };
    this.#all.add(execution);
    return execution;
  }

  /** Changes the state of one. */
  change(execution: Execution, state: Execution["state"], nextInMs?: number): void {
    execution.state = state;
    execution.nextAt = nextInMs === undefined ? undefined : new Date(Date.now() + nextInMs);
    if (execution.nextAt === undefined) this.#next.delete(execution.event.id);
    else this.#next.set(execution.event.id, execution.nextAt);
    if (state !== "successful") return;
    this.#successful.push(execution);
    if (this.#successful.length > KEPT) this.drop(this.#successful.shift() as Execution);
  }

  /** Forgets one that will not be made. */
  drop(execution: Execution): void {
    this.#all.delete(execution);
    if (execution.nextAt !== undefined) this.#next.delete(execution.event.id);
  }

  /** When the next attempt for an instance is made, where one is scheduled. */
  nextOf(instanceId: string): Date | undefined {
    return this.#next.get(instanceId);
  }

  /** All of them. */
  all(): Iterable<Execution> {
    return this.#all;
  }
}
