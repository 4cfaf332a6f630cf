/**
 * The key pair that a simulated mStudio signs with, and the headers of a signature.
 *
 * @module
 */

import { encodeBase64 } from "../internal/base64.ts";

/** An Ed25519 key pair (RFC 8032) with the serial under which its public half is looked up. */
export interface SigningKey {
  /** Identifies the public key. */
  readonly serial: string;
  /** The public key: base64 of its 32 bytes. */
  readonly publicKey: string;
  /**
   * Signs bytes.
   *
   * @param body The bytes.
   * @returns Base64 of the 64 bytes of the signature.
   */
  sign(body: Uint8Array): Promise<string>;
}

/**
 * Makes a new key pair with the platform's Web Crypto. The private half can't be exported.
 *
 * @param serial The serial of the pair. Default: a random one.
 * @returns The pair.
 * @throws {DOMException} `NotSupportedError`, where the platform's Web Crypto has no Ed25519.
 *
 * @example Sign a body
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { generateSigningKey } from "@wais/mitthooks-drizzle/testing";
 *
 * const key = await generateSigningKey("serial-1");
 * const signature = await key.sign(new TextEncoder().encode("{}"));
 * assertEquals(key.serial, "serial-1");
 * assertEquals(atob(key.publicKey).length, 32);
 * assertEquals(atob(signature).length, 64);
 * ```
 */
export async function generateSigningKey(
  serial: string = crypto.randomUUID(),
): Promise<SigningKey> {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, false, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const publicKey = encodeBase64(
    new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)),
  );
  return {
    serial,
    publicKey,
    async sign(body) {
      // The copy turns a view of possibly shared memory into one that Web Crypto's types accept.
      const bytes = new Uint8Array(body);
      return encodeBase64(
        new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, bytes)),
      );
    },
  };
}

/**
 * The three headers by which mStudio tells who signed a body, how, and the signature.
 *
 * @param serial Serial of the public key.
 * @param signature Base64 of the signature's 64 bytes.
 * @returns The headers.
 */
export function signatureHeaders(serial: string, signature: string): Record<string, string> {
  return {
    "X-Marketplace-Signature-Serial": serial,
    "X-Marketplace-Signature-Algorithm": "Ed25519",
    "X-Marketplace-Signature": signature,
  };
}
