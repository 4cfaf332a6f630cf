/**
 * Signs events, delivers them, and keeps the log.
 *
 * @module
 */

import { type AttemptResult, send, type WireRequest } from "./attempt.ts";
import { type Delivery, describe, undelivered } from "./deliveries.ts";
import { DeliveryQueue } from "./delivery_queue.ts";
import { buildPayload, type LifecycleEvent } from "./events.ts";
import {
  type AttemptOptions,
  checkFaults,
  dryRunUrl,
  duplicatesOf,
  type Faults,
  faultsOfAttempt,
  tampered,
} from "./faults.ts";
import { generateSigningKey, signatureHeaders, type SigningKey } from "./key_pair.ts";
import type { Settings } from "./options.ts";
import type { DeliverOptions } from "./simulated_instance.ts";
import { pause } from "./timers.ts";

interface Sent {
  readonly delivery: Delivery;
  readonly result: AttemptResult;
}

/** The sender behind a simulated mStudio. */
export class Sender {
  readonly #settings: Settings;
  readonly #key: SigningKey;
  #forgersKey: Promise<SigningKey> | undefined;

  readonly #closed = new AbortController();
  /** The queues that hold something, by instance. */
  readonly #queues = new Map<string, DeliveryQueue<Delivery>>();
  readonly #singles = new Set<Promise<unknown>>();
  /** What was sent, secrets included: apart from the log, so that no one prints it by accident. */
  readonly #sent = new WeakMap<Delivery, { event: LifecycleEvent; wire: WireRequest }>();

  /** All attempts that ended. */
  readonly deliveries: Delivery[] = [];
  /** The faults of deliveries that have none of their own. */
  faults: Faults;

  constructor(settings: Settings, key: SigningKey) {
    this.#settings = settings;
    this.#key = key;
    this.faults = settings.faults;
  }

  /** Puts an event into the queue of its instance; resolves with `result` of the attempt that succeeded. */
  enqueue<T>(
    event: LifecycleEvent,
    options: DeliverOptions | undefined,
    result: (delivery: Delivery) => T,
  ): Promise<T> {
    const faults = options?.faults;
    let resolve!: (value: T) => void;
    let reject!: (error: unknown) => void;
    const promise = new Promise<T>((onDone, onFailed) => {
      resolve = onDone;
      reject = onFailed;
    });
    try {
      checkFaults(faults ?? {});
      this.#assertOpen(event);
      const queue = this.#queueOf(event.id);
      const add = event.kind === "InstanceRemovedFromContext" ? "replaceAll" : "add";
      queue[add]({
        attempt: async (number) => {
          const own = faultsOfAttempt(faults ?? this.faults, number);
          const wire = await this.wire(event, own);
          return (await this.#send(event, number, wire, own)).delivery;
        },
        duplicates: () => duplicatesOf(faults ?? this.faults),
        done: (delivery) => resolve(result(delivery)),
        undone: (reason, count, latest) => {
          // Both are the caller's own doing, who need not wait for what he has called off.
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

  /** A single attempt, past the queue. */
  async once(event: LifecycleEvent, options: AttemptOptions): Promise<Response> {
    checkFaults(options);
    this.#assertOpen(event);
    return await this.#respond(
      event,
      this.wire(event, options).then((wire) => this.#send(event, 1, wire, options)),
    );
  }

  /** Sends again what an attempt sent. */
  async replay(delivery: Delivery): Promise<Response> {
    const sent = this.#sent.get(delivery);
    if (sent === undefined) {
      throw new TypeError("Replaying a delivery: this simulator did not make it");
    }
    this.#assertOpen(sent.event);
    return await this.#respond(sent.event, this.#send(sent.event, 1, sent.wire, {}));
  }

  /** Settles when nothing is queued. */
  async idle(): Promise<void> {
    while (this.#queues.size > 0) {
      await Promise.all(Array.from(this.#queues.values(), (queue) => queue.running));
    }
  }

  /** Ends everything that is queued, waiting, or on its way. */
  async close(): Promise<void> {
    this.#closed.abort();
    for (const queue of this.#queues.values()) queue.wake();
    await this.idle();
    await Promise.allSettled(this.#singles);
  }

  /** Signs a body. */
  async sign(body: Uint8Array): Promise<Record<string, string>> {
    return signatureHeaders(this.#key.serial, await this.#key.sign(body));
  }

  async #respond(event: LifecycleEvent, sending: Promise<Sent>): Promise<Response> {
    this.#singles.add(sending);
    try {
      const { delivery, result } = await sending;
      if (delivery.failure !== undefined || result.failure !== undefined) {
        const reason = delivery.failure === "closed" ? "ERR_CLOSED" : "ERR_NO_RESPONSE";
        throw undelivered(event, reason, 1, [delivery]);
      }
      // A Response with one of these statuses must not have a body, not even an empty one.
      const body = [204, 205, 304].includes(result.status) ? null : result.body;
      return new Response(body, { status: result.status, headers: result.headers });
    } finally {
      this.#singles.delete(sending);
    }
  }

  /** Builds and signs what one attempt sends. */
  async wire(event: LifecycleEvent, options: AttemptOptions): Promise<WireRequest> {
    const { dryRun, createdAt, forge, tamper } = options;
    const url = dryRun ? dryRunUrl(this.#settings.url, dryRun) : this.#settings.url;
    const body = new TextEncoder().encode(JSON.stringify(buildPayload(event, url, createdAt)));
    const key = forge ? await (this.#forgersKey ??= generateSigningKey()) : this.#key;
    const signature = signatureHeaders(this.#key.serial, await key.sign(body));
    return {
      url,
      headers: { "Content-Type": "application/json", ...signature },
      body: tamper ? tampered(body) : body,
    };
  }

  async #send(
    event: LifecycleEvent,
    attempt: number,
    wire: WireRequest,
    { delayMs, dropResponse }: AttemptOptions,
  ): Promise<Sent> {
    if (delayMs) await pause(delayMs, this.#closed.signal);
    const { target, attemptTimeoutMs } = this.#settings;
    const result = await send(target, wire, attemptTimeoutMs, this.#closed.signal);
    const delivery = describe(event, attempt, wire, result, dropResponse ?? false);
    this.deliveries.push(delivery);
    this.#sent.set(delivery, { event, wire });
    return { delivery, result };
  }

  #assertOpen(event: LifecycleEvent): void {
    if (this.#closed.signal.aborted) throw undelivered(event, "ERR_CLOSED", 0, []);
  }
}
