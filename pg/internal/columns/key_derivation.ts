/** Derives the 32 bytes of a key from a master password and a salt, both encoded as UTF-8. */

import scryptJs from "scrypt-js";
import { builtinModule } from "../../../internal/builtin_module.ts";

/** Length of an AES-256 key in bytes. */
export const KEY_BYTES = 32;

/** The PBKDF2-HMAC-SHA-256 iterations that OWASP's password storage cheat sheet recommends. */
export const DEFAULT_PBKDF2_ITERATIONS = 600_000;

// Node's default cost, which the original package therefore uses: N, r and p of RFC 7914, section
// 2.
const SCRYPT_COST = { N: 16_384, r: 8, p: 1 } as const;

type NativeScrypt = (
  password: Uint8Array,
  salt: Uint8Array,
  keyLength: number,
  cost: { N: number; r: number; p: number },
  callback: (error: Error | null, key: Uint8Array) => void,
) => void;

const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/**
 * scrypt (RFC 7914), which Web Crypto lacks. The runtime's own runs off the event loop, if there is
 * one (Node, Deno, Bun, workerd with `nodejs_compat`); elsewhere scrypt-js computes the same bytes.
 * It does so synchronously: its pauses need timers, which a Worker cancels with the request that
 * started them, so the key would never be ready, not even for other requests.
 *
 * @returns The key, as the only copy of its bytes, so that the caller can overwrite it.
 */
export function deriveWithScrypt(
  password: string,
  salt: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const native = builtinModule<{ scrypt?: NativeScrypt }>("node:crypto")?.scrypt;
  const { N, r, p } = SCRYPT_COST;
  return withBytes(password, async (bytes) => {
    const derived = native
      ? await new Promise<Uint8Array>((resolve, reject) =>
        native(bytes, utf8(salt), KEY_BYTES, SCRYPT_COST, (error, key) => {
          if (error) reject(error);
          else resolve(key);
        })
      )
      : scryptJs.syncScrypt(bytes, utf8(salt), N, r, p, KEY_BYTES);
    // A view, not a copy, which would leave the original bytes behind. Node returns its own class.
    return new Uint8Array(derived.buffer as ArrayBuffer, derived.byteOffset, derived.byteLength);
  });
}

/** PBKDF2 with HMAC-SHA-256 (RFC 8018, section 5.2). */
export async function deriveWithPbkdf2(
  password: string,
  salt: string,
  iterations: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const base = await withBytes(
    password,
    (bytes) => crypto.subtle.importKey("raw", bytes, "PBKDF2", false, ["deriveBits"]),
  );
  try {
    const bits = await crypto.subtle.deriveBits(
      { name: "PBKDF2", hash: "SHA-256", salt: utf8(salt), iterations },
      base,
      KEY_BYTES * 8,
    );
    return new Uint8Array(bits);
  } catch (cause) {
    throw new RangeError(
      `Deriving an encryption key: this runtime refuses PBKDF2 with ${iterations} iterations; ` +
        "use scrypt, importEncryptionKey, or no more iterations than it allows " +
        "(100000 on Cloudflare Workers)",
      { cause },
    );
  }
}

/** Passes the UTF-8 bytes of a password to a function and then overwrites them. */
async function withBytes<T>(
  password: string,
  use: (bytes: Uint8Array<ArrayBuffer>) => Promise<T>,
): Promise<T> {
  const bytes = utf8(password);
  try {
    return await use(bytes);
  } finally {
    bytes.fill(0);
  }
}
