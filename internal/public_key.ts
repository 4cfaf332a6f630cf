/** Ed25519 public keys in base64. */

import { PublicKeyUnavailableError } from "../errors.ts";
import { decodeBase64 } from "./base64.ts";

/** RFC 8032, section 5.1.5. */
export const PUBLIC_KEY_BYTES = 32;

/** The prime of the field: RFC 8032, section 5.1. */
const P = 2n ** 255n - 19n;

/**
 * The y coordinates of the eight points whose order divides the cofactor 8, by order: 1, 2, 4, 8,
 * 8. Under such a key, anybody can forge signatures without a private key. Not every runtime
 * refuses it.
 */
const SMALL_ORDER_Y: ReadonlySet<bigint> = new Set([
  1n,
  P - 1n,
  0n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
]);

/**
 * Decodes a key.
 *
 * @throws {PublicKeyUnavailableError} When the text is not base64 of 32 bytes, the point has a
 *   small order, or its encoding is not canonical (RFC 8032, section 5.1.3).
 */
export function decodePublicKey(text: unknown): Uint8Array<ArrayBuffer> {
  const bytes = typeof text === "string" ? decodeBase64(text) : undefined;
  if (bytes?.byteLength !== PUBLIC_KEY_BYTES) {
    throw new PublicKeyUnavailableError(
      `it is not base64 of ${PUBLIC_KEY_BYTES} bytes`,
    );
  }
  const y = readY(bytes);
  if (y >= P) throw new PublicKeyUnavailableError("its encoding is not canonical");
  if (SMALL_ORDER_Y.has(y)) {
    throw new PublicKeyUnavailableError("it is a point of small order");
  }
  return bytes;
}

/** The y coordinate: little-endian; the top bit is the sign of x (RFC 8032, section 5.1.2). */
function readY(bytes: Uint8Array): bigint {
  let y = 0n;
  for (let index = bytes.length - 1; index >= 0; index--) y = (y << 8n) | BigInt(bytes[index] ?? 0);
  return y & (2n ** 255n - 1n);
}
