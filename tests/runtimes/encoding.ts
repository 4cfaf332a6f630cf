/**
 * The part of `@std/encoding` that the conformance suite uses, where the platform has no base64 of its own.
 *
 * @module
 */

/** Standard alphabet, padded. */
export function encodeBase64(data: ArrayBuffer | Uint8Array): string {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
