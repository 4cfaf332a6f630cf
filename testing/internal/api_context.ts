import type { Delivery } from "../delivery.ts";
import type { Settings } from "../options.ts";
import type { RotateNowOptions } from "../simulated_instance.ts";
import type { Executions } from "./executions.ts";
import type { InstanceRegister } from "./instance_register.ts";
import type { KeyRings } from "./key_ring.ts";
import type { SessionTokens } from "./session_tokens.ts";

/** The state behind the API's answers. */
export interface ApiContext {
  readonly settings: Settings;
  readonly keys: KeyRings;
  readonly register: InstanceRegister;
  readonly executions: Executions;
  readonly sessionTokens: SessionTokens;
  /**
   * Rotates the secret of an existing instance. Resolves to the new secret and the attempt to
   * deliver it, if there was one.
   */
  rotate(
    id: string,
    options: RotateNowOptions,
  ): Promise<{ secret: string; delivery: Delivery | undefined }>;
}

/** A parsed request. */
export interface ApiCall {
  readonly request: Request;
  readonly query: URLSearchParams;
  /** The decoded values of the route's parameters. */
  readonly parameters: readonly string[];
}
