/**
 * # Sessions
 *
 * The backend of an extension's pages: checks who sends a request and from which instance's page,
 * and gets a token to act as that user. Runs wherever `fetch` runs.
 *
 * @example Check a page's request
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { MstudioSessions } from "@wais/mitthooks-drizzle/sessions";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: () => new Response(),
 * });
 * const sessions = new MstudioSessions({
 *   extensionId: "my-extension",
 *   extensionSecret: mstudio.extensionSecret, // from the environment
 *   fetch: (input, init) => mstudio.api(new Request(input, init)), // in real life left out
 * });
 *
 * const instance = await mstudio.addInstance();
 * const request = new Request("https://extension.example/", {
 *   headers: { "x-session-token": await instance.sessionToken({ userId: "ada" }) },
 * });
 * const { userId, extensionInstanceId } = await sessions.verify(request);
 * assertEquals([userId, extensionInstanceId], ["ada", instance.id]);
 *
 * const { token } = await sessions.accessToken(request);
 * assertEquals(mstudio.sessionOfToken(token)?.userId, "ada");
 * ```
 *
 * @module
 */

export { MstudioSessions } from "./mstudio_sessions.ts";
export type {
  MstudioSessionsOptions,
  Session,
  SessionInstance,
  SessionSource,
  SessionStorage,
} from "./mstudio_sessions.ts";
export { MittwaldPublicKeys } from "../webhooks/public_keys.ts";
export type { PublicKeyProvider } from "../webhooks/interfaces.ts";
export type { MittwaldPublicKeysOptions, PublicKeyOptions } from "../webhooks/public_keys.ts";
export {
  DeadlineExceededError,
  type ErrorCode,
  MitthooksDrizzleError,
  PublicKeyUnavailableError,
  SessionError,
  UnknownPublicKeyError,
} from "../errors.ts";
