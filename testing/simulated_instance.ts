/**
 * Extension instances of a simulated mStudio.
 *
 * @module
 */

import type { Delivery } from "./delivery.ts";
import {
  buildEvent,
  type EventContext,
  type EventFields,
  type EventOfKind,
  type LifecycleEvent,
  type LifecycleKind,
  randomSecret,
} from "./events.ts";
import type { Faults } from "./faults.ts";
import type { SessionTokenOptions } from "./session_token.ts";

/** Fields of a new instance to set. All have valid defaults; ids and the secret are random. */
export type InstanceFields = Omit<EventFields, "extensionId" | "contributorId">;

/**
 * Changes of an instance. Omitted fields stay the same; `variantKey: undefined` removes the
 * variant.
 */
export type InstancePatch = Pick<EventFields, "consentedScopes" | "enabled" | "variantKey">;

/** Options of a delivery. */
export interface DeliverOptions {
  /** Faults of this delivery. Default: those set for all deliveries. */
  readonly faults?: Faults | undefined;
}

/** Options of `rotateSecretNow`. */
export interface RotateNowOptions extends DeliverOptions {
  /** Whether the new secret becomes valid even if the delivery fails. Default: `false`. */
  readonly allowWebhookFailure?: boolean | undefined;
}

/** The actions that an instance delegates to its simulator. */
export interface InstanceActions {
  /** Queues an event for its instance, to be delivered until it succeeds, or only `once`. */
  enqueue(
    event: LifecycleEvent,
    options: DeliverOptions & {
      readonly once?: boolean | undefined;
      readonly allowFailure?: boolean | undefined;
    },
  ): Promise<Delivery>;
  /** Makes a session token for an instance's page, from an event with the instance's state. */
  sessionToken(
    instance: EventOfKind<"InstanceUpdated">,
    options: SessionTokenOptions,
  ): Promise<string>;
}

/**
 * An extension instance of a simulated mStudio, created by `addInstance` or `instance`.
 *
 * Its methods change it and queue the event for the change. Their promises resolve when the
 * receiver has answered with 2xx. There is no need to await each: an instance's events are
 * delivered in order.
 *
 * @example The life of an instance
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: () => new Response(null, { status: 204 }),
 * });
 * const instance = await mstudio.addInstance({ context: { kind: "customer" } });
 * await instance.update({ enabled: false });
 * await instance.rotateSecret();
 * await instance.remove();
 * assertEquals(mstudio.deliveries.map(({ kind }) => kind), [
 *   "ExtensionAddedToContext",
 *   "InstanceUpdated",
 *   "SecretRotated",
 *   "InstanceRemovedFromContext",
 * ]);
 * ```
 */
export class SimulatedInstance {
  readonly #actions: InstanceActions;
  #fields: EventFields;
  #secret: string;
  /**
   * Counts rotations. Together with `#rotationOfSecret`, it keeps an older one from replacing a
   * newer one.
   */
  #rotations = 0;
  #rotationOfSecret = 0;
  #removed = false;

  /** The instance's id. */
  readonly id: string;
  /** Its customer or project. */
  readonly context: EventContext;

  /**
   * An extension instance of a simulated mStudio, created by `addInstance` or `instance`.
   *
   * @param fields The instance's data.
   * @param actions The actions that it delegates to its simulator.
   */
  constructor(fields: EventFields, actions: InstanceActions) {
    const { id, context } = buildEvent("InstanceUpdated", fields);
    this.id = id;
    this.context = context;
    this.#fields = { ...fields, id, context };
    this.#secret = fields.secret ?? randomSecret();
    this.#actions = actions;
  }

  /** The consented scopes. */
  get consentedScopes(): readonly string[] {
    return this.event("InstanceUpdated").consentedScopes;
  }

  /** Whether it is enabled. */
  get enabled(): boolean {
    return this.event("InstanceUpdated").state.enabled;
  }

  /** The booked variant. */
  get variantKey(): string | undefined {
    return this.#fields.variantKey;
  }

  /** The latest secret, delivered or not; that of `rotateSecretNow` only if it succeeded. */
  get secret(): string {
    return this.#secret;
  }

  /**
   * Builds an event with the instance's current state, without sending it.
   *
   * @param kind The kind of event.
   * @param fields Fields to override.
   * @returns The event.
   * @throws {TypeError} When `kind` is unknown.
   */
  event<Kind extends LifecycleKind>(kind: Kind, fields: EventFields = {}): EventOfKind<Kind> {
    return buildEvent(kind, {
      ...this.#fields,
      secret: this.#secret,
      ...fields,
      context: { ...this.context, ...fields.context },
    });
  }

