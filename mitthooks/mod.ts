/**
 * The signature check as a link in the chains of mitthooks, for applications that keep its factories. This is the only
 * module that needs the package `@weissaufschwarz/mitthooks`, which is the application's to install.
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
  /** Where public keys come from. Default: a new {@linkcode MittwaldPublicKeys}. */
  readonly publicKeys?: PublicKeyProvider | undefined;
}

/**
 * The signature check for those who keep mitthooks' factories, whose own check (0.3.0) lets forged webhooks through.
 * Put it in front with `withWebhookHandlerPrefix`, and switch mitthooks' check off, which would only ask for the public
 * key a second time.
 *
 * It checks the signature and nothing else: unlike `createWebhookHandler`, mitthooks' factories store dry runs and limit
 * neither the size of a body nor the time. mitthooks hands the body on as a string, so a body that is not valid UTF-8,
 * or begins with a byte order mark, cannot be verified and is refused.
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
   * Makes no request.
   *
   * @param options All of them have defaults.
   * @throws {TypeError} When `publicKeys` has no method `getPublicKey`, or there is another option.
   */
  constructor(options: SignatureVerificationHandlerOptions = {}) {
    checkNames("Creating a SignatureVerificationHandler", options, ["publicKeys"]);
    const { publicKeys } = options;
    if (publicKeys !== undefined) checkMethods("publicKeys", publicKeys, ["getPublicKey"]);
    this.#signatures = new SignatureCheck(publicKeys ?? new MittwaldPublicKeys());
  }

  /**
   * Goes on with `next` if the signature is valid.
   *
   * @param webhookContent The delivery as mitthooks' wrapper reads it. What is verified is the UTF-8 form of `rawBody`.
   * @param next The rest of the chain.
   * @throws {InvalidBodyError} mitthooks' class, which its wrapper answers with 400: the signature is missing,
   *   malformed, or not valid for the body. `cause` is this package's error.
   * @throws {FailedToFetchPublicKey} mitthooks' class, which its wrapper answers with 500: the public key cannot be had.
   *   `cause` is this package's error.
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

/** mitthooks' wrapper tells refusals from outages by its own classes, and has none for a signature that is wrong. */
function toMitthooksError(cause: unknown, serial: string): Error {
  let error: Error;
  if (cause instanceof SignatureInvalidError || cause instanceof SignatureMalformedError) {
    error = new InvalidBodyError(cause.message);
  } else {
    const code = cause instanceof BusyError ? cause.code : "ERR_PUBLIC_KEY_UNAVAILABLE";
    error = new FailedToFetchPublicKey(serial, STATUS[code]);
    // The class writes the sender's serial into its message, and the wrapper writes that into the answer.
    error.message = cause instanceof MitthooksDrizzleError
      ? cause.message
      : "Checking the signature of a webhook: it failed";
  }
  error.cause = cause;
  return error;
}
