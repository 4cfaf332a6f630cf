/**
 * How a simulated mStudio is set up.
 *
 * @module
 */

import type { Backoff, DeliveryTarget } from "./delivery.ts";
import { randomSecret } from "./events.ts";
import type { Faults } from "./faults.ts";
import { checkFaults } from "./internal/faults.ts";
import { checkFunction, checkNames, MAX_TIMER_MS } from "../internal/check_options.ts";

/** How a simulated mStudio is set up. */
export interface SimulatedMstudioOptions {
  /** Id of the extension whose events it delivers. */
  readonly extensionId: string;
  /** Id of the extension's contributor. Default: a random one. */
  readonly contributorId?: string | undefined;
  /** The extension's secret, with which session tokens are exchanged. Default: a random one. */
  readonly extensionSecret?: string | undefined;
  /** The contributor's API token. Default: a random one. */
  readonly apiToken?: string | undefined;
  /** Where it delivers to: the extension's webhook URL, or its handler. */
  readonly target: DeliveryTarget;
  /** With a handler as target: the URL of its requests. Default: `https://extension.example/webhooks`. */
  readonly url?: string | URL | undefined;
  /**
   * How long it waits after a failure: doubling from `initialMs` (default: 1 s, with a handler as target 10 ms) to
   * `maxMs` (default: 5 min).
   */
  readonly backoff?: Partial<Backoff> | undefined;
  /** How long an attempt may take, in milliseconds. Default: 6 000. */
  readonly attemptTimeoutMs?: number | undefined;
  /**
   * How many failures in a row make it give up. Default: `Infinity`, as mStudio never does; with a handler as target
   * 10, so that a test whose handler always fails comes to an end.
   */
  readonly maxAttempts?: number | undefined;
  /** Serial of its public key. Default: a random one. */
  readonly serial?: string | undefined;
  /** The faults of all deliveries; see `setFaults`. Default: none. */
  readonly faults?: Faults | undefined;
  /**
   * Whether every attempt is stamped with the time at which it is made. With `false` all attempts of an event keep the
   * time at which it was queued. mittwald does not say which of both mStudio does. Default: `true`.
   */
  readonly restamp?: boolean | undefined;
  /** How long access tokens are valid, in milliseconds. Default: 3 600 000. */
  readonly tokenLifetimeMs?: number | undefined;
  /**
   * How long the API refuses a new secret after the receiver has answered its event with success, in milliseconds.
   * Default: 2 000.
   */
  readonly newSecretRefusedMs?: number | undefined;
  /**
   * Answers the requests to the API that the simulator does not know. Default: 404. Who asks is told by `instanceOfToken`
   * and `sessionOfToken`.
   */
  readonly api?: ((request: Request) => Response | Promise<Response>) | undefined;
}

/** The options, checked and complete. */
export interface Settings {
  readonly extensionId: string;
  readonly contributorId: string;
  readonly extensionSecret: string;
  readonly apiToken: string;
  readonly target: DeliveryTarget;
  readonly url: string;
  readonly backoff: Backoff;
  readonly attemptTimeoutMs: number;
  readonly maxAttempts: number;
  readonly faults: Faults;
  readonly restamp: boolean;
  readonly tokenLifetimeMs: number;
  readonly newSecretRefusedMs: number;
  readonly api: SimulatedMstudioOptions["api"];
}

const NAMES = [
  "extensionId",
  "contributorId",
  "extensionSecret",
  "apiToken",
  "target",
  "url",
  "backoff",
  "attemptTimeoutMs",
  "maxAttempts",
  "serial",
  "faults",
  "restamp",
  "tokenLifetimeMs",
  "newSecretRefusedMs",
  "api",
] as const satisfies readonly (keyof SimulatedMstudioOptions)[];

const DEFAULT_URL = "https://extension.example/webhooks";

/** Throws a `TypeError` or a `RangeError` that names what is wrong. */
export function settingsOf(options: SimulatedMstudioOptions): Settings {
  checkNames("Setting up a simulated mStudio", options, NAMES);
  const { extensionId, target, backoff, faults = {} } = options;
  if (typeof extensionId !== "string" || extensionId === "") {
    throw new TypeError('Setting the option "extensionId": it is not a string, or empty');
  }
  const inProcess = typeof target === "function";
  const ms = (name: keyof SimulatedMstudioOptions, standard: number) =>
    inRange(name, options[name] as number | undefined ?? standard, MAX_TIMER_MS);
  const attemptTimeoutMs = ms("attemptTimeoutMs", 6_000);
  checkFaults(faults, attemptTimeoutMs);
  if (options.api !== undefined) checkFunction("api", options.api);
  return {
    extensionId,
    contributorId: options.contributorId ?? crypto.randomUUID(),
    extensionSecret: options.extensionSecret ?? randomSecret(),
    apiToken: options.apiToken ?? randomSecret(),
    target,
    url: urlOf(options),
    backoff: {
      initialMs: inRange(
        "backoff.initialMs",
        backoff?.initialMs ?? (inProcess ? 10 : 1_000),
        MAX_TIMER_MS,
      ),
      maxMs: inRange("backoff.maxMs", backoff?.maxMs ?? 300_000, MAX_TIMER_MS),
    },
    attemptTimeoutMs,
    maxAttempts: inRange(
      "maxAttempts",
      options.maxAttempts ?? (inProcess ? 10 : Infinity),
      Infinity,
      1,
    ),
    faults,
    restamp: options.restamp ?? true,
    tokenLifetimeMs: ms("tokenLifetimeMs", 3_600_000),
    newSecretRefusedMs: ms("newSecretRefusedMs", 2_000),
    api: options.api,
  };
}

function urlOf({ target, url }: SimulatedMstudioOptions): string {
  const given = typeof target === "function" ? url ?? DEFAULT_URL : target;
  if (typeof target !== "function" && url !== undefined) {
    throw new TypeError('Setting the option "url": the target is a URL itself');
  }
  const parsed = typeof given === "string" && URL.canParse(given) ? new URL(given) : given;
  if (!(parsed instanceof URL) || !/^https?:$/.test(parsed.protocol)) {
    throw new TypeError("Setting the target: it is neither a function nor an HTTP URL");
  }
  return parsed.href;
}

function inRange(name: string, value: number, max: number, min = 0): number {
  if (value >= min && value <= max) return value;
  throw new RangeError(`Setting the option "${name}": ${value} is not from ${min} to ${max}`);
}
