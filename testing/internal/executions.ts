/**
 * Deliveries as the API lists them: one per event, with all its attempts.
 *
 * @module
 */

import type { LifecycleEvent } from "../events.ts";

/** How many successful deliveries are kept. */
const KEPT = 1_000;

/** The delivery of one event. */
export interface Execution {
  readonly id: string;
  readonly event: LifecycleEvent;
  /**
   * `queued`: waits for its turn or its next attempt. `halted`: given up. `failed`: a single
   * attempt failed.
   */
  state: "running" | "queued" | "halted" | "failed" | "successful";
  attempts: number;
  nextAt: Date | undefined;
}

/** All deliveries, in the order in which they were queued. */
export class Executions {
  readonly #all = new Set<Execution>();
  readonly #successful: Execution[] = [];
  /** The time of an instance's next attempt, if one is scheduled. */
  readonly #next = new Map<string, Date>();

  /** Adds a queued event. */
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

  /** Changes the state of a delivery. */
  change(execution: Execution, state: Execution["state"], nextInMs?: number): void {
    execution.state = state;
    execution.nextAt = nextInMs === undefined ? undefined : new Date(Date.now() + nextInMs);
    if (execution.nextAt === undefined) this.#next.delete(execution.event.id);
    else this.#next.set(execution.event.id, execution.nextAt);
    if (state !== "successful") return;
    this.#successful.push(execution);
    if (this.#successful.length > KEPT) this.drop(this.#successful.shift() as Execution);
  }

  /** Removes a delivery that will not be made. */
  drop(execution: Execution): void {
    this.#all.delete(execution);
    if (execution.nextAt !== undefined) this.#next.delete(execution.event.id);
  }

  /** The time of an instance's next attempt, if one is scheduled. */
  nextOf(instanceId: string): Date | undefined {
    return this.#next.get(instanceId);
  }

  /** All deliveries. */
  all(): Iterable<Execution> {
    return this.#all;
  }
}
