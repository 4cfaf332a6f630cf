import type { PublicKeyProvider } from "./interfaces.ts";

/** Options of `verifyWebhook`, and of `createWebhookHandler`. */
export interface VerifyWebhookOptions {
  /** The id of your extension. Deliveries for any other are refused: mittwald signs them with the same key. */
  readonly extensionId: string;
  /**
   * Where public keys come from. Default: a `MittwaldPublicKeys`; all calls of `verifyWebhook` share one, each
   * webhook handler has its own. A provider that says with an `UnknownPublicKeyError` that nobody has a key has the
   * delivery refused; all else that it throws counts as an outage.
   */
  readonly publicKeys?: PublicKeyProvider | undefined;
  /** The largest body in bytes, at least 1. Default: 262,144. */
  readonly maxBodyBytes?: number | undefined;
  /**
   * Time limit for everything, reading the body included, in milliseconds, 1 to 2,147,483,647. Default: 5,000; the
   * sender gives up at 6,000.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * The greatest age of a delivery in milliseconds, at least 1, by the `request.createdAt` that is signed. Default: no
   * limit. The clocks of both sides count. Deliveries from more than 5 minutes ahead are refused always.
   */
  readonly maxAgeMs?: number | undefined;
}
