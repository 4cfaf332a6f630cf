/**
 * A simulated mStudio for tests and local development: signs lifecycle webhooks and delivers them
 * like mittwald's mStudio, to a handler in the same process or to a URL, with faults on demand.
 *
 * Runs wherever Web Crypto has Ed25519. Not for production: anybody with access to it can sign.
 *
 * @example Test a handler
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 *
 * const installed = new Set<string>();
 * const handler = async (request: Request) => {
 *   const { kind, id } = await request.json();
 *   kind === "InstanceRemovedFromContext" ? installed.delete(id) : installed.add(id);
 *   return new Response();
 * };
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: handler,
 * });
 * const instance = await mstudio.addInstance({ context: { id: "p-1", kind: "project" } });
 * assertEquals(installed, new Set([instance.id]));
 * await instance.remove();
 * assertEquals(installed, new Set());
 * ```
 *
 * @module
 */

export { SimulatedMstudio } from "./simulator.ts";
export { buildEvent } from "./events.ts";
export { generateSigningKey } from "./key_pair.ts";
export { DeliveryError, type ErrorCode, MitthooksDrizzleError } from "../errors.ts";

export type { SimulatedMstudioOptions } from "./options.ts";
export type {
  DeliverOptions,
  InstanceActions,
  InstanceFields,
  InstancePatch,
  RotateNowOptions,
  SimulatedInstance,
} from "./simulated_instance.ts";
export type { AttemptFailure, Backoff, Delivery, DeliveryTarget } from "./delivery.ts";
export type { AttemptOptions, Faults } from "./faults.ts";
export type { SessionTokenOptions, SimulatedSession } from "./session_token.ts";
export type { SigningKey } from "./key_pair.ts";
export type {
  EventBase,
  EventContext,
  EventFields,
  EventOfKind,
  EventState,
  ExtensionAddedToContextPayload,
  InstanceRemovedFromContextPayload,
  InstanceUpdatedPayload,
  LifecycleEvent,
  LifecycleKind,
  SecretRotatedPayload,
} from "./events.ts";
