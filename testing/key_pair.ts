/**
 * Signing keys of a simulated mStudio, and the headers of a signature.
 *
 * @module
 */

import { encodeBase64 } from "../internal/base64.ts";

/** An Ed25519 key pair (RFC 8032) with the serial of its public key. */
export interface SigningKey {
  /** Identifies the public key. */
  readonly serial: string;
  /** The public key: base64 of its 32 bytes. */
  readonly publicKey: string;
  /**
   * Signs bytes.
   *
   * @param body The bytes.
   * @returns The signature: base64 of 64 bytes.
   */
  sign(body: Uint8Array): Promise<string>;
}

/**
 * Generates a key pair with Web Crypto. The private key cannot be exported.
 *
 * @param serial The pair's serial. Default: a random one.
 * @returns The key pair.
 * @throws {DOMException} `NotSupportedError` when Web Crypto has no Ed25519.
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
      // Copied, because Web Crypto's types do not accept views of possibly shared memory.
      const bytes = new Uint8Array(body);
      return encodeBase64(
        new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, bytes)),
      );
    },
  };
}

/**
 * Builds mStudio's three headers: serial, algorithm and signature.
 *
 * @param serial The public key's serial.
 * @param signature The signature: base64 of 64 bytes.
 * @returns The headers.
 */
export function signatureHeaders(serial: string, signature: string): Record<string, string> {
  return {
    "X-Marketplace-Signature-Serial": serial,
    "X-Marketplace-Signature-Algorithm": "Ed25519",
    "X-Marketplace-Signature": signature,
  };
}
