/**
 * The error of a delivery that did not happen.
 *
 * @module
 */

/** Why a delivery did not happen. */
export type DeliveryErrorCode =
  | "ERR_GAVE_UP"
  | "ERR_DROPPED"
  | "ERR_NO_RESPONSE"
  | "ERR_CLOSED";

/**
 * A delivery did not happen:
 *
 * - `ERR_GAVE_UP`: `maxAttempts` attempts failed. The message lists their statuses and the `code`s of
 *   their JSON answers, never anything else of them.
 * - `ERR_DROPPED`: the instance was removed before.
 * - `ERR_NO_RESPONSE`: a single attempt got no response.
 * - `ERR_CLOSED`: the simulator was closed before.
 *
 * @example Tell why
 * ```ts
 * import { assertEquals, assertRejects } from "@std/assert";
 * import { DeliveryError, SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: () => Response.json({ code: "ERR_STORAGE_FAILED" }, { status: 500 }),
 *   maxAttempts: 1,
 * });
 * const error = await assertRejects(() => mstudio.addInstance({ id: "i-1" }), DeliveryError);
 * assertEquals(error.code, "ERR_GAVE_UP");
 * assertEquals(
 *   error.message,
 *   'Delivering ExtensionAddedToContext of instance "i-1": 1 of 1 attempts failed: 500 ERR_STORAGE_FAILED',
 * );
 * ```
 */
export class DeliveryError extends Error {
  /** `DeliveryError`. */
  override readonly name = "DeliveryError";

  /** Why the delivery did not happen. */
  readonly code: DeliveryErrorCode;

  /**
   * Made by the simulator.
   *
   * @param code Why the delivery did not happen.
   * @param message What was attempted, colon, what was found.
   * @param options `cause`: the error that led to this one.
   */
  constructor(code: DeliveryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
