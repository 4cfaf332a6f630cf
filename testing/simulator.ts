/**
 * A simulated mStudio.
 *
 * @module
 */

import type { PublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import {
  type AttemptResult,
  type DeliveryTarget,
  send,
  toRequest,
  type WireRequest,
} from "./attempt.ts";
import { type Delivery, describe, undelivered } from "./deliveries.ts";
import { type Backoff, DeliveryQueue } from "./delivery_queue.ts";
import {
  buildEvent,
  buildPayload,
  type EventFields,
  type EventOfKind,
  type LifecycleEvent,
  type LifecycleKind,
} from "./events.ts";
import {
  type AttemptOptions,
  checkFaults,
  dryRunUrl,
  duplicatesOf,
  type Faults,
  faultsOfAttempt,
  MAX_TIMER_MS,
  tampered,
} from "./faults.ts";
import { generateSigningKey, signatureHeaders, type SigningKey } from "./key_pair.ts";
import { answerPublicKeyRequest, publicKeyProvider } from "./public_keys.ts";
import {
  type DeliverOptions,
  type InstanceFields,
  SimulatedInstance,
} from "./simulated_instance.ts";
import { pause } from "./timers.ts";

/** How a simulated mStudio is set up. */
export interface SimulatedMstudioOptions {
  /** Id of the extension whose events it delivers. */
  readonly extensionId: string;
  /** Id of the extension's contributor. Default: a random one. */
  readonly contributorId?: string | undefined;
  /** Where it delivers to: the extension's webhook URL, or its handler. */
  readonly target: DeliveryTarget;
  /** With a handler as target: the URL of its requests. Default: `https://extension.example/webhooks`. */
  readonly url?: string | URL | undefined;
  /** How long it waits after a failure: doubling from `initialMs` (default: 1 s) to `maxMs` (default: 5 min). */
  readonly backoff?: Partial<Backoff> | undefined;
  /** How long an attempt may take, in milliseconds. Default: 6 000. */
  readonly attemptTimeoutMs?: number | undefined;
  /** How many failures in a row make it give up. Default: `Infinity`, as mStudio never does. */
  readonly maxAttempts?: number | undefined;
  /** Serial of its public key. Default: a random one. */
  readonly serial?: string | undefined;
  /** The faults of all deliveries; see `setFaults`. Default: none. */
  readonly faults?: Faults | undefined;
}

const DEFAULT_URL = "https://extension.example/webhooks";

/**
 * A simulated mStudio: signs the lifecycle events of extension instances and delivers them as mStudio does.
 *
 * - At least once, each signed anew for every attempt, until the receiver answers with 2xx.
 * - In order per instance, different instances at the same time.
 * - When an instance is removed, what is queued for it is dropped, and only the removal is delivered.
 * - An attempt fails after 6 seconds. A request to a URL is aborted then; a handler is left running.
 *
 * Close it when it is no longer needed, best with `await using`.
 *
 * @example Test an extension's handler
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 *
 * const enabled = new Map<string, boolean>();
 * async function handler(request: Request): Promise<Response> {
 *   const { id, state } = await request.json();
 *   enabled.set(id, state.enabled);
 *   return new Response("stored");
 * }
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: handler,
 * });
 * const instance = await mstudio.addInstance();
 * const delivery = await instance.update({ enabled: false });
 * assertEquals(delivery.responseBody, "stored");
 * assertEquals(enabled.get(instance.id), false);
 * ```
 */
export class SimulatedMstudio {
  readonly #options: SimulatedMstudioOptions;
  readonly #contributorId: string;
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #backoff: Backoff;
  readonly #maxAttempts: number;
  readonly #key: SigningKey;
  #forgersKey: Promise<SigningKey> | undefined;
  #faults: Faults = {};

  readonly #closed = new AbortController();
  readonly #queues = new Map<string, DeliveryQueue<Delivery>>();
  readonly #singles = new Set<Promise<unknown>>();
  readonly #deliveries: Delivery[] = [];
  readonly #sent = new WeakMap<Delivery, { event: LifecycleEvent; wire: WireRequest }>();

  /** Its public key as mitthooks' `PublicKeyProvider`, for receivers in the same process. Throws for other serials. */
  readonly publicKeys: PublicKeyProvider;

  /**
   * Its public key over HTTP: a handler for `Deno.serve` and the like that answers
   * `GET /v2/public-keys/{serial}` as mittwald's API does, with 404 for other serials.
   */
  readonly publicKeyEndpoint: (request: Request) => Response;

  private constructor(options: SimulatedMstudioOptions, key: SigningKey) {
    this.#options = options;
    this.#contributorId = options.contributorId ?? crypto.randomUUID();
    this.#url = urlOf(options);
    this.#timeoutMs = inRange("attemptTimeoutMs", options.attemptTimeoutMs ?? 6_000, MAX_TIMER_MS);
    this.#backoff = {
      initialMs: inRange("backoff.initialMs", options.backoff?.initialMs ?? 1_000, MAX_TIMER_MS),
      maxMs: inRange("backoff.maxMs", options.backoff?.maxMs ?? 300_000, MAX_TIMER_MS),
    };
    this.#maxAttempts = inRange("maxAttempts", options.maxAttempts ?? Infinity, Infinity, 1);
    this.setFaults(options.faults ?? {});
    this.#key = key;
    this.publicKeys = publicKeyProvider(key);
    this.publicKeyEndpoint = (request) => answerPublicKeyRequest(key, request);
  }

  /**
   * Sets one up, with a key pair of its own. It delivers nothing by itself.
   *
   * @param options How it is set up.
   * @returns It.
   * @throws {TypeError} Rejects, if the target is neither a URL nor a function.
   * @throws {RangeError} Rejects, if a number of the options is out of range.
   * @throws {DOMException} Rejects, if the platform's Web Crypto has no Ed25519.
   */
  static async create(options: SimulatedMstudioOptions): Promise<SimulatedMstudio> {
    return new SimulatedMstudio(options, await generateSigningKey(options.serial));
  }

  /** Serial of its public key. */
  get serial(): string {
    return this.#key.serial;
  }

  /** Its public key: base64 of 32 bytes. */
  get publicKey(): string {
    return this.#key.publicKey;
  }

  /** All attempts that ended, in the order in which they did. */
  get deliveries(): readonly Delivery[] {
    return this.#deliveries;
  }

  /**
   * Sets the faults of all deliveries that have none of their own, from their next attempt on.
   *
   * @param faults The faults. `{}` switches all of them off.
   * @throws {RangeError} A number is out of range.
   *
   * @example Responses get lost for a while
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: () => new Response(),
   *   backoff: { initialMs: 1 },
   * });
   * mstudio.setFaults({ dropResponse: 2 });
   * await mstudio.addInstance();
   * assertEquals(mstudio.deliveries.map(({ failure }) => failure), [
   *   "response-lost",
   *   "response-lost",
   *   undefined,
   * ]);
   * ```
   */
  setFaults(faults: Faults): void {
    checkFaults(faults);
    this.#faults = faults;
  }

  /**
   * Makes an instance and delivers nothing yet.
   *
   * @param fields Its data.
   * @returns The instance. Its `add` delivers `ExtensionAddedToContext`.
   */
  instance(fields: InstanceFields = {}): SimulatedInstance {
    return new SimulatedInstance(
      { ...this.#ids(), ...fields },
      (event, options) => this.deliver(event, options),
    );
  }

  /**
   * Makes an instance and delivers `ExtensionAddedToContext`.
   *
   * @param fields Its data.
   * @param options The faults of this delivery.
   * @returns The instance, once the receiver has answered with 2xx.
   * @throws {DeliveryError} Rejects, if it was given up, or the simulator was closed.
   */
  addInstance(fields: InstanceFields = {}, options?: DeliverOptions): Promise<SimulatedInstance> {
    const instance = this.instance(fields);
    return this.#enqueue(instance.event("ExtensionAddedToContext"), options, () => instance);
  }

  /**
   * Builds an event of this extension, without sending it.
   *
   * @param kind Which event.
   * @param fields What to choose; all else gets a valid value.
   * @returns The event.
   * @throws {TypeError} `kind` is none of the four.
   */
  event<Kind extends LifecycleKind>(kind: Kind, fields: EventFields = {}): EventOfKind<Kind> {
    return buildEvent(kind, { ...this.#ids(), ...fields });
  }

  /**
   * Queues an event for its instance, and delivers it when its turn comes. An `InstanceRemovedFromContext`
   * drops what is queued for the instance.
   *
   * A promise that nobody waits for is no unhandled rejection where the delivery was dropped or the simulator
   * closed; it is one where the delivery was given up.
   *
   * @param event The event.
   * @param options The faults of this delivery.
   * @returns The attempt that succeeded.
   * @throws {RangeError} Rejects, if a number in the faults is out of range.
   * @throws {DeliveryError} Rejects, if it was given up, dropped, or the simulator was closed.
   */
  deliver(event: LifecycleEvent, options?: DeliverOptions): Promise<Delivery> {
    return this.#enqueue(event, options, (delivery) => delivery);
  }

  /**
   * Makes a single attempt, now, past the queue of the instance and without the faults set for all.
   *
   * @param event The event.
   * @param options What the attempt does differently.
   * @returns The response, whatever its status.
   * @throws {RangeError} Rejects, if `delayMs` is out of range.
   * @throws {DeliveryError} Rejects with `ERR_NO_RESPONSE` or `ERR_CLOSED`, if there was none.
   *
   * @example A forged webhook, and a dry run
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: (request) => new Response(new URL(request.url).searchParams.get("dry-run")),
   * });
   * const event = mstudio.event("SecretRotated");
   * const response = await mstudio.deliverOnce(event, { forge: true });
   * assertEquals(response.status, 200); // this handler checks no signature: it should
   * const dryRun = await mstudio.deliverOnce(event, { dryRun: true });
   * assertEquals(await dryRun.text(), "true");
   * ```
   */
  deliverOnce(event: LifecycleEvent, options: AttemptOptions = {}): Promise<Response> {
    return this.#single(event, options, async () => {
      checkFaults(options);
      return await this.#wire(event, options);
    });
  }

  /**
   * Sends again, byte for byte, what an earlier attempt sent: as an attacker would who has recorded it.
   *
   * @param delivery The attempt, from {@linkcode SimulatedMstudio.deliveries | deliveries}.
   * @returns The response, whatever its status.
   * @throws {TypeError} Rejects, if the attempt is not one of this simulator's.
   * @throws {DeliveryError} Rejects with `ERR_NO_RESPONSE` or `ERR_CLOSED`, if there was no response.
   *
   * @example Replay an old rotation
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * const secrets: string[] = [];
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: async (request) => {
   *     secrets.push((await request.json()).secret);
   *     return new Response();
   *   },
   * });
   * const instance = await mstudio.addInstance({ secret: "first" });
   * const rotation = await instance.rotateSecret("second");
   * await instance.rotateSecret("third");
   * await mstudio.replay(rotation);
   * assertEquals(secrets, ["first", "second", "third", "second"]);
   * ```
   */
  replay(delivery: Delivery): Promise<Response> {
    const sent = this.#sent.get(delivery);
    return sent === undefined
      ? Promise.reject(new TypeError("Replaying a delivery: this simulator did not make it"))
      : this.#single(sent.event, {}, () => Promise.resolve(sent.wire));
  }

  /**
   * Signs a body, valid or not.
   *
   * @param body The body. A string is signed as UTF-8.
   * @returns The signature's three headers.
   *
   * @example Something that mStudio would never send
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * const handler = (request: Request) => new Response(null, { status: request.body ? 200 : 400 });
   * await using mstudio = await SimulatedMstudio.create({ extensionId: "mine", target: handler });
   * const body = "not JSON";
   * const headers = await mstudio.sign(body);
   * const request = new Request("https://extension.example/", { method: "POST", headers, body });
   * assertEquals(request.headers.get("X-Marketplace-Signature-Serial"), mstudio.serial);
   * assertEquals(handler(request).status, 200);
   * ```
   */
  async sign(body: string | Uint8Array): Promise<Record<string, string>> {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    return signatureHeaders(this.#key.serial, await this.#key.sign(bytes));
  }

  /**
   * Builds and signs the request of one attempt, without sending it.
   *
   * @param event The event.
   * @param options What the attempt does differently. Losing the response and delays are the sender's: they are
   * left out.
   * @returns The request. Its body can be read once.
   */
  async request(event: LifecycleEvent, options: AttemptOptions = {}): Promise<Request> {
    return toRequest(await this.#wire(event, options));
  }

  /**
   * Waits until nothing is queued any more, delivered or not. What never succeeds is waited for without end,
   * unless `maxAttempts` is set.
   */
  async idle(): Promise<void> {
    while (this.#queues.size > 0) {
      await Promise.all(Array.from(this.#queues.values(), (queue) => queue.running));
    }
  }

  /**
   * Ends all deliveries: requests to URLs are aborted, timers cleared, and promises that are not settled reject with
   * `ERR_CLOSED`. A handler that is still running is left alone. Closing again does nothing.
   */
  async close(): Promise<void> {
    this.#closed.abort();
    for (const queue of this.#queues.values()) queue.wake();
    await this.idle();
    await Promise.allSettled(this.#singles);
  }

  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #ids(): EventFields {
    return { extensionId: this.#options.extensionId, contributorId: this.#contributorId };
  }

  #enqueue<T>(
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
          const own = faultsOfAttempt(faults ?? this.#faults, number);
          const wire = await this.#wire(event, own);
          return (await this.#send(event, number, wire, own)).delivery;
        },
        duplicates: () => duplicatesOf(faults ?? this.#faults),
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
        this.#backoff,
        this.#maxAttempts,
        this.#closed.signal,
        () => this.#queues.delete(id),
      );
      this.#queues.set(id, queue);
    }
    return queue;
  }

  async #single(
    event: LifecycleEvent,
    options: AttemptOptions,
    build: () => Promise<WireRequest>,
  ): Promise<Response> {
    this.#assertOpen(event);
    const sending = build().then((wire) => this.#send(event, 1, wire, options));
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
  async #wire(event: LifecycleEvent, options: AttemptOptions): Promise<WireRequest> {
    const { dryRun, createdAt, forge, tamper } = options;
    const url = dryRun ? dryRunUrl(this.#url, dryRun) : this.#url;
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
  ): Promise<{ delivery: Delivery; result: AttemptResult }> {
    if (delayMs) await pause(delayMs, this.#closed.signal);
    const result = await send(this.#options.target, wire, this.#timeoutMs, this.#closed.signal);
    const delivery = describe(event, attempt, wire, result, dropResponse ?? false);
    this.#deliveries.push(delivery);
    this.#sent.set(delivery, { event, wire });
    return { delivery, result };
  }

  #assertOpen(event: LifecycleEvent): void {
    if (this.#closed.signal.aborted) throw undelivered(event, "ERR_CLOSED", 0, []);
  }
}

function urlOf({ target, url }: SimulatedMstudioOptions): string {
  const given = typeof target === "function" ? url ?? DEFAULT_URL : target;
  if (typeof target !== "function" && url !== undefined) {
    throw new TypeError('Setting the option "url": the target is a URL itself');
  }
  const parsed = typeof given === "string" && URL.canParse(given) ? new URL(given) : given;
  if (!(parsed instanceof URL) || !/^https?:$/.test(parsed.protocol)) {
    throw new TypeError("Setting the target: it is neither a function nor an HTTP URL");
  }
  return parsed.href;
}

function inRange(name: string, value: number, max: number, min = 0): number {
  if (value >= min && value <= max) return value;
  throw new RangeError(`Setting the option "${name}": ${value} is not from ${min} to ${max}`);
}
