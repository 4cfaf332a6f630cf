/**
 * What can go wrong between mStudio and an extension, on purpose.
 *
 * @module
 */

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
  /** Hold back every attempt for so many milliseconds after it was signed. */
  readonly delayMs?: number | undefined;
}

/** What a single attempt does differently. */
export interface AttemptOptions {
  /** Lose the response: the receiver did its work, the sender takes it for a failure. */
  readonly dropResponse?: boolean | undefined;
  /** Sign with a key that isn't mStudio's, under mStudio's serial. */
  readonly forge?: boolean | undefined;
  /** Change one byte of the body after it was signed. It stays JSON, and speaks of another instance. */
  readonly tamper?: boolean | undefined;
  /** Hold the request back for so many milliseconds after it was signed. */
  readonly delayMs?: number | undefined;
  /**
   * Make it a dry run: `dry-run=true` and `executing-user-id` in the query of the URL, which is also the signed
   * `request.target.url`.
   */
  readonly dryRun?: boolean | { readonly executingUserId: string } | undefined;
  /** When the request claims to be made. Default: now. */
  readonly createdAt?: Date | undefined;
}

/** The faults of attempt number `attempt`, which counts from 1. */
export function faultsOfAttempt(faults: Faults, attempt: number): AttemptOptions {
  return {
    dropResponse: attempt <= count(faults.dropResponse),
    forge: attempt <= count(faults.forge),
    tamper: attempt <= count(faults.tamper),
    delayMs: faults.delayMs,
  };
}

/** How many deliveries follow a successful one. */
export function duplicatesOf(faults: Faults): number {
  return count(faults.duplicate);
}

function count(value: boolean | number | undefined): number {
  return typeof value === "number" ? value : value === true ? 1 : 0;
}

/** The longest wait that `setTimeout` keeps; a longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Throws a `RangeError` for what is no number of times, or no wait. */
export function checkFaults(faults: Faults | AttemptOptions): void {
  for (const [name, value] of Object.entries(faults)) {
    if (
      typeof value === "number" && !(value >= 0 && (name !== "delayMs" || value <= MAX_TIMER_MS))
    ) {
      throw new RangeError(`Setting the fault ${JSON.stringify(name)}: ${value} is out of range`);
    }
  }
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
