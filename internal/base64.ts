/**
 * Canonical base64 (RFC 4648, section 4: standard alphabet, padded): each byte sequence has exactly
 * one encoding, and the decoder accepts no other.
 */

/** ES2026; the compilers of Deno 2.5 and of TypeScript 5 do not declare them yet. */
const Base64 = Uint8Array as {
  fromBase64?(text: string, options: { lastChunkHandling: "strict" }): Uint8Array<ArrayBuffer>;
};
interface ToBase64 {
  toBase64?(): string;
}

/**
 * Bytes per call of `String.fromCharCode`, well below every engine's limit on the number of
 * arguments.
 */
const CHUNK_BYTES = 0x2000;

/**
 * `Uint8Array.prototype.toBase64` where the runtime has it (Deno, Bun, new Node), `btoa` elsewhere.
 */
export function encodeBase64(bytes: Uint8Array): string {
  const native = (bytes as ToBase64).toBase64?.();
  if (native !== undefined) return native;
  let binary = "";
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    // Spreading the bytes takes five times as long.
    binary += Reflect.apply(
      String.fromCharCode,
      undefined,
      bytes.subarray(start, start + CHUNK_BYTES),
    );
  }
  return btoa(binary);
}

/** The padding by the number of bytes in the last group. */
const PADDINGS = ["", "==", "="] as const;

/**
 * Decodes canonical base64; `undefined` for any other text.
 *
 * @param into Where the bytes may be written, if there is room for them.
 */
export function decodeBase64(
  text: string,
  into?: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> | undefined {
  try {
    const bytes = Base64.fromBase64?.(text, { lastChunkHandling: "strict" }) ??
      decodeBinary(text, into);
    // Both decoders skip white space. Checking length and padding rules it out.
    return text.length === 4 * Math.ceil(bytes.length / 3) &&
        text.endsWith(PADDINGS[bytes.length % 3]!)
      ? bytes
      : undefined;
  } catch {
    return undefined;
  }
}

/** Matches ends without excess bits, which `atob` would drop silently (RFC 4648, section 3.5). */
const STRICT_END = /(?:^|[^=]{4}|[^=]{2}[AEIMQUYcgkosw048]=|[^=][AQgw]==)$/;

function decodeBinary(text: string, into?: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  if (!STRICT_END.test(text.slice(-4))) throw new SyntaxError("the last bits are not canonical");
  const bytes = into && into.length >= binary.length
    ? into.subarray(0, binary.length)
    : new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}
