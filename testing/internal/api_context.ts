import type { Delivery } from "../delivery.ts";
import type { Settings } from "../options.ts";
import type { RotateNowOptions } from "../simulated_instance.ts";
import type { Executions } from "./executions.ts";
import type { InstanceRegister } from "./instance_register.ts";
import type { KeyRings } from "./key_ring.ts";
import type { SessionTokens } from "./session_tokens.ts";

/** What the API answers from. */
export interface ApiContext {
  readonly settings: Settings;
  readonly keys: KeyRings;
  readonly register: InstanceRegister;
  readonly executions: Executions;
  readonly sessionTokens: SessionTokens;
  /**
   * Rotates the secret of an instance that is there. Resolves to the new secret and the attempt to deliver it, where there
   * was one.
   */
  rotate(
    id: string,
    options: RotateNowOptions,
  ): Promise<{ secret: string; delivery: Delivery | undefined }>;
}

/** What a request asks for. */
export interface ApiCall {
  readonly request: Request;
  readonly query: URLSearchParams;
  /** What the path has in the places of the route's parameters, decoded. */
  readonly parameters: readonly string[];
}
