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
 * A simulated mStudio: signs the lifecycle events of extension instances and delivers them as mStudio does.
 *
 * - At least once, each signed anew for every attempt, until the receiver answers with 2xx.
 * - In order per instance, different instances at the same time.
 * - When an instance is removed, what is queued for it is dropped, and only the removal is delivered. It stays
 *   removed: there is no further event of it.
 * - An attempt fails after 6 seconds. A request to a URL is aborted then; a handler is left running.
 * - It never gives up a URL; a handler in the same process after ten failures in a row.
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
  readonly #settings: Settings;
  readonly #keys: KeyRing;
  readonly #sessionKeys: KeyRing;
  readonly #register: InstanceRegister;
  readonly #requests: RequestBuilder;
  readonly #sender: Sender;
  readonly #sessionTokens: SessionTokens;
  /** Those that tell their own secret, which the API may rotate. */
  readonly #instances = new Map<string, SimulatedInstance>();

  /**
   * Its public keys as mitthooks' `PublicKeyProvider`, for receivers in the same process. Throws an
   * `UnknownPublicKeyError` for other serials.
   */
  readonly publicKeys: PublicKeyProvider;

  /**
   * The part of mittwald's API that an extension needs, as a handler for `Deno.serve` and the like:
   *
   * - `GET /v2/public-keys/{serial}?purpose=&format=`: the public keys, old ones included, `latest` for the one that is
   *   signed with. `purpose`: `webhook` (default) or `session_token`; `format`: `raw` (default: base64 of 32 bytes) or
   *   `spki` (PEM). 404 for other serials, 503 during a `publicKeyOutage`.
   * - `POST /v2/extension-instances/{id}/tokens`: exchanges the secret of an instance for an access token; 404 where
   *   there is no such instance, 403 where the secret is not valid: only that of the last event that was answered with
   *   success is, and not before `newSecretRefusedMs` have passed since.
   * - `POST /v2/authenticate-session-token`: exchanges a session token and the `extensionSecret` for an access token of
   *   the user, for 60 seconds.
   * - `POST /v2/extension-instances/{id}/sessions/{sessionId}`: makes a session token, for the `apiToken`.
   * - `GET /v2/extension-instances/{id}`: the instance, for its own token, its users' and the `apiToken`.
   * - `GET /v2/extensions/{id}`: the extension and its contributor, for everybody.
   * - `GET /v2/extension-instances?extensionId=&limit=&skip=` and
   *   `GET /v2/contributors/{contributorId}/webhook-executions?extensionId=&state=&limit=&skip=`: instances and
   *   deliveries, for the `apiToken`; how many there are stands in the header `X-Pagination-TotalCount`.
   * - `PUT /v2/contributors/{contributorId}/extensions/{extensionId}/extension-instances/{id}/secret`: rotates a secret
   *   as `rotateSecretNow` does, for the `apiToken`; `{ "allowWebhookFailure": true }` has it valid in any case.
   *
   * Everything else is answered by the option `api`, or with 404.
   *
   * @example An extension that runs without a network
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
   * Sets one up, with key pairs of its own, one for webhooks and one for session tokens. It delivers nothing by itself.
   *
   * @param options How it is set up.
   * @returns It.
   * @throws {TypeError} Rejects, if the target is neither a URL nor a function, or there is no option of a name.
   * @throws {RangeError} Rejects, if a number of the options is out of range.
   * @throws {DOMException} Rejects, if the platform's Web Crypto has no Ed25519.
   */
  static async create(options: SimulatedMstudioOptions): Promise<SimulatedMstudio> {
    const settings = settingsOf(options);
    return new SimulatedMstudio(
      settings,
      await generateSigningKey(options.serial),
      await generateSigningKey(),
    );
  }

  /** Serial of the key that it signs with. */
  get serial(): string {
    return this.#keys.current.serial;
  }

  /** Public half of the key that it signs with: base64 of 32 bytes. */
  get publicKey(): string {
    return this.#keys.current.publicKey;
  }

  /**
   * Signs with a new key pair from now on. The public keys of the old ones can still be looked up.
   *
   * @param serial Serial of the new pair. Default: a random one.
   * @param purpose What it signs: webhooks or session tokens. Default: `webhook`.
   * @throws {TypeError} Rejects, if the serial has a key already.
   *
   * @example A receiver that asks for keys by their serial
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

  /** Whether nobody can get a public key at the moment. Set it to begin and to end an outage. */
  get publicKeyOutage(): boolean {
    return this.#keys.outage;
  }
  set publicKeyOutage(outage: boolean) {
    this.#keys.outage = outage;
    this.#sessionKeys.outage = outage;
  }

  /**
   * Tells what an access token is good for, as mittwald's API would.
   *
   * @param publicToken The token.
   * @returns Id of the instance that it is valid for; `undefined` where it was made up, has expired, or its instance
   * was removed.
   */
  instanceOfToken(publicToken: string): string | undefined {
    return this.#register.instanceOfToken(publicToken);
  }

  /**
   * Tells who an access token of a user acts as.
   *
   * @param publicToken The token.
   * @returns The session that it came from; `undefined` where it was made up, has expired, or the instance was removed.
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

  /** Id of the extension's contributor. */
  get contributorId(): string {
    return this.#settings.contributorId;
  }

  /** All attempts that ended, late arrivals and replays among them, in the order in which they did. */
  get deliveries(): readonly Delivery[] {
    return this.#sender.deliveries;
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
   * Makes an instance and delivers nothing yet.
   *
   * @param fields Its data.
   * @returns The instance. Its `add` delivers `ExtensionAddedToContext`.
   *
   * @example An update that comes before the instance is known
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
   * Makes an instance and delivers `ExtensionAddedToContext`.
   *
   * @param fields Its data.
   * @param options The faults of this delivery.
   * @returns The instance, once the receiver has answered with 2xx.
   * @throws {TypeError} Rejects, if an instance of this id was removed.
   * @throws {DeliveryError} Rejects, if it was given up, or the simulator was closed.
   */
  addInstance(
    fields: InstanceFields = {},
    options: DeliverOptions = {},
  ): Promise<SimulatedInstance> {
    const instance = this.instance(fields);
    return this.#sender.enqueue(instance.event("ExtensionAddedToContext"), options, () => instance);
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
   * @throws {TypeError} Rejects, if the instance was removed, and the event is not its removal.
   * @throws {RangeError} Rejects, if a number in the faults is out of range.
   * @throws {DeliveryError} Rejects, if it was given up, dropped, or the simulator was closed.
   *
   * @example The same event twice
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
   * Makes a single attempt, now, past the queue of the instance and without the faults set for all. It is not of
   * mStudio's doing: a secret in it does not become valid, and an instance that was removed can be spoken of.
   *
   * @param event The event.
   * @param options What the attempt does differently.
   * @returns The response, whatever its status.
   * @throws {RangeError} Rejects, if a number of the options is out of range.
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
    return this.#sender.once(event, options);
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
    return this.#sender.replay(delivery);
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
    const key = this.#keys.current;
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    return signatureHeaders(key.serial, await key.sign(bytes));
  }

  /**
   * Builds and signs the request of one attempt, without sending it.
   *
   * @param event The event.
   * @param options What the attempt does differently. Losing the response and delays are the sender's: they are
   * left out.
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
   * Waits until nothing is queued any more, delivered or not, and what arrives late has arrived. What never succeeds is
   * waited for without end, where `maxAttempts` is `Infinity`.
   *
   * @example Ten instances at the same time
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
   * Ends all deliveries: requests to URLs are aborted, timers cleared, and promises that are not settled reject with
   * `ERR_CLOSED`. A handler that is still running is left alone. Closing again does nothing.
   */
  close(): Promise<void> {
    return this.#sender.close();
  }

  /** The same as `close`, for `await using`. */
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
