/**
 * A simulated mStudio.
 *
 * @module
 */

import type { PublicKeyProvider } from "../webhooks/interfaces.ts";
import { toRequest } from "./internal/attempt.ts";
import type { Delivery } from "./delivery.ts";
import {
  buildEvent,
  type EventFields,
  type EventOfKind,
  type LifecycleEvent,
  type LifecycleKind,
  randomSecret,
} from "./events.ts";
import { DeliveryError } from "../errors.ts";
import { answerApiRequest } from "./internal/api.ts";
import type { AttemptOptions, Faults } from "./faults.ts";
import { InstanceRegister } from "./internal/instance_register.ts";
import { generateSigningKey, signatureHeaders, type SigningKey } from "./key_pair.ts";
import { KeyRing, type KeyRings } from "./internal/key_ring.ts";
import type { SimulatedSession } from "./session_token.ts";
import { SessionTokens } from "./internal/session_tokens.ts";
import { type Settings, settingsOf, type SimulatedMstudioOptions } from "./options.ts";
import { RequestBuilder } from "./internal/request_builder.ts";
import { Sender } from "./internal/sender.ts";
import {
  type DeliverOptions,
  type InstanceFields,
  type RotateNowOptions,
  SimulatedInstance,
} from "./simulated_instance.ts";

