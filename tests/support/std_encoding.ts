/**
 * Stand-in for the part of `@std/encoding` that the tests use, on the platform's own codecs, for networks
 * where JSR cannot be reached. It accepts and refuses the same texts as the original.
 *
 * @module
 */

function bytesOf(data: ArrayBuffer | Uint8Array | string): Uint8Array {
  if (typeof data === "string") return new TextEncoder().encode(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}

/** Writes bytes, or the UTF-8 form of a text, as lower-case hexadecimal (RFC 4648, section 8). */
export function encodeHex(src: string | Uint8Array | ArrayBuffer): string {
  return bytesOf(src).toHex();
}

/** Reads hexadecimal in either case. */
export function decodeHex(src: string): Uint8Array<ArrayBuffer> {
  if (src.length % 2 === 1) throw new RangeError("Cannot decode input as hex: odd length");
  try {
    return Uint8Array.fromHex(src);
  } catch (cause) {
    throw new TypeError("Cannot decode input as hex", { cause });
  }
}

/** Writes bytes, or the UTF-8 form of a text, as padded base64 (RFC 4648, section 4). */
export function encodeBase64(data: ArrayBuffer | Uint8Array | string): string {
  return bytesOf(data).toBase64();
}

/** Reads base64. As in the original, the padding may be missing or incomplete. */
export function decodeBase64(b64: string): Uint8Array<ArrayBuffer> {
  const digits = b64.replace(/={1,2}$/, "");
  if (digits.length % 4 === 1) throw new RangeError("Cannot decode input as base64: wrong length");
  if (/\s/.test(digits)) throw new TypeError("Cannot decode input as base64: white space in it");
  try {
    return Uint8Array.fromBase64(digits);
  } catch (cause) {
    throw new TypeError("Cannot decode input as base64", { cause });
  }
}

/** Writes bytes, or the UTF-8 form of a text, as base64url without padding (RFC 4648, section 5). */
export function encodeBase64Url(data: ArrayBuffer | Uint8Array | string): string {
  return bytesOf(data).toBase64({ alphabet: "base64url", omitPadding: true });
}
