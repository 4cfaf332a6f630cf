/**
 * The stored form, with nothing but Web Crypto: the floor of every comparison.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { scrypt } from "node:crypto";
import { PASSWORD, SALT } from "./data.ts";

const IV_BYTES = 12;
const TAG_BYTES = 16;

// The platform's own where it is there: the fastest on every runtime.
const native = "fromBase64" in Uint8Array;

/** Base64 of bytes. */
export const toBase64: (bytes: Uint8Array) => string = native
  ? (bytes) => (bytes as unknown as { toBase64(): string }).toBase64()
  : (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

/** Bytes of base64. */
export const fromBase64: (text: string) => Uint8Array<ArrayBuffer> = native
  ? (Uint8Array as unknown as { fromBase64(text: string): Uint8Array<ArrayBuffer> }).fromBase64
    .bind(Uint8Array)
  : (text) => Buffer.from(text, "base64");

/** The key of the password and salt that all contestants use. */
export async function deriveKey(): Promise<CryptoKey> {
  const raw = await new Promise<Uint8Array<ArrayBuffer>>((resolve, reject) =>
    scrypt(PASSWORD, SALT, 32, (error, key) => error ? reject(error) : resolve(new Uint8Array(key)))
  );
  return await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Encrypts into the stored form. */
export async function encrypt(key: CryptoKey, plaintext: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const sealed = new Uint8Array(
    await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, encoder.encode(plaintext)),
  );
  const end = sealed.length - TAG_BYTES;
  return `${toBase64(iv)}:${toBase64(sealed.subarray(0, end))}:${toBase64(sealed.subarray(end))}`;
}

/** Decrypts the stored form. */
export async function decrypt(key: CryptoKey, stored: string): Promise<string> {
  const [iv, ciphertext, tag] = stored.split(":").map((part) => fromBase64(part));
  const sealed = new Uint8Array(ciphertext!.length + TAG_BYTES);
  sealed.set(ciphertext!);
  sealed.set(tag!, ciphertext!.length);
  return decoder.decode(
    await crypto.subtle.decrypt({ name: "AES-GCM", iv: iv! }, key, sealed),
  );
}
