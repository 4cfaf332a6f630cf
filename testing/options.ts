/**
 * How a simulated mStudio is set up.
 *
 * @module
 */

import type { DeliveryTarget } from "./attempt.ts";
import type { Backoff } from "./delivery_queue.ts";
import { checkFaults, type Faults, MAX_TIMER_MS } from "./faults.ts";

/** How a simulated mStudio is set up. */
export interface SimulatedMstudioOptions {
  /** Id of the extension whose events it delivers. */
  readonly extensionId: string;
  /** Id of the extension's contributor. Default: a random one. */
  readonly contributorId?: string | undefined;
  /** Where it delivers to: the extension's webhook URL, or its handler. */
  readonly target: DeliveryTarget;
  /** With a handler as target: the URL of its requests. Default: `https://extension.example/webhooks`. */
  readonly url?: string | URL | undefined;
  /** How long it waits after a failure: doubling from `initialMs` (default: 1 s) to `maxMs` (default: 5 min). */
  readonly backoff?: Partial<Backoff> | undefined;
  /** How long an attempt may take, in milliseconds. Default: 6 000. */
  readonly attemptTimeoutMs?: number | undefined;
  /** How many failures in a row make it give up. Default: `Infinity`, as mStudio never does. */
  readonly maxAttempts?: number | undefined;
  /** Serial of its public key. Default: a random one. */
  readonly serial?: string | undefined;
  /** The faults of all deliveries; see `setFaults`. Default: none. */
  readonly faults?: Faults | undefined;
}

/** The options, checked and complete. */
export interface Settings {
  readonly extensionId: string;
  readonly contributorId: string;
  readonly target: DeliveryTarget;
  readonly url: string;
  readonly backoff: Backoff;
  readonly attemptTimeoutMs: number;
  readonly maxAttempts: number;
  readonly faults: Faults;
}

const DEFAULT_URL = "https://extension.example/webhooks";

/** Throws a `TypeError` or a `RangeError` that names what is wrong. */
export function settingsOf(options: SimulatedMstudioOptions): Settings {
  const { extensionId, target, backoff, faults = {} } = options;
  checkFaults(faults);
  return {
    extensionId,
    contributorId: options.contributorId ?? crypto.randomUUID(),
    target,
    url: urlOf(options),
    backoff: {
      initialMs: inRange("backoff.initialMs", backoff?.initialMs ?? 1_000, MAX_TIMER_MS),
      maxMs: inRange("backoff.maxMs", backoff?.maxMs ?? 300_000, MAX_TIMER_MS),
    },
    attemptTimeoutMs: inRange("attemptTimeoutMs", options.attemptTimeoutMs ?? 6_000, MAX_TIMER_MS),
    maxAttempts: inRange("maxAttempts", options.maxAttempts ?? Infinity, Infinity, 1),
    faults,
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
