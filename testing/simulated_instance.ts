/**
 * An extension instance as mStudio sees it.
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

/** What can be chosen of a new instance. What isn't has a valid value, ids and the secret a random one. */
export type InstanceFields = Omit<EventFields, "extensionId" | "contributorId">;

/** What can change in an instance. What is left out stays; `variantKey: undefined` removes the variant. */
export type InstancePatch = Pick<EventFields, "consentedScopes" | "enabled" | "variantKey">;

/** How a delivery is made. */
export interface DeliverOptions {
  /** The faults of this delivery, in place of those set for all. */
  readonly faults?: Faults | undefined;
}

/** How `rotateSecretNow` delivers. */
export interface RotateNowOptions extends DeliverOptions {
  /** Whether the new secret becomes valid if the delivery fails, too. Default: `false`. */
  readonly allowWebhookFailure?: boolean | undefined;
}

/** What an instance leaves to its simulator. */
export interface InstanceActions {
  /** Puts an event into the queue of its instance, to be delivered until it succeeds, or `once`. */
  enqueue(
    event: LifecycleEvent,
    options: DeliverOptions & {
      readonly once?: boolean | undefined;
      readonly allowFailure?: boolean | undefined;
    },
  ): Promise<Delivery>;
  /** Makes a session token for the page of an instance, whose state an event tells. */
  sessionToken(
    instance: EventOfKind<"InstanceUpdated">,
    options: SessionTokenOptions,
  ): Promise<string>;
}

/**
 * An extension instance of a simulated mStudio. Made by `addInstance` and `instance`.
 *
 * Its methods change it and queue the event that tells so. Their promises resolve when the receiver has
 * answered with 2xx. Nobody needs to wait for them: events of an instance are delivered in order.
 *
 * @example An instance from its beginning to its end
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
  /** Counts the rotations begun; the second is that of the secret, so that an older one never replaces a newer one. */
  #rotations = 0;
  #rotationOfSecret = 0;
  #removed = false;

  /** Id of the instance. */
  readonly id: string;
  /** What it is installed in. */
  readonly context: EventContext;

  /**
   * Made by `SimulatedMstudio`.
   *
   * @param fields The instance's data.
   * @param actions What it leaves to its simulator.
   */
  constructor(fields: EventFields, actions: InstanceActions) {
    const { id, context } = buildEvent("InstanceUpdated", fields);
    this.id = id;
    this.context = context;
    this.#fields = { ...fields, id, context };
    this.#secret = fields.secret ?? randomSecret();
    this.#actions = actions;
  }

  /** The scopes that were agreed to. */
  get consentedScopes(): readonly string[] {
    return this.event("InstanceUpdated").consentedScopes;
  }

  /** Whether it is switched on. */
  get enabled(): boolean {
    return this.event("InstanceUpdated").state.enabled;
  }

  /** The chosen variant. */
  get variantKey(): string | undefined {
    return this.#fields.variantKey;
  }

  /** The latest secret, delivered or not; after `rotateSecretNow` only if that has succeeded. */
  get secret(): string {
    return this.#secret;
  }

  /**
   * Builds an event that tells the instance's present state, without sending it.
   *
   * @param kind Which event.
   * @param fields What to tell differently.
   * @returns The event.
   * @throws {TypeError} `kind` is none of the four.
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
   * Makes a session token, as mStudio hands it to the page of the instance: a JWT that lives for 60 seconds.
   *
   * @param options What the token says, and what is wrong with it.
   * @returns The token. It goes into the header `x-session-token`.
   *
   * @example A page's request, and one of another extension's page
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
   * Delivers `ExtensionAddedToContext`. Only needed after `instance`: `addInstance` does it.
   *
   * @param options The faults of this delivery.
   * @returns The attempt that succeeded.
   * @throws {TypeError} Rejects, if the instance was removed.
   * @throws {DeliveryError} Rejects, if it was given up, dropped, or the simulator was closed.
   */
  add(options: DeliverOptions = {}): Promise<Delivery> {
    if (this.#removed) return this.#refuse("Adding");
    return this.#actions.enqueue(this.event("ExtensionAddedToContext"), options);
  }

  /**
   * Changes the instance and delivers `InstanceUpdated`.
   *
   * @param change What changes.
   * @param options The faults of this delivery.
   * @returns The attempt that succeeded.
   * @throws {TypeError} Rejects, if the instance was removed.
   * @throws {DeliveryError} Rejects, if it was given up, dropped, or the simulator was closed.
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
   * @param options The faults of this delivery.
   * @returns The attempt that succeeded.
   * @throws {TypeError} Rejects, if the instance was removed.
   * @throws {DeliveryError} Rejects, if it was given up, dropped, or the simulator was closed.
   */
  rotateSecret(secret: string = randomSecret(), options: DeliverOptions = {}): Promise<Delivery> {
    if (this.#removed) return this.#refuse("Rotating the secret of");
    this.#rotationOfSecret = ++this.#rotations;
    this.#secret = secret;
    return this.#actions.enqueue(this.event("SecretRotated"), options);
  }

  /**
   * Rotates the secret as a call of mittwald's API does: `SecretRotated` is delivered once, when its turn comes, and
   * never again. If that fails, the new secret does not become valid, and the old one stays the instance's, even where
   * the receiver has stored the new one and only its response was lost.
   *
   * @param secret The new secret. Default: a random one.
   * @param options The faults of this delivery (`duplicate` does not apply), and whether it may fail.
   * @returns The attempt, if it succeeded.
   * @throws {TypeError} Rejects, if the instance was removed.
   * @throws {DeliveryError} Rejects, if the attempt failed (`ERR_GAVE_UP`), was dropped, or the simulator was closed.
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
   * Removes the instance: drops what is queued for it, and delivers `InstanceRemovedFromContext`.
   *
   * An attempt that is on its way is awaited until it is answered or its time is over, and not repeated.
   *
   * @param options The faults of this delivery.
   * @returns The attempt that succeeded.
   * @throws {DeliveryError} Rejects, if it was given up, or the simulator was closed.
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
