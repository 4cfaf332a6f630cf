/**
 * The stored form of an encrypted value: `base64(iv):base64(ciphertext):base64(tag)`, as the npm package
 * `@weissaufschwarz/mitthooks-drizzle` writes it. The cipher is AES-256-GCM (NIST SP 800-38D) with a
 * random IV of 96 bits, the length that section 8.2 of it recommends, and the full tag of 128 bits.
 */

import { decodeBase64, encodeBase64 } from "../../../internal/base64.ts";
import { DecryptionError, InvalidCiphertextError } from "../../../errors.ts";

const ALGORITHM = "AES-GCM";
const IV_BYTES = 12;
const TAG_BYTES = 16;

// Web Crypto appends the tag to the ciphertext, the stored form keeps it apart.
const parameters = (iv: Uint8Array<ArrayBuffer>) => ({
  name: ALGORITHM,
  iv,
  tagLength: TAG_BYTES * 8,
});

const encoder = new TextEncoder();
// A leading U+FEFF belongs to the value; a decoder would take it for a byte order mark.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Imports the 32 bytes of a key; they can not be read back from the result. */
export function importAesKey(bytes: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", bytes, ALGORITHM, false, ["encrypt", "decrypt"]);
}

/** Encrypts a well-formed string into the stored form. */
export async function encrypt(key: CryptoKey, plaintext: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const sealed = new Uint8Array(
    await crypto.subtle.encrypt(parameters(iv), key, encoder.encode(plaintext)),
  );
  const tagStart = sealed.length - TAG_BYTES;
  const ciphertext = encodeBase64(sealed.subarray(0, tagStart));
  return `${encodeBase64(iv)}:${ciphertext}:${encodeBase64(sealed.subarray(tagStart))}`;
}

/** Whether a text is what {@linkcode encrypt} could have made, under whatever key. */
export function hasStoredForm(text: string): boolean {
  return parse(text) !== undefined;
}

/** The three parts. A shorter tag is easier to forge (SP 800-38D, appendix C), so their lengths are settled here. */
function parse(stored: string) {
  const parts = stored.split(":");
  if (parts.length !== 3) return undefined;
  const [iv, ciphertext, tag] = parts.map(decodeBase64);
  return iv?.length === IV_BYTES && ciphertext && tag?.length === TAG_BYTES
    ? { iv, ciphertext, tag }
    : undefined;
}

/**
 * Decrypts the stored form.
 *
 * @throws {InvalidCiphertextError} The text does not have the stored form.
 * @throws {DecryptionError} The tag does not match: another key, or a changed value.
 */
export async function decrypt(key: CryptoKey, stored: string): Promise<string> {
  const parts = parse(stored);
  if (!parts) throw new InvalidCiphertextError();
  const { iv, ciphertext, tag } = parts;
  const sealed = new Uint8Array(ciphertext.length + TAG_BYTES);
  sealed.set(ciphertext);
  sealed.set(tag, ciphertext.length);
  try {
    const plaintext = await crypto.subtle.decrypt(parameters(iv), key, sealed);
    return decoder.decode(plaintext);
  } catch {
    throw new DecryptionError();
  }
}
