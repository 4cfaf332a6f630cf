/**
 * What can go wrong between mStudio and an extension, on purpose.
 *
 * @module
 */

import { MAX_TIMER_MS } from "../internal/check_options.ts";
import type { KindSpelling } from "./events.ts";

/**
 * The faults of a delivery that is repeated until it succeeds. Where a fault is for the first attempts,
 * `true` means the first one, a number the first so many, and `Infinity` all of them.
 */
export interface Faults {
  /** After it succeeded, deliver the event once more (`true`) or so many times more. */
  readonly duplicate?: boolean | number | undefined;
  /** Lose the response of the first attempts: the receiver did its work, the sender takes it for a failure. */
  readonly dropResponse?: boolean | number | undefined;
  /** Sign the first attempts with a key that isn't mStudio's, under mStudio's serial. */
  readonly forge?: boolean | number | undefined;
  /** Change one byte of the body of the first attempts after they were signed. */
  readonly tamper?: boolean | number | undefined;
  /**
   * Hold back every attempt for so many milliseconds after it was signed. They count into its time: what is held back
   * for longer than an attempt may take never reaches the receiver.
   */
  readonly delayMs?: number | undefined;
  /**
   * Let the request reach the receiver so many milliseconds after it was sent, when the attempt has failed already and
   * the sender has gone on; must be longer than an attempt may take. A number concerns the first attempt, a list the
   * first so many. The arrival gets an entry of its own in the log, marked `late`.
   */
  readonly arriveLateMs?: number | readonly number[] | undefined;
  /**
   * How far the clock that stamps `request.createdAt` is ahead, in milliseconds; negative where it is behind. A
   * function gets the number of the attempt, counted from 1.
   */
  readonly clockSkewMs?: number | ((attempt: number) => number) | undefined;
}

/** What a single attempt does differently. */
export interface AttemptOptions {
  /** Lose the response: the receiver did its work, the sender takes it for a failure. */
  readonly dropResponse?: boolean | undefined;
  /** Sign with a key that isn't mStudio's, under mStudio's serial. */
  readonly forge?: boolean | undefined;
  /** Change one byte of the body after it was signed. It stays JSON, and speaks of another instance. */
  readonly tamper?: boolean | undefined;
  /** Hold the request back for so many milliseconds after it was signed; they count into the attempt's time. */
  readonly delayMs?: number | undefined;
  /** Let the attempt fail, and the request reach the receiver so many milliseconds after it was sent. */
  readonly arriveLateMs?: number | undefined;
  /**
   * Make it a dry run: `dry-run=true` and `executing-user-id` in the query of the request's URL. The signed
   * `request.target.url` does not have them.
   */
  readonly dryRun?: boolean | { readonly executingUserId: string } | undefined;
  /** When the request claims to be made. Default: now. */
  readonly createdAt?: Date | undefined;
  /** How the kind is spelled. Default: as everywhere in this simulator. */
  readonly kindSpelling?: KindSpelling | undefined;
}

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
  kindSpelling: () => {},
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
