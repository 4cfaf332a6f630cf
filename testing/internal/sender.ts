/**
 * Delivers events and keeps the log.
 *
 * @module
 */

import { type AttemptResult, send } from "./attempt.ts";
import { describe, type Marks, type Sent, undelivered } from "./deliveries.ts";
import type { Delivery } from "../delivery.ts";
import { DeliveryQueue } from "./delivery_queue.ts";
import type { LifecycleEvent } from "../events.ts";
import type { AttemptOptions, Faults } from "../faults.ts";
import {
  checkAttemptOptions,
  checkFaults,
  duplicatesOf,
  faultsOfAttempt,
  stampOf,
} from "./faults.ts";
import { Executions } from "./executions.ts";
import type { InstanceRegister } from "./instance_register.ts";
import type { Settings } from "../options.ts";
import type { RequestBuilder } from "./request_builder.ts";
import type { DeliverOptions } from "../simulated_instance.ts";
import { pause } from "./timers.ts";

interface Attempted {
  readonly delivery: Delivery;
  readonly result: AttemptResult;
}

/** Options of a queued event. */
export interface EnqueueOptions extends DeliverOptions {
  /** Whether there is only one attempt, whatever its outcome. */
  readonly once?: boolean | undefined;
  /** Whether its secret becomes valid even if it is given up. */
  readonly allowFailure?: boolean | undefined;
}

/** The sender of a simulated mStudio. */
export class Sender {
  readonly #settings: Settings;
  readonly #requests: RequestBuilder;
  readonly #register: InstanceRegister;

  readonly #closed = new AbortController();
  /** The queues with jobs, by instance. */
  readonly #queues = new Map<string, DeliveryQueue<Delivery>>();
  readonly #singles = new Set<Promise<unknown>>();
  /** Requests that will still arrive although their attempts have failed. */
  readonly #lateArrivals = new Set<Promise<unknown>>();
  /** The sent requests with their secrets, separate from the log, which might be printed. */
  readonly #sent = new WeakMap<Delivery, Sent>();
  /** The faults of deliveries without their own. */
  #faults: Faults;

  /** All ended attempts. */
  readonly deliveries: Delivery[] = [];
  /** Deliveries by event, including unfinished ones. */
  readonly executions: Executions = new Executions();

  constructor(settings: Settings, requests: RequestBuilder, register: InstanceRegister) {
    this.#settings = settings;
    this.#requests = requests;
    this.#register = register;
    this.#faults = settings.faults;
  }

  /** Sets the faults of deliveries without their own. */
  setFaults(faults: Faults): void {
    checkFaults(faults, this.#settings.attemptTimeoutMs);
    this.#faults = faults;
  }

  /** Queues an event for its instance; resolves with `result` of the successful attempt. */
  enqueue<T>(
    event: LifecycleEvent,
    { faults, once = false, allowFailure = false }: EnqueueOptions,
    result: (delivery: Delivery) => T,
  ): Promise<T> {
    let resolve!: (value: T) => void;
    let reject!: (error: unknown) => void;
    const promise = new Promise<T>((onDone, onFailed) => {
      resolve = onDone;
      reject = onFailed;
    });
    try {
      checkFaults(faults ?? {}, this.#settings.attemptTimeoutMs);
      this.#assertOpen(event);
      const faultsNow = () => faults ?? this.#faults;
      const keptStamp = this.#settings.restamp ? undefined : stampOf(faultsNow(), 1);
      this.#register.announce(event);
      const { executions } = this;
      const execution = executions.add(event);
      const add = event.kind === "InstanceRemovedFromContext" ? "replaceAll" : "add";
      this.#queueOf(event.id)[add]({
        maxAttempts: once ? 1 : undefined,
        attempt: async (attempt) => {
          executions.change(execution, "running");
          execution.attempts = attempt;
          const createdAt = keptStamp ?? stampOf(faultsNow(), attempt);
          const options = { ...faultsOfAttempt(faultsNow(), attempt), createdAt };
          const wire = await this.#requests.build(event, options);
          const { delivery } = await this.#attempt({ event, attempt, wire }, options);
          if (delivery.ok) this.#register.confirm(event);
          return delivery;
        },
        waiting: (ms) => executions.change(execution, "queued", ms),
        duplicates: () => once ? 0 : duplicatesOf(faultsNow()),
        done: (delivery) => {
          executions.change(execution, "successful");
          resolve(result(delivery));
        },
        undone: (reason, count, latest) => {
          if (reason === "ERR_GAVE_UP") {
            executions.change(execution, once ? "failed" : "halted");
            if (!once) this.#register.halt(event);
            if (allowFailure) this.#register.acceptSecret(event);
          } else {
            executions.drop(execution);
          }
          // The caller caused the other reasons and need not handle the rejection.
          if (reason !== "ERR_GAVE_UP") promise.catch(() => {});
          reject(undelivered(event, reason, count, latest));
        },
        broken: reject,
      });
    } catch (error) {
      reject(error);
    }
    return promise;
  }

