/**
 * The faults of each attempt, and their checks.
 *
 * @module
 */

import { MAX_TIMER_MS } from "../../internal/check_options.ts";
import type { AttemptOptions, Faults } from "../faults.ts";

/** The faults of attempt number `attempt`, which counts from 1, but for the clock. */
export function faultsOfAttempt(faults: Faults, attempt: number): AttemptOptions {
  const { arriveLateMs } = faults;
  const late = typeof arriveLateMs === "number" ? [arriveLateMs] : arriveLateMs;
  return {
    dropResponse: attempt <= count(faults.dropResponse),
    forge: attempt <= count(faults.forge),
    tamper: attempt <= count(faults.tamper),
    delayMs: faults.delayMs,
    arriveLateMs: late?.[attempt - 1],
  };
}

/** What the clock shows that stamps attempt number `attempt`. */
export function stampOf({ clockSkewMs = 0 }: Faults, attempt: number): Date {
  const skewMs = typeof clockSkewMs === "function" ? clockSkewMs(attempt) : clockSkewMs;
  const stamp = new Date(Date.now() + skewMs);
  if (Number.isNaN(stamp.getTime())) throw outOfRange("clockSkewMs", skewMs);
  return stamp;
}

/** How many deliveries follow a successful one. */
export function duplicatesOf(faults: Faults): number {
  return count(faults.duplicate);
}

function count(value: boolean | number | undefined): number {
  return typeof value === "number" ? value : value === true ? 1 : 0;
}

const FAULTS = {
  duplicate: assertCount,
  dropResponse: assertCount,
  forge: assertCount,
  tamper: assertCount,
  delayMs: (name, value) => assertNumber(name, value, 0, MAX_TIMER_MS),
  arriveLateMs: (name, value, attemptTimeoutMs) => {
    for (const ms of Array.isArray(value) ? value : [value]) {
      assertNumber(name, ms, attemptTimeoutMs + 1, MAX_TIMER_MS);
    }
  },
  clockSkewMs: (name, value) => {
    if (typeof value !== "function") assertNumber(name, value, -Infinity, Infinity);
  },
} as const satisfies Readonly<Record<keyof Faults, Check>>;

const OPTIONS: Readonly<Record<keyof AttemptOptions, Check>> = {
  dropResponse: FAULTS.dropResponse,
  forge: FAULTS.forge,
  tamper: FAULTS.tamper,
  delayMs: FAULTS.delayMs,
  arriveLateMs: FAULTS.arriveLateMs,
  dryRun: () => {},
  createdAt: () => {},
};

type Check = (name: string, value: unknown, attemptTimeoutMs: number) => void;

/** Throws a `RangeError` for what is no number of times, or no wait, and a `TypeError` for what is no fault. */
export function checkFaults(faults: Faults, attemptTimeoutMs: number): void {
  check(FAULTS, faults, attemptTimeoutMs);
}

/** The same for what a single attempt does differently. */
export function checkAttemptOptions(options: AttemptOptions, attemptTimeoutMs: number): void {
  check(OPTIONS, options, attemptTimeoutMs);
}

function check(checks: Readonly<Record<string, Check>>, values: object, timeoutMs: number): void {
  for (const [name, value] of Object.entries(values)) {
    const checkOne = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (checkOne === undefined) {
      throw new TypeError(`Setting the fault ${JSON.stringify(name)}: there is none of this name`);
    }
    if (value !== undefined) checkOne(name, value, timeoutMs);
  }
}

function assertCount(name: string, value: unknown): void {
  if (typeof value !== "boolean") assertNumber(name, value, 0, Infinity);
}

function assertNumber(name: string, value: unknown, min: number, max: number): void {
  if (!(typeof value === "number" && value >= min && value <= max)) throw outOfRange(name, value);
}

function outOfRange(name: string, value: unknown): RangeError {
  return new RangeError(`Setting the fault ${JSON.stringify(name)}: ${value} is out of range`);
}

/** The URL of a dry run. */
export function dryRunUrl(
  url: string,
  dryRun: true | { readonly executingUserId: string },
): string {
  const result = new URL(url);
  result.searchParams.set("dry-run", "true");
  result.searchParams.set(
    "executing-user-id",
    dryRun === true ? crypto.randomUUID() : dryRun.executingUserId,
  );
  return result.href;
}

/**
 * A copy of `body` in which one byte differs. Where it can, it is a letter of the first `id`, so that the body
 * stays valid JSON of the same length, and only a checked signature can tell.
 */
export function tampered(body: Uint8Array): Uint8Array {
  const copy = new Uint8Array(body);
  // Latin-1 maps every byte to one character, so that indexes of the text are indexes of the bytes.
  const text = Array.from(copy, (byte) => String.fromCharCode(byte)).join("");
  const id = /"id":"(?=[0-9A-Za-z])/.exec(text);
  if (id !== null) {
    const at = id.index + id[0].length;
    copy[at] = text[at] === "a" ? 0x62 : 0x61;
  } else {
    copy[copy.length - 1]! ^= 1;
  }
  return copy;
}