/**
 * A simulated mStudio: signs the lifecycle events of extension instances and delivers them like
 * mStudio.
 *
 * - Events are delivered at least once, signed anew for each attempt, until the receiver answers
 *   with 2xx.
 * - Events of an instance are delivered in order, those of different instances concurrently.
 * - Removing an instance drops its queued events and delivers only the removal. There are no
 *   further events of it.
 * - An attempt fails after 6 seconds. A request to a URL is then aborted; a handler keeps running.
 * - It never gives up with a URL, although mStudio can halt an instance's deliveries; with a handler
 *   in the same process, it does after ten consecutive failures.
 *
 * Close it after use, best with `await using`.
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
  readonly #settings: Settings;
  readonly #keys: KeyRing;
  readonly #sessionKeys: KeyRing;
  readonly #register: InstanceRegister;
  readonly #requests: RequestBuilder;
  readonly #sender: Sender;
  readonly #sessionTokens: SessionTokens;
  /** The instances whose secrets the API can rotate. */
  readonly #instances = new Map<string, SimulatedInstance>();

  /**
   * Its public keys as a `PublicKeyProvider` of mitthooks, for receivers in the same program.
   * Throws an `UnknownPublicKeyError` for other serials.
   */
  readonly publicKeys: PublicKeyProvider;

  /**
   * The part of mittwald's API that an extension needs, as a function from a `Request` to its
   * `Response`:
   *
   * - `GET /v2/public-keys/{serial}?purpose=&format=`: the public keys, including old ones;
   *   `latest` is the current one. `purpose`: `webhook` (default) or `session_token`; `format`:
   *   `raw` (default: base64 of 32 bytes) or `spki` (PEM). 404 for other serials, 503 during a
   *   `publicKeyOutage`.
   * - `POST /v2/extension-instances/{id}/tokens`: exchanges an instance's secret for an access
   *   token. 404 if there is no such instance, 403 if the secret is invalid: only that of the last
   *   accepted event is valid, after `newSecretRefusedMs`.
   * - `POST /v2/authenticate-session-token`: exchanges a session token and the `extensionSecret`
   *   for an access token of the user, valid for 60 seconds.
   * - `POST /v2/extension-instances/{id}/sessions/{sessionId}`: makes a session token; needs the
   *   `apiToken`.
   * - `GET /v2/extension-instances/{id}`: the instance; needs its own token, one of its users', or
   *   the `apiToken`.
   * - `GET /v2/extensions/{id}`: the extension and its contributor; needs no token.
   * - `GET /v2/extension-instances?extensionId=&limit=&skip=` and
   *   `GET /v2/contributors/{contributorId}/webhook-executions?extensionId=&state=&limit=&skip=`:
   *   instances and deliveries; needs the `apiToken`. The header `X-Pagination-TotalCount` has the
   *   total. -
   *   `PUT /v2/contributors/{contributorId}/extensions/{extensionId}/extension-instances/{id}/secret`:
   *   rotates a secret like `rotateSecretNow`; needs the `apiToken`. With
   *   `{ "allowWebhookFailure": true }` the secret becomes valid in any case.
   *
   * The option `api` answers everything else; without it, 404.
   *
   * @example Run an extension without a network
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   * import { InstanceTokens } from "@wais/mitthooks-drizzle/tokens";
   *
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: () => new Response(),
   *   newSecretRefusedMs: 0,
   * });
   * const instance = await mstudio.addInstance();
   * const tokens = new InstanceTokens({
   *   storage: { getExtension: () => Promise.resolve({ secret: instance.secret }) },
   *   fetch: (input, init) => mstudio.api(new Request(input, init)),
   * });
   * assertEquals(mstudio.instanceOfToken(await tokens.get(instance.id)), instance.id);
   * ```
   */
  readonly api: (request: Request) => Promise<Response>;

  private constructor(settings: Settings, key: SigningKey, sessionKey: SigningKey) {
    this.#settings = settings;
    this.#keys = new KeyRing(key);
    this.#sessionKeys = new KeyRing(sessionKey);
    this.#register = new InstanceRegister(settings.tokenLifetimeMs, settings.newSecretRefusedMs);
    this.#requests = new RequestBuilder(settings, this.#keys);
    this.#sender = new Sender(settings, this.#requests, this.#register);
    this.#sessionTokens = new SessionTokens(this.#sessionKeys);
    this.publicKeys = this.#keys.provider();
    const context = {
      settings,
      keys: { webhook: this.#keys, session_token: this.#sessionKeys } satisfies KeyRings,
      register: this.#register,
      executions: this.#sender.executions,
      sessionTokens: this.#sessionTokens,
      rotate: (id: string, options: RotateNowOptions) => this.#rotate(id, options),
    };
    this.api = (request) => answerApiRequest(context, request);
  }

  /**
   * Creates a simulator with its own key pairs, one for webhooks and one for session tokens. It
   * delivers nothing by itself.
   *
   * @param options All but `extensionId` and `target` have defaults.
   * @returns The simulator.
   * @throws {TypeError} When an option is missing, invalid or unknown.
   * @throws {RangeError} When a number is out of range.
   * @throws {DOMException} When Web Crypto has no Ed25519.
   */
  static async create(options: SimulatedMstudioOptions): Promise<SimulatedMstudio> {
    const settings = settingsOf(options);
    return new SimulatedMstudio(
      settings,
      await generateSigningKey(options.serial),
      await generateSigningKey(),
    );
  }

  /** Serial of the current signing key. */
  get serial(): string {
    return this.#keys.current.serial;
  }

  /** Public key of the current signing key: base64 of 32 bytes. */
  get publicKey(): string {
    return this.#keys.current.publicKey;
  }

  /**
   * Replaces the signing key. Old public keys remain available.
   *
   * @param serial Serial of the new key. Default: a random one.
   * @param purpose What the key signs: webhooks or session tokens. Default: `webhook`.
   * @throws {TypeError} When the serial already has a key.
   *
   * @example The serial changes
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * const serials: (string | null)[] = [];
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: (request) => {
   *     serials.push(request.headers.get("X-Marketplace-Signature-Serial"));
   *     return new Response();
   *   },
   *   serial: "first",
   * });
   * const instance = await mstudio.addInstance();
   * await mstudio.rotateSigningKey("second");
   * await instance.remove();
   * assertEquals(serials, ["first", "second"]);
   * ```
   */
  async rotateSigningKey(
    serial?: string,
    purpose: "webhook" | "session_token" = "webhook",
  ): Promise<void> {
    await (purpose === "webhook" ? this.#keys : this.#sessionKeys).rotate(serial);
  }

  /** Whether public keys are unavailable. Set it to start and end an outage. */
  get publicKeyOutage(): boolean {
    return this.#keys.outage;
  }
  set publicKeyOutage(outage: boolean) {
    this.#keys.outage = outage;
    this.#sessionKeys.outage = outage;
  }

  /**
   * Identifies the instance of an access token, like mittwald's API.
   *
   * @param publicToken The token.
   * @returns Id of the token's instance; `undefined` if the token is unknown or expired, or the
   *   instance was removed.
   */
  instanceOfToken(publicToken: string): string | undefined {
    return this.#register.instanceOfToken(publicToken);
  }

  /**
   * Identifies the session of a user's access token.
   *
   * @param publicToken The token.
   * @returns The token's session; `undefined` if the token is unknown or expired, or the instance
   *   was removed.
   */
  sessionOfToken(publicToken: string): SimulatedSession | undefined {
    return this.#register.sessionOfToken(publicToken);
  }

  /** The extension's secret. */
  get extensionSecret(): string {
    return this.#settings.extensionSecret;
  }

  /** The contributor's API token. */
  get apiToken(): string {
    return this.#settings.apiToken;
  }

  /** The contributor's id. */
  get contributorId(): string {
    return this.#settings.contributorId;
  }

  /** All ended attempts, including late arrivals and replays, in the order of their ends. */
  get deliveries(): readonly Delivery[] {
    return this.#sender.deliveries;
  }

  /**
   * Sets the faults of all deliveries without their own, from their next attempt on.
   *
   * @param faults The faults. `{}` disables all.
   * @throws {TypeError} When a fault is unknown.
   * @throws {RangeError} When a number is out of range.
   *
   * @example Lose responses for a while
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: () => new Response(),
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
    this.#sender.setFaults(faults);
  }

  /**
   * Creates an instance without delivering an event.
   *
   * @param fields The instance's data.
   * @returns The instance. Its `add` delivers `ExtensionAddedToContext`.
   *
   * @example An update of an unknown instance
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: () => new Response(null, { status: 404 }),
   * });
   * const event = mstudio.instance({ enabled: false }).event("InstanceUpdated");
   * assertEquals((await mstudio.deliverOnce(event)).status, 404);
   * ```
   */
  instance(fields: InstanceFields = {}): SimulatedInstance {
    const instance = new SimulatedInstance({ ...this.#ids(), ...fields }, {
      enqueue: (event, options) => this.#sender.enqueue(event, options, (delivery) => delivery),
      sessionToken: (event, options) => this.#sessionTokens.make(event, options),
    });
    this.#instances.set(instance.id, instance);
    return instance;
  }

  /**
   * Creates an instance and delivers `ExtensionAddedToContext`.
   *
   * @param fields The instance's data.
   * @param options Faults of this delivery.
   * @returns The instance, once the receiver has answered with 2xx.
   * @throws {TypeError} When an instance with this id was removed.
   * @throws {DeliveryError} When it was given up, or the simulator was closed.
   */
  addInstance(
    fields: InstanceFields = {},
    options: DeliverOptions = {},
  ): Promise<SimulatedInstance> {
    const instance = this.instance(fields);
    return this.#sender.enqueue(instance.event("ExtensionAddedToContext"), options, () => instance);
  }

  /**
   * Builds an event of this extension without sending it.
   *
   * @param kind The kind of event.
   * @param fields Fields to set; the others get valid values.
   * @returns The event.
   * @throws {TypeError} When `kind` is unknown.
   */
  event<Kind extends LifecycleKind>(kind: Kind, fields: EventFields = {}): EventOfKind<Kind> {
    return buildEvent(kind, { ...this.#ids(), ...fields });
  }

  /**
   * Queues an event for its instance and delivers it in its turn. An `InstanceRemovedFromContext`
   * drops the instance's queued events.
   *
   * If the promise is not awaited, giving up the delivery is an unhandled rejection; dropping it or
   * closing the simulator is not.
   *
   * @param event The event.
   * @param options Faults of this delivery.
   * @returns The successful attempt.
   * @throws {TypeError} When the instance was removed and the event is not its removal.
   * @throws {RangeError} When a number in the faults is out of range.
   * @throws {DeliveryError} When it was given up or dropped, or the simulator was closed.
   *
   * @example Deliver an event twice
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: () => new Response(),
   * });
   * const event = mstudio.event("InstanceUpdated", { id: "i-1", enabled: false });
   * const { attempt } = await mstudio.deliver(event, { faults: { duplicate: true } });
   * assertEquals(attempt, 2);
   * ```
   */
  deliver(event: LifecycleEvent, options: DeliverOptions = {}): Promise<Delivery> {
    return this.#sender.enqueue(event, options, (delivery) => delivery);
  }

  /**
   * Makes a single attempt now, bypassing the instance's queue and the faults set for all
   * deliveries. It does not change the simulated mStudio: a secret in it does not become valid, and
   * its instance may have been removed.
   *
   * @param event The event.
   * @param options Options of the attempt.
   * @returns The response, whatever its status.
   * @throws {RangeError} When a number is out of range.
   * @throws {DeliveryError} `ERR_NO_RESPONSE` or `ERR_CLOSED` when there was no response.
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
   * assertEquals(response.status, 200); // this handler fails to check signatures
   * const dryRun = await mstudio.deliverOnce(event, { dryRun: true });
   * assertEquals(await dryRun.text(), "true");
   * ```
   */
  deliverOnce(event: LifecycleEvent, options: AttemptOptions = {}): Promise<Response> {
    return this.#sender.once(event, options);
  }

  /**
   * Repeats an earlier attempt byte for byte, like an attacker who recorded it.
   *
   * @param delivery The attempt, from {@linkcode SimulatedMstudio.deliveries | deliveries}.
   * @returns The response, whatever its status.
   * @throws {TypeError} When the attempt is not one of this simulator.
   * @throws {DeliveryError} `ERR_NO_RESPONSE` or `ERR_CLOSED` when there was no response.
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
    return this.#sender.replay(delivery);
  }

  /**
   * Signs any body, valid or not.
   *
   * @param body The body. A string is signed as UTF-8.
   * @returns The signature's three headers.
   *
   * @example Sign a body that mStudio would never send
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
    const key = this.#keys.current;
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    return signatureHeaders(key.serial, await key.sign(bytes));
  }

  /**
   * Builds and signs the request of one attempt without sending it.
   *
   * @param event The event.
   * @param options Options of the attempt. Lost responses and delays do not apply.
   * @returns The request. Its body can be read once.
   *
   * @example Call a handler yourself
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * const handler = async (request: Request) => new Response((await request.json()).kind);
   * await using mstudio = await SimulatedMstudio.create({ extensionId: "mine", target: handler });
   * const response = await handler(await mstudio.request(mstudio.event("SecretRotated")));
   * assertEquals(await response.text(), "SecretRotated");
   * ```
   */
  async request(event: LifecycleEvent, options: AttemptOptions = {}): Promise<Request> {
    return toRequest(await this.#requests.build(event, options));
  }

  /**
   * Waits until no event is queued, delivered or not, and all late arrivals have arrived. Never
   * ends if `maxAttempts` is `Infinity` and a delivery never succeeds.
   *
   * @example Ten instances at once
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: () => new Response(),
   * });
   * for (let count = 0; count < 10; count++) void mstudio.addInstance();
   * await mstudio.idle();
   * assertEquals(mstudio.deliveries.length, 10);
   * ```
   */
  idle(): Promise<void> {
    return this.#sender.idle();
  }

  /**
   * Ends all deliveries: aborts requests to URLs, clears timers, and rejects pending promises with
   * `ERR_CLOSED`. A running handler is not cancelled. Closing again has no effect.
   */
  close(): Promise<void> {
    return this.#sender.close();
  }

  /** Calls `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #rotate(id: string, options: RotateNowOptions) {
    const told = this.#register.find(id)?.state;
    const instance = this.#instances.get(id) ??
      this.instance({ id, ...told, enabled: told?.state.enabled });
    const secret = randomSecret();
    try {
      return { secret, delivery: await instance.rotateSecretNow(secret, options) };
    } catch (error) {
      if (!(error instanceof DeliveryError)) throw error;
      const delivery = error.code === "ERR_GAVE_UP"
        ? this.deliveries.findLast((each) => each.instanceId === id)
        : undefined;
      return { secret, delivery };
    }
  }

  #ids(): EventFields {
    const { extensionId, contributorId } = this.#settings;
    return { extensionId, contributorId };
  }
}