  #queueOf(id: string): DeliveryQueue<Delivery> {
    let queue = this.#queues.get(id);
    if (queue === undefined) {
      queue = new DeliveryQueue(
        this.#settings.backoff,
        this.#settings.maxAttempts,
        this.#closed.signal,
        () => this.#queues.delete(id),
      );
      this.#queues.set(id, queue);
    }
    return queue;
  }

  /** Makes a single attempt that bypasses the queue. */
  async once(event: LifecycleEvent, options: AttemptOptions): Promise<Response> {
    checkAttemptOptions(options, this.#settings.attemptTimeoutMs);
    this.#assertOpen(event);
    return await this.#respond(
      event,
      this.#requests.build(event, options)
        .then((wire) => this.#attempt({ event, attempt: 1, wire }, options)),
    );
  }

  /** Repeats an attempt's request. */
  async replay(delivery: Delivery): Promise<Response> {
    const sent = this.#sent.get(delivery);
    if (sent === undefined) {
      throw new TypeError("Replaying a delivery: this simulator did not make it");
    }
    this.#assertOpen(sent.event);
    return await this.#respond(sent.event, this.#send(sent, {}, { replay: true }));
  }

  /** Settles when no event is queued and no request will arrive late. */
  async idle(): Promise<void> {
    while (this.#queues.size + this.#lateArrivals.size > 0) {
      await Promise.all(Array.from(this.#queues.values(), (queue) => queue.running));
      await Promise.all(this.#lateArrivals);
    }
  }

  /** Ends everything that is queued, waiting or in flight. */
  async close(): Promise<void> {
    this.#closed.abort();
    for (const queue of this.#queues.values()) queue.wake();
    await Promise.allSettled(this.#singles);
    await this.idle();
  }

  async #respond(event: LifecycleEvent, attempting: Promise<Attempted>): Promise<Response> {
    this.#singles.add(attempting);
    try {
      const { delivery, result } = await attempting;
      if (delivery.failure !== undefined || result.failure !== undefined) {
        const reason = delivery.failure === "closed" ? "ERR_CLOSED" : "ERR_NO_RESPONSE";
        throw undelivered(event, reason, 1, [delivery]);
      }
      // A Response with one of these statuses must not have a body, not even an empty one.
      const body = [204, 205, 304].includes(result.status) ? null : result.body;
      return new Response(body, { status: result.status, headers: result.headers });
    } finally {
      this.#singles.delete(attempting);
    }
  }

  async #attempt(sent: Sent, options: AttemptOptions): Promise<Attempted> {
    const { delayMs, arriveLateMs, dropResponse } = options;
    if (arriveLateMs === undefined) {
      return await this.#send(sent, { delayMs }, { responseLost: dropResponse });
    }
    const sentAt = performance.now();
    // Exceeds the time limit, so the attempt fails.
    const attempted = await this.#send(sent, { delayMs: arriveLateMs }, {});
    const late = this.#arriveLate(sent, sentAt + arriveLateMs);
    this.#lateArrivals.add(late);
    void late.finally(() => this.#lateArrivals.delete(late));
    return attempted;
  }

  async #arriveLate(sent: Sent, at: number): Promise<void> {
    await pause(Math.max(0, at - performance.now()), this.#closed.signal);
    if (!this.#closed.signal.aborted) await this.#send(sent, {}, { late: true });
  }

  async #send(sent: Sent, limits: { delayMs?: number | undefined }, marks: Marks) {
    const { target, attemptTimeoutMs: timeoutMs } = this.#settings;
    const closed = this.#closed.signal;
    const result = await send(target, sent.wire, { ...limits, timeoutMs, closed });
    const delivery = describe(sent, result, marks);
    this.deliveries.push(delivery);
    this.#sent.set(delivery, sent);
    return { delivery, result };
  }

  #assertOpen(event: LifecycleEvent): void {
    if (this.#closed.signal.aborted) throw undelivered(event, "ERR_CLOSED", 0, []);
  }
}
