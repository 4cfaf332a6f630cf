/**
 * # Access tokens
 *
 * Exchanges the stored secret of an extension instance for access tokens of mittwald's API. An
 * instance has none until its secret is committed and its webhook answered.
 *
 * @example From the webhook to the token
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 * import { InstanceTokens } from "@wais/mitthooks-drizzle/tokens";
 *
 * const secrets = new Map<string, { secret: string }>(); // in real life a PgExtensionStorage
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: async (request) => {
 *     const { id, secret } = await request.json();
 *     secrets.set(id, { secret });
 *     return new Response();
 *   },
 *   newSecretRefusedMs: 0,
 * });
 * const tokens = new InstanceTokens({
 *   storage: { getExtension: (id) => Promise.resolve(secrets.get(id)) },
 *   fetch: (input, init) => mstudio.api(new Request(input, init)), // in real life left out
 * });
 *
 * const instance = await mstudio.addInstance();
 * const token = await tokens.get(instance.id);
 * assertEquals(mstudio.instanceOfToken(token), instance.id);
 * ```
 *
 * @module
 */

export { InstanceTokens } from "./instance_tokens.ts";
export type {
  ExpiringToken,
  GetTokenOptions,
  InstanceSecretStorage,
  InstanceTokensOptions,
} from "./instance_tokens.ts";
export {
  type ErrorCode,
  InstanceTokenError,
  MitthooksDrizzleError,
  UnknownExtensionInstanceError,
} from "../errors.ts";
