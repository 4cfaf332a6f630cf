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
}
