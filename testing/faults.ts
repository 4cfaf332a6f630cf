/**
 * Faults between mStudio and an extension, injected on purpose.
 *
 * @module
 */

/**
 * Faults of a delivery that is repeated until it succeeds. For faults of the first attempts, `true`
 * means the first attempt, a number that many, and `Infinity` all attempts.
 */
export interface Faults {
  /** Deliver the event again after it succeeded: once (`true`) or this many times. */
  readonly duplicate?: boolean | number | undefined;
  /**
   * Lose the response of the first attempts: the receiver did its work, but the sender sees a
   * failure.
   */
  readonly dropResponse?: boolean | number | undefined;
  /** Sign the first attempts with a key that is not mStudio's, under mStudio's serial. */
  readonly forge?: boolean | number | undefined;
  /** Change one byte of the body of the first attempts after signing. */
  readonly tamper?: boolean | number | undefined;
  /**
   * Delay every attempt by this many milliseconds after signing. The delay counts towards the
   * attempt's time limit: a longer one keeps the request from reaching the receiver.
   */
  readonly delayMs?: number | undefined;
  /**
   * Let the request arrive this many milliseconds after it was sent, when the attempt has already
   * failed and the sender has moved on; must exceed an attempt's time limit. A number applies to
   * the first attempt, a list to the first ones. The log gets a separate entry for the arrival,
   * marked `late`.
   */
  readonly arriveLateMs?: number | readonly number[] | undefined;
  /**
   * How far the clock for `request.createdAt` is ahead, in milliseconds; negative if it is behind.
   * A function gets the number of the attempt, starting at 1.
   */
  readonly clockSkewMs?: number | ((attempt: number) => number) | undefined;
}

/** Options of a single attempt. */
export interface AttemptOptions {
  /** Lose the response: the receiver did its work, but the sender sees a failure. */
  readonly dropResponse?: boolean | undefined;
  /** Sign with a key that is not mStudio's, under mStudio's serial. */
  readonly forge?: boolean | undefined;
  /** Change one byte of the body after signing. It remains JSON, but names another instance. */
  readonly tamper?: boolean | undefined;
  /** Delay the request by this many milliseconds after signing; counts towards the time limit. */
  readonly delayMs?: number | undefined;
  /** Let the attempt fail, and the request arrive this many milliseconds after it was sent. */
  readonly arriveLateMs?: number | undefined;
  /**
   * Make it a dry run: `dry-run=true` and `executing-user-id` in the query of the request's URL,
   * but not in the signed `request.target.url`.
   */
  readonly dryRun?: boolean | { readonly executingUserId: string } | undefined;
  /** The signed time of the request. Default: now. */
  readonly createdAt?: Date | undefined;
}
