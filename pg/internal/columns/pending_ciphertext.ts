/**
 * The parameter that an encrypted column passes to Drizzle. Drizzle encodes parameters
 * synchronously, but Web Crypto is asynchronous, so this is a placeholder until `withEncryption`
 * computes the ciphertext.
 */

import type { ColumnKey } from "./column_key.ts";
import { showAs } from "./show_as.ts";

const REMEDY =
  "Sending a value of an encrypted column: it is not encrypted yet, run the query on the database that it was " +
  "built with";

function refuse(): never {
  throw new TypeError(REMEDY);
}

/** Makes placeholders of ciphertexts throw when a driver serialises them. */
export function makeUnsendable(prototype: object): void {
  Object.assign(prototype, {
    toString: refuse,
    toJSON: refuse,
    // For node-postgres and Neon's driver.
    toPostgres: refuse,
    [Symbol.toPrimitive]: refuse,
  });
  showAs(prototype, "[pending ciphertext]");
}

/** A plaintext and the key to encrypt it under. The plaintext cannot be read, only encrypted. */
export class PendingCiphertext {
  readonly #key: ColumnKey;
  readonly #plaintext: string;

  constructor(key: ColumnKey, plaintext: string) {
    this.#key = key;
    this.#plaintext = plaintext;
  }

  /** Encrypts again on every call. */
  encrypt(): string | Promise<string> {
    return this.#key.encrypt(this.#plaintext);
  }
}

makeUnsendable(PendingCiphertext.prototype);

/** Encodes the values stored in a column. */
export interface StoringEncoder {
  mapToDriverValue(value: unknown): PendingCiphertext | null;
}

const encoders = new WeakMap<ColumnKey, StoringEncoder>();

/** The encoder of a column's key. Use it only for values that are stored. */
export function storingEncoder(key: ColumnKey): StoringEncoder {
  let encoder = encoders.get(key);
  if (!encoder) {
    encoder = {
      // Drizzle does not check a placeholder's value for null.
      mapToDriverValue(value) {
        if (value === null) return null;
        return new PendingCiphertext(key, key.storable(value));
      },
    };
    encoders.set(key, encoder);
    known.add(encoder);
  }
  return encoder;
}

const known = new WeakSet<object>();

/** Whether an encoder is a {@linkcode StoringEncoder}. */
export function isStoringEncoder(encoder: unknown): encoder is StoringEncoder {
  return typeof encoder === "object" && encoder !== null && known.has(encoder);
}
