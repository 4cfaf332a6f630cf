/**
 * Stand-in for the part of `@std/encoding` that the tests use, on Node's codecs, for networks
 * where JSR cannot be reached. It accepts and refuses the same texts as the original.
 *
 * @module
 */

import { Buffer } from "node:buffer";

function bytesOf(data: ArrayBuffer | Uint8Array | string): Buffer {
  if (typeof data === "string") return Buffer.from(data);
  return data instanceof ArrayBuffer ? Buffer.from(data) : Buffer.from(data.slice().buffer);
}

/** Writes bytes, or the UTF-8 form of a text, as lower-case hexadecimal (RFC 4648, section 8). */
export function encodeHex(src: string | Uint8Array | ArrayBuffer): string {
  return bytesOf(src).toString("hex");
}

/** Reads hexadecimal in either case. */
export function decodeHex(src: string): Uint8Array<ArrayBuffer> {
  if (src.length % 2 === 1) throw new RangeError("Cannot decode input as hex: odd length");
  if (!/^[0-9A-Fa-f]*$/.test(src)) throw new TypeError("Cannot decode input as hex");
  return new Uint8Array(Buffer.from(src, "hex"));
}

/** Writes bytes, or the UTF-8 form of a text, as padded base64 (RFC 4648, section 4). */
export function encodeBase64(data: ArrayBuffer | Uint8Array | string): string {
  return bytesOf(data).toString("base64");
}

/** Reads base64. As in the original, the padding may be missing or incomplete. */
export function decodeBase64(b64: string): Uint8Array<ArrayBuffer> {
  const digits = b64.replace(/={1,2}$/, "");
  if (digits.length % 4 === 1) throw new RangeError("Cannot decode input as base64: wrong length");
  if (!/^[A-Za-z0-9+/]*$/.test(digits)) throw new TypeError("Cannot decode input as base64");
  return new Uint8Array(Buffer.from(digits, "base64"));
}

/** Writes bytes, or the UTF-8 form of a text, as base64url without padding (RFC 4648, section 5). */
export function encodeBase64Url(data: ArrayBuffer | Uint8Array | string): string {
  return bytesOf(data).toString("base64url");
}
