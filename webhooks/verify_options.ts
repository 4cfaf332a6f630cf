import type { PublicKeyProvider } from "./interfaces.ts";

/** Options of `verifyWebhook` and `createWebhookHandler`. */
export interface VerifyWebhookOptions {
  /**
   * Your extension's id. Deliveries for others are refused: mittwald signs them with the same key.
   */
  readonly extensionId: string;
  /**
   * Source of the public keys. If it throws an `UnknownPublicKeyError`, the delivery is refused;
   * any other error counts as an outage. Default: a `MittwaldPublicKeys`, one for all
   * calls of `verifyWebhook` and one per webhook handler.
   */
  readonly publicKeys?: PublicKeyProvider | undefined;
  /** Limit for the body in bytes, at least 1. Default: 262,144. */
  readonly maxBodyBytes?: number | undefined;
  /**
   * Time limit for the whole delivery, including reading the body, in milliseconds, 1 to
   * 2,147,483,647. The sender waits for 6,000. Default: 5,000.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Maximum age of a delivery in milliseconds, at least 1, by the signed `request.createdAt` and
   * the local clock. Deliveries more than 5 minutes in the future are always refused. Default: no
   * limit.
   */
  readonly maxAgeMs?: number | undefined;
}
