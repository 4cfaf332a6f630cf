/** What was in `./webhooks` up to version 0.3 and is elsewhere now. */

/**
 * Has moved to `@wais/mitthooks-drizzle/mitthooks`, the one module that needs the package `@weissaufschwarz/mitthooks`.
 *
 * @deprecated Import it from there.
 */
export class SignatureVerificationHandler {
  /**
   * Creates nothing.
   *
   * @throws {TypeError} Always; it says where the class is now.
   */
  constructor(_moved: 'import it from "@wais/mitthooks-drizzle/mitthooks"') {
    throw new TypeError(
      'Creating a SignatureVerificationHandler: import it from "@wais/mitthooks-drizzle/mitthooks"',
    );
  }
}
