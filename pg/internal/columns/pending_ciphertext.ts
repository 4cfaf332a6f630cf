/**
 * What an encrypted column hands to Drizzle as a parameter. Drizzle encodes parameters synchronously and
 * Web Crypto does not, so this only stands for a ciphertext until `withEncryption` computes it.
 */

import type { ColumnKey } from "./column_key.ts";
import { showAs } from "./show_as.ts";

const REMEDY =
  "Sending a value of an encrypted column: it is not encrypted yet, run the query on the database that it was " +
  "built with";

function refuse(): never {
  throw new TypeError(REMEDY);
}

/** Makes what stands for ciphertexts throw when any driver asks it for what to send. */
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

/** A plaintext and the key it is to be encrypted under. The plaintext can only be had encrypted. */
export class PendingCiphertext {
  readonly #key: ColumnKey;
  readonly #plaintext: string;

  constructor(key: ColumnKey, plaintext: string) {
    this.#key = key;
    this.#plaintext = plaintext;
  }

  /** Encrypts anew on every call. */
  encrypt(): string | Promise<string> {
    return this.#key.encrypt(this.#plaintext);
  }
}

makeUnsendable(PendingCiphertext.prototype);

/** Encodes the values that are stored in one column. */
export interface StoringEncoder {
  mapToDriverValue(value: unknown): PendingCiphertext | null;
}

const encoders = new WeakMap<ColumnKey, StoringEncoder>();

/** The encoder of a column's key. Only what really is stored may be given it. */
export function storingEncoder(key: ColumnKey): StoringEncoder {
  let encoder = encoders.get(key);
  if (!encoder) {
    encoder = {
      // A placeholder's value comes here without Drizzle's own check for null.
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

/** Whether an encoder is one of these. */
export function isStoringEncoder(encoder: unknown): encoder is StoringEncoder {
  return typeof encoder === "object" && encoder !== null && known.has(encoder);
}
