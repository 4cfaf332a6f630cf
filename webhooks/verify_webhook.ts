/**
 * The check of a delivery alone.
 *
 * @module
 */

import { checkNames } from "../internal/check_options.ts";
import { Deadline } from "../internal/deadline.ts";
import type { WebhookEvent } from "./events.ts";
import { readVerificationOptions, VERIFICATION_OPTIONS } from "./internal/verification_options.ts";
import { Delivery, isRequest, verifyRequest } from "./internal/verify_request.ts";
import { MittwaldPublicKeys } from "./public_keys.ts";
import type { VerifyWebhookOptions } from "./verify_options.ts";

/** A delivery that passed all checks. */
export interface VerifiedWebhook {
  /** The event. */
  readonly event: WebhookEvent;
  /** The body as text; its UTF-8 form is, byte for byte, what was signed. */
  readonly rawBody: string;
  /**
   * Whether the sender says, in the query of the URL, that it is a dry run. The query is not signed: what concerns an
   * instance that is stored is no dry run.
   */
  readonly dryRun: boolean;
}

let sharedPublicKeys: MittwaldPublicKeys | undefined;

/**
 * Checks a delivery, from `@wais/mitthooks-drizzle/webhooks`, and leaves to the caller what becomes of it. It checks, in
 * this order: the method; the headers of the signature; the Ed25519 signature (RFC 8032) over the raw body; that the body
 * is JSON and has the fields that its kind needs; the extension's id; the time. What has no signature is refused before
 * its body is read.
 *
 * @param request The request, its body unread.
 * @param options `extensionId` is needed, all others have defaults.
 * @returns The event, and the body that was signed.
 * @throws {SignatureMalformedError} When a header of the signature is missing or malformed.
 * @throws {SignatureInvalidError} When the signature does not fit the body, or nobody has its key.
 * @throws {WebhookRequestError} When something else is wrong with the request; `code` says what.
 * @throws {PublicKeyUnavailableError | BusyError} When the public key cannot be had at the moment.
 * @throws {DeadlineExceededError} When it takes longer than `timeoutMs`.
 * @throws {TypeError | RangeError} When an option is missing or wrong, or `request` is no `Request`.
 *
 * @example Take a delivery, refuse a changed one
 * ```ts
 * import { assertEquals, assertRejects } from "@std/assert";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 * import { SignatureInvalidError, verifyWebhook } from "@wais/mitthooks-drizzle/webhooks";
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: () => new Response(),
 * });
 * const { publicKeys } = mstudio; // in real life: left out
 *
 * const request = await mstudio.request(mstudio.event("SecretRotated", { secret: "s3cr3t" }));
 * const body = await request.clone().text();
 * const changed = new Request(request.url, {
 *   method: "POST",
 *   headers: request.headers,
 *   body: body.replace("s3cr3t", "mine"),
 * });
 *
 * const { event } = await verifyWebhook(request, { extensionId: "my-extension", publicKeys });
 * assertEquals(event.kind === "SecretRotated" && event.secret, "s3cr3t");
 * await assertRejects(
 *   () => verifyWebhook(changed, { extensionId: "my-extension", publicKeys }),
 *   SignatureInvalidError,
 * );
 * ```
 */
export async function verifyWebhook(
  request: Request,
  options: VerifyWebhookOptions,
): Promise<VerifiedWebhook> {
  checkNames("Verifying a webhook", options, VERIFICATION_OPTIONS);
  const settings = readVerificationOptions(
    options,
    () => sharedPublicKeys ??= new MittwaldPublicKeys(),
  );
  if (!isRequest(request)) {
    throw new TypeError("Verifying a webhook: it takes a Request, and was given something else");
  }
  const deadline = new Deadline(settings.timeoutMs);
  try {
    const { event, rawBody, dryRun } = await verifyRequest(
      new Delivery(request),
      settings,
      deadline,
    );
    return { event, rawBody, dryRun };
  } finally {
    deadline.clear();
  }
}
