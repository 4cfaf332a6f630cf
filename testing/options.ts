/**
 * Options of a simulated mStudio.
 *
 * @module
 */

import type { Backoff, DeliveryTarget } from "./delivery.ts";
import { randomSecret } from "./events.ts";
import type { Faults } from "./faults.ts";
import { checkFaults } from "./internal/faults.ts";
import { checkFunction, checkNames, MAX_TIMER_MS } from "../internal/check_options.ts";

/** Options of `SimulatedMstudio.create`. */
export interface SimulatedMstudioOptions {
  /** Id of the extension that receives the events. */
  readonly extensionId: string;
  /** The contributor's id. Default: a random one. */
  readonly contributorId?: string | undefined;
  /** The extension's secret, for exchanging session tokens. Default: a random one. */
  readonly extensionSecret?: string | undefined;
  /** The contributor's API token. Default: a random one. */
  readonly apiToken?: string | undefined;
  /** The target of deliveries: the extension's webhook URL or its handler. */
  readonly target: DeliveryTarget;
  /** URL of the requests to a handler. Default: `https://extension.example/webhooks`. */
  readonly url?: string | URL | undefined;
  /**
   * The wait after a failure: doubling from `initialMs` (default: 1 s, with a handler as target 10
   * ms) to `maxMs` (default: 10 min).
   */
  readonly backoff?: Partial<Backoff> | undefined;
  /** Time limit of an attempt in milliseconds. Default: 6,000. */
  readonly attemptTimeoutMs?: number | undefined;
  /**
   * Number of consecutive failures after which it gives up. Default: `Infinity`; 10 with a
   * handler as target, so that a test with a failing handler ends. mStudio can halt the deliveries
   * of an instance.
   */
  readonly maxAttempts?: number | undefined;
  /** Its public key's serial. Default: a random one. */
  readonly serial?: string | undefined;
  /** Faults of all deliveries, see `setFaults`. Default: none. */
  readonly faults?: Faults | undefined;
  /**
   * Whether each attempt is signed with its own time. With `false`, all attempts of an event have
   * the time at which it was queued. mittwald does not document which of the two mStudio does.
   * Default: `true`.
   */
  readonly restamp?: boolean | undefined;
  /** Lifetime of access tokens in milliseconds. Default: 3,600,000. */
  readonly tokenLifetimeMs?: number | undefined;
  /**
   * How long the API refuses a new secret after the receiver accepted its event, in milliseconds.
   * Default: 2,000.
   */
  readonly newSecretRefusedMs?: number | undefined;
  /**
   * Answers requests to other endpoints of the API. Use `instanceOfToken` and `sessionOfToken` to
   * identify the caller. Default: 404.
   */
  readonly api?: ((request: Request) => Response | Promise<Response>) | undefined;
}

/** The checked options with their defaults. */
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

/** Checks the options and fills in the defaults. Throws a `TypeError` or a `RangeError`. */
export function settingsOf(options: SimulatedMstudioOptions): Settings {
  checkNames("Creating a SimulatedMstudio", options, NAMES);
  const { extensionId, target, backoff, faults = {} } = options;
  if (typeof extensionId !== "string" || extensionId === "") {
    throw new TypeError("Reading the option extensionId: it is missing, empty or not a string");
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
      maxMs: inRange("backoff.maxMs", backoff?.maxMs ?? 600_000, MAX_TIMER_MS),
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
    throw new TypeError("Reading the option url: the target is a URL itself");
  }
  const parsed = typeof given === "string" && URL.canParse(given) ? new URL(given) : given;
  if (!(parsed instanceof URL) || !/^https?:$/.test(parsed.protocol)) {
    throw new TypeError("Reading the option target: it is neither a function nor an HTTP URL");
  }
  return parsed.href;
}

function inRange(name: string, value: number, max: number, min = 0): number {
  if (value >= min && value <= max) return value;
  throw new RangeError(`Reading the option ${name}: ${value} is not from ${min} to ${max}`);
}
