/**
 * Base64 of RFC 4648, section 4 (standard alphabet, padded), canonical only: every byte sequence has
 * exactly one text, and no other text is read.
 */

/** ES2026; the compilers of Deno 2.5 and of TypeScript 5 do not declare them yet. */
const Base64 = Uint8Array as { fromBase64?(text: string): Uint8Array<ArrayBuffer> };
interface ToBase64 {
  toBase64?(): string;
}

/** Bytes per call of `String.fromCharCode`, well below every engine's limit on the number of arguments. */
const CHUNK_BYTES = 0x2000;

/** `Uint8Array.prototype.toBase64` where the runtime has it (Deno, Bun, new Node), `btoa` elsewhere. */
export function encodeBase64(bytes: Uint8Array): string {
  const native = (bytes as ToBase64).toBase64?.();
  if (native !== undefined) return native;
  let binary = "";
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    binary += String.fromCharCode(...bytes.subarray(start, start + CHUNK_BYTES));
  }
  return btoa(binary);
}

/** The bytes, or `undefined` where the text is not canonical base64. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Base64.fromBase64?.(text) ??
      Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
  // Both decoders skip white space and tolerate other slips; only the canonical text encodes back to itself.
  return encodeBase64(bytes) === text ? bytes : undefined;
}
