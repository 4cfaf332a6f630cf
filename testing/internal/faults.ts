/**
 * Determines and checks the faults of each attempt.
 *
 * @module
 */

import { MAX_TIMER_MS } from "../../internal/check_options.ts";
import type { AttemptOptions, Faults } from "../faults.ts";

/** The faults of an attempt, except its clock's; numbers start at 1. */
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

/** The time at which an attempt is signed, by the faulty clock. */
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

/** Throws a `RangeError` for a number out of range, and a `TypeError` for an unknown fault. */
export function checkFaults(faults: Faults, attemptTimeoutMs: number): void {
  check(FAULTS, faults, attemptTimeoutMs);
}

/** Like `checkFaults`, for the options of a single attempt. */
export function checkAttemptOptions(options: AttemptOptions, attemptTimeoutMs: number): void {
  check(OPTIONS, options, attemptTimeoutMs);
}

function check(checks: Readonly<Record<string, Check>>, values: object, timeoutMs: number): void {
  for (const [name, value] of Object.entries(values)) {
    const checkOne = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (checkOne === undefined) {
      throw new TypeError(`Reading the fault ${name}: there is no such fault`);
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
  return new RangeError(`Reading the fault ${name}: ${value} is out of range`);
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
 * Copies `body` with one byte changed: if possible, a letter of the first `id`, so that the body
 * remains valid JSON of the same length and only the signature reveals the change.
 */
export function tampered(body: Uint8Array): Uint8Array {
  const copy = new Uint8Array(body);
  // Latin-1 maps each byte to one character, so text and bytes have the same indexes.
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
