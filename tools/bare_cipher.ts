/** The stored form with `node:crypto` only, without this library. */

import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from "node:crypto";

/** Like `buildEncryptionKey`. */
export const deriveKey = (password: string, salt: string): Uint8Array =>
  scryptSync(password, salt, 32);

export function encrypt(key: Uint8Array, plaintext: string): string {
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  const parts = [iv, cipher.update(plaintext, "utf8"), (cipher.final(), cipher.getAuthTag())];
  return parts.map((part) => part.toString("base64")).join(":");
}

export function decrypt(key: Uint8Array, stored: string): string {
  const [iv, ciphertext, tag] = stored.split(":").map((part) => Buffer.from(part, "base64"));
  const decipher = createDecipheriv("aes-256-gcm", key, iv!);
  decipher.setAuthTag(tag!);
  const plaintext = decipher.update(ciphertext!);
  decipher.final();
  return plaintext.toString("utf8");
}