  /**
   * Makes a session token like mStudio's for the instance's page: a JWT that is valid for 60
   * seconds.
   *
   * @param options The token's content, valid or forged.
   * @returns The token, for the header `x-session-token`.
   *
   * @example A valid token, and one of another extension's page
   * ```ts
   * import { assertEquals, assertRejects } from "@std/assert";
   * import { MstudioSessions } from "@wais/mitthooks-drizzle/sessions";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: () => new Response(),
   * });
   * const instance = await mstudio.addInstance();
   * const sessions = new MstudioSessions({
   *   extensionId: "my-extension",
   *   fetch: (input, init) => mstudio.api(new Request(input, init)),
   * });
   * const { userId } = await sessions.verify(await instance.sessionToken({ userId: "ada" }));
   * assertEquals(userId, "ada");
   * const foreign = await instance.sessionToken({ forge: { extensionId: "another" } });
   * await assertRejects(() => sessions.verify(foreign));
   * ```
   */
  sessionToken(options: SessionTokenOptions = {}): Promise<string> {
    return this.#actions.sessionToken(this.event("InstanceUpdated"), options);
  }

  /**
   * Delivers `ExtensionAddedToContext`. Only needed after `instance`; `addInstance` does it itself.
   *
   * @param options Faults of this delivery.
   * @returns The successful attempt.
   * @throws {TypeError} When the instance was removed.
   * @throws {DeliveryError} When it was given up or dropped, or the simulator was closed.
   */
  add(options: DeliverOptions = {}): Promise<Delivery> {
    if (this.#removed) return this.#refuse("Adding");
    return this.#actions.enqueue(this.event("ExtensionAddedToContext"), options);
  }

  /**
   * Changes the instance and delivers `InstanceUpdated`.
   *
   * @param change The changed fields.
   * @param options Faults of this delivery.
   * @returns The successful attempt.
   * @throws {TypeError} When the instance was removed.
   * @throws {DeliveryError} When it was given up or dropped, or the simulator was closed.
   */
  update(change: InstancePatch = {}, options: DeliverOptions = {}): Promise<Delivery> {
    if (this.#removed) return this.#refuse("Updating");
    this.#fields = { ...this.#fields, ...change };
    return this.#actions.enqueue(this.event("InstanceUpdated"), options);
  }

  /**
   * Gives the instance a new secret and delivers `SecretRotated`.
   *
   * @param secret The new secret. Default: a random one.
   * @param options Faults of this delivery.
   * @returns The successful attempt.
   * @throws {TypeError} When the instance was removed.
   * @throws {DeliveryError} When it was given up or dropped, or the simulator was closed.
   */
  rotateSecret(secret: string = randomSecret(), options: DeliverOptions = {}): Promise<Delivery> {
    if (this.#removed) return this.#refuse("Rotating the secret of");
    this.#rotationOfSecret = ++this.#rotations;
    this.#secret = secret;
    return this.#actions.enqueue(this.event("SecretRotated"), options);
  }

  /**
   * Rotates the secret like mittwald's API: `SecretRotated` is delivered once, in its turn, and
   * never again. If that fails, the old secret stays valid instead of the new one, even if the
   * receiver stored the new one and only its response was lost.
   *
   * @param secret The new secret. Default: a random one.
   * @param options Faults of this delivery (`duplicate` does not apply), and whether it may fail.
   * @returns The successful attempt.
   * @throws {TypeError} When the instance was removed.
   * @throws {DeliveryError} When the attempt failed (`ERR_GAVE_UP`) or was dropped, or the
   *   simulator was closed.
   *
   * @example A receiver that is down
   * ```ts
   * import { assertEquals, assertRejects } from "@std/assert";
   * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
   *
   * let status = 200;
   * await using mstudio = await SimulatedMstudio.create({
   *   extensionId: "my-extension",
   *   target: () => new Response(null, { status }),
   * });
   * const instance = await mstudio.addInstance({ secret: "first" });
   * status = 500;
   * await assertRejects(() => instance.rotateSecretNow("second"));
   * assertEquals(instance.secret, "first");
   * ```
   */
  rotateSecretNow(
    secret: string = randomSecret(),
    { allowWebhookFailure, ...options }: RotateNowOptions = {},
  ): Promise<Delivery> {
    if (this.#removed) return this.#refuse("Rotating the secret of");
    const rotation = ++this.#rotations;
    const event = this.event("SecretRotated", { secret });
    const delivered = this.#actions.enqueue(event, {
      ...options,
      once: true,
      allowFailure: allowWebhookFailure,
    });
    const take = () => {
      if (rotation < this.#rotationOfSecret) return;
      this.#rotationOfSecret = rotation;
      this.#secret = secret;
    };
    delivered.then(take, (error) => {
      if (allowWebhookFailure && error.code === "ERR_GAVE_UP") take();
    });
    return delivered;
  }

  /**
   * Removes the instance: drops its queued events and delivers `InstanceRemovedFromContext`.
   *
   * An attempt in flight is awaited until it ends, and not repeated.
   *
   * @param options Faults of this delivery.
   * @returns The successful attempt.
   * @throws {DeliveryError} When it was given up, or the simulator was closed.
   */
  remove(options: DeliverOptions = {}): Promise<Delivery> {
    this.#removed = true;
    return this.#actions.enqueue(this.event("InstanceRemovedFromContext"), options);
  }

  #refuse(attempt: string): Promise<never> {
    return Promise.reject(
      new TypeError(`${attempt} instance ${JSON.stringify(this.id)}: it was removed`),
    );
  }
}
