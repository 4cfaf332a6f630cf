/** Derivation of the 32 bytes of a key from a master password and a salt, both taken as UTF-8. */

import scryptJs from "scrypt-js";
import { builtinModule } from "../../../internal/builtin_module.ts";

/** Length of an AES-256 key in bytes. */
export const KEY_BYTES = 32;

/** Iterations of PBKDF2-HMAC-SHA-256 that OWASP's password storage cheat sheet asks for. */
export const DEFAULT_PBKDF2_ITERATIONS = 600_000;

// The cost that Node's scrypt takes by default and the original package therefore uses: N, r and p of RFC 7914, section 2.
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
 * scrypt (RFC 7914). Web Crypto does not have it: the runtime's own runs off the event loop where there is
 * one (Node, Deno, Bun, workerd with `nodejs_compat`), scrypt-js computes the same bytes elsewhere. That in one
 * go, for its way to pause needs timers, and a Worker loses them with the request that began: a key would never
 * be ready, for other requests neither.
 *
 * @returns The key, in no other buffer of the runtime's own; whoever takes it can overwrite it.
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
    // The very bytes, not a copy that would leave them behind: Node's are of a class of its own.
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

/** Lends the UTF-8 bytes of a password, and overwrites them afterwards. */
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
