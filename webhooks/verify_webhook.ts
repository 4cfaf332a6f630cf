/**
 * Verifies a delivery without storing it.
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
  /** The body as text. In UTF-8, it is byte for byte what was signed. */
  readonly rawBody: string;
  /**
   * Whether the URL's query marks the delivery as a dry run. The query is not signed: a delivery
   * for a stored instance is not a dry run.
   */
  readonly dryRun: boolean;
}

let sharedPublicKeys: MittwaldPublicKeys | undefined;

/**
 * Verifies a delivery without storing it. Checks, in this order: the method; the signature's
 * headers; the Ed25519 signature (RFC 8032) over the raw body; that the body is JSON and has the
 * fields of its kind; the extension's id; the time. Unsigned requests are refused before their body
 * is read. Exported by `@wais/mitthooks-drizzle/webhooks`.
 *
 * @param request The request, with its body unread.
 * @param options All but `extensionId` have defaults.
 * @returns The event and the signed body.
 * @throws {SignatureMalformedError} When a signature header is missing or malformed.
 * @throws {SignatureInvalidError} When the signature does not match the body, or no public key has
 *   its serial.
 * @throws {WebhookRequestError} When anything else is wrong with the request; see `code`.
 * @throws {PublicKeyUnavailableError | BusyError} When the public key cannot be fetched at the
 *   moment.
 * @throws {DeadlineExceededError} When it takes longer than `timeoutMs`.
 * @throws {TypeError | RangeError} When an option is missing, invalid or unknown, or `request` is
 *   not a `Request`.
 *
 * @example Verify a delivery, refuse a changed one
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
    throw new TypeError("Verifying a webhook: the request is not a Request");
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
