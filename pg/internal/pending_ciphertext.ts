/**
 * What an encrypted column hands to Drizzle as a parameter. Drizzle encodes parameters synchronously and
 * Web Crypto does not, so this only stands for a ciphertext until `withEncryption` computes it.
 */

import type { EncryptionKey } from "../encryption_key.ts";

const REMEDY =
  "Sending an encrypted column's value: it is not encrypted yet, wrap the database with withEncryption(db)";

/** Shown by `console.log` in the place of the value. */
const SHOWN_AS = "[pending ciphertext]";

function refuse(): never {
  throw new TypeError(REMEDY);
}

/** A plaintext and the key it is to be encrypted under; neither can be read from outside of this file. */
export class PendingCiphertext {
  readonly #key: EncryptionKey;
  readonly #plaintext: string;

  constructor(key: EncryptionKey, plaintext: string) {
    this.#key = key;
    this.#plaintext = plaintext;
  }

  /** Encrypts anew on every call. */
  encrypt(): Promise<string> {
    return this.#key.encrypt(this.#plaintext);
  }

  /** The key that the value is to be encrypted under. */
  get key(): EncryptionKey {
    return this.#key;
  }

  /** @throws {TypeError} Always: drivers would send the result. */
  toString(): never {
    return refuse();
  }

  /** @throws {TypeError} Always. */
  toJSON(): never {
    return refuse();
  }

  /** @throws {TypeError} Always: node-postgres would send the result. */
  toPostgres(): never {
    return refuse();
  }

  /** @throws {TypeError} Always. */
  [Symbol.toPrimitive](): never {
    return refuse();
  }

  /** For `console.log` of Node and Bun. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return SHOWN_AS;
  }

  /** For `console.log` of Deno. */
  [Symbol.for("Deno.customInspect")](): string {
    return SHOWN_AS;
  }
}
