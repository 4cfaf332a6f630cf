/**
 * Signature check for mitthooks' handler chains, for applications that keep mitthooks' factories.
 * Only this module needs the package `@weissaufschwarz/mitthooks`; the application installs it.
 *
 * @example In front of mitthooks' factory
 * ```ts
 * import { HttpWebhookHandler } from "@weissaufschwarz/mitthooks/bootstrapping/http-wrapper";
 * import { CombinedWebhookHandlerFactory } from "@weissaufschwarz/mitthooks/factory/combined";
 * import { SignatureVerificationHandler } from "@wais/mitthooks-drizzle/mitthooks";
 * import type { ExtensionStorage } from "@wais/mitthooks-drizzle/webhooks";
 *
 * export const wrap = (storage: ExtensionStorage, extensionId: string) =>
 *   new HttpWebhookHandler(
 *     new CombinedWebhookHandlerFactory(storage, extensionId)
 *       .withoutWebhookSignatureVerification()
 *       .withWebhookHandlerPrefix(new SignatureVerificationHandler())
 *       .build(),
 *   );
 * ```
 *
 * @module
 */

import { FailedToFetchPublicKey, InvalidBodyError } from "@weissaufschwarz/mitthooks/errors";
import type { HandleWebhook, WebhookHandler } from "@weissaufschwarz/mitthooks/handler/interface";
import type { WebhookContent } from "@weissaufschwarz/mitthooks/webhook";
import {
  BusyError,
  MitthooksDrizzleError,
  SignatureInvalidError,
  SignatureMalformedError,
} from "../errors.ts";
import { checkMethods, checkNames } from "../internal/check_options.ts";
import { STATUS } from "../webhooks/internal/responses.ts";
import { readSignature, SignatureCheck } from "../webhooks/internal/signature.ts";
import type { PublicKeyProvider } from "../webhooks/interfaces.ts";
import { MittwaldPublicKeys } from "../webhooks/public_keys.ts";

/** Options of {@linkcode SignatureVerificationHandler}; its example uses them. */
export interface SignatureVerificationHandlerOptions {
  /** Source of the public keys. Default: a new {@linkcode MittwaldPublicKeys}. */
  readonly publicKeys?: PublicKeyProvider | undefined;
}

/**
 * Checks webhook signatures in a handler chain of mitthooks, whose own check (0.3.0) accepts forged
 * webhooks. Prepend it with `withWebhookHandlerPrefix` and disable mitthooks' check, which would
 * only fetch the public key a second time.
 *
 * It checks only the signature: unlike `createWebhookHandler`, mitthooks' factories store dry runs
 * and limit neither the body's size nor the time. mitthooks passes the body as a string, so a body
 * that is not valid UTF-8 or starts with a byte order mark cannot be verified and is refused.
 *
 * @example A forged delivery is refused
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HttpWebhookHandler } from "@weissaufschwarz/mitthooks/bootstrapping/http-wrapper";
 * import { CombinedWebhookHandlerFactory } from "@weissaufschwarz/mitthooks/factory/combined";
 * import { SignatureVerificationHandler } from "@wais/mitthooks-drizzle/mitthooks";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: (request) => wrapper.handleWebhook(request),
 * });
 *
 * const secrets = new Map<string, string>(); // in real life: a PgExtensionStorage
 * const storage = {
 *   upsertExtension: (added: { extensionInstanceId: string; secret: string }) =>
 *     void secrets.set(added.extensionInstanceId, added.secret),
 *   updateExtension: () => {},
 *   rotateSecret: (id: string, secret: string) => void secrets.set(id, secret),
 *   removeInstance: (id: string) => void secrets.delete(id),
 * };
 * const wrapper = new HttpWebhookHandler(
 *   new CombinedWebhookHandlerFactory(storage, "my-extension")
 *     .withoutLogging()
 *     .withoutWebhookSignatureVerification()
 *     .withWebhookHandlerPrefix(
 *       new SignatureVerificationHandler({ publicKeys: mstudio.publicKeys }), // in real life: no options
 *     )
 *     .build(),
 * );
 *
 * const instance = await mstudio.addInstance();
 * const forged = await mstudio.deliverOnce(instance.event("SecretRotated"), { forge: true });
 * assertEquals(forged.status, 400);
 * assertEquals(secrets.get(instance.id), instance.secret);
 * ```
 */
export class SignatureVerificationHandler implements WebhookHandler {
  readonly #signatures: SignatureCheck;

  /**
   * Checks webhook signatures in a handler chain of mitthooks. Makes no request yet.
   *
   * @param options All have defaults.
   * @throws {TypeError} When an option is invalid or unknown.
   */
  constructor(options: SignatureVerificationHandlerOptions = {}) {
    checkNames("Creating a SignatureVerificationHandler", options, ["publicKeys"]);
    const { publicKeys } = options;
    if (publicKeys !== undefined) checkMethods("publicKeys", publicKeys, ["getPublicKey"]);
    this.#signatures = new SignatureCheck(publicKeys ?? new MittwaldPublicKeys());
  }

  /**
   * Calls `next` if the signature is valid.
   *
   * @param webhookContent The delivery as mitthooks' wrapper reads it. The signature is verified
   *   over `rawBody` in UTF-8.
   * @param next The rest of the chain.
   * @throws {InvalidBodyError} When the signature is missing, malformed or invalid. This is
   *   mitthooks' class; its wrapper answers with 400. `cause` is this package's error.
   * @throws {FailedToFetchPublicKey} When the public key cannot be fetched. This is mitthooks'
   *   class; its wrapper answers with 500. `cause` is this package's error.
   */
  async handleWebhook(webhookContent: WebhookContent, next: HandleWebhook): Promise<void> {
    try {
      const signature = readSignature(webhookContent);
      const key = await this.#signatures.key(signature.serial);
      const body = new TextEncoder().encode(webhookContent.rawBody);
      await this.#signatures.verify(key, signature, body);
    } catch (error) {
      throw toMitthooksError(error, webhookContent.signatureSerial);
    }
    await next(webhookContent);
  }
}

/**
 * mitthooks' wrapper tells refusals from outages by its own classes, and has none for signatures.
 */
function toMitthooksError(cause: unknown, serial: string): Error {
  let error: Error;
  if (cause instanceof SignatureInvalidError || cause instanceof SignatureMalformedError) {
    error = new InvalidBodyError(cause.message);
  } else {
    const code = cause instanceof BusyError ? cause.code : "ERR_PUBLIC_KEY_UNAVAILABLE";
    error = new FailedToFetchPublicKey(serial, STATUS[code]);
    // The class puts the sender's serial into its message, which the wrapper puts into the answer.
    error.message = cause instanceof MitthooksDrizzleError
      ? cause.message
      : "Checking the signature of a webhook: it failed";
  }
  error.cause = cause;
  return error;
}
