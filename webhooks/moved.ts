/** Names that have moved from `./webhooks` since version 0.3. */

/**
 * Moved to `@wais/mitthooks-drizzle/mitthooks`, the only module that needs the package
 * `@weissaufschwarz/mitthooks`.
 *
 * @deprecated Import it from there.
 */
export class SignatureVerificationHandler {
  /**
   * Moved to `@wais/mitthooks-drizzle/mitthooks`.
   *
   * @throws {TypeError} Always; the message names the new module.
   */
  constructor(_moved: 'import it from "@wais/mitthooks-drizzle/mitthooks"') {
    throw new TypeError(
      'Creating a SignatureVerificationHandler: import it from "@wais/mitthooks-drizzle/mitthooks"',
    );
  }
}
