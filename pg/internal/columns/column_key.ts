/** The key of one encrypted column. */

import { decryptNow, encryptNow } from "../../encryption_key.ts";
import type { EncryptionKey } from "../../interfaces.ts";
import { askKey } from "./ask_key.ts";
import { assertStorableText } from "./well_formed.ts";

/** An application's key, as one column uses it. */
export class ColumnKey {
  readonly #subject: () => string;

  /** Missing if the key has no `isCurrent`. */
  readonly isCurrent?: (ciphertext: string) => Promise<boolean>;

  /**
   * @param given The application's key.
   * @param column The column, for messages.
   */
  constructor(readonly given: EncryptionKey, column: () => string) {
    this.#subject = () => `a value of ${column()}`;
    if (typeof given.isCurrent === "function") {
      this.isCurrent = (ciphertext) =>
        askKey(given as Required<EncryptionKey>, "isCurrent", ciphertext, this.#subject);
    }
  }

  /**
   * Returns a value to store, unchanged.
   *
   * @throws {TypeError} When it cannot be stored unchanged.
   */
  storable(value: unknown): string {
    assertStorableText(value, this.#subject);
    return value;
  }

  /** Returns a promise only if the key is asynchronous. */
  encrypt(plaintext: string): string | Promise<string> {
    return encryptNow(this.given, plaintext) ??
      askKey(this.given, "encrypt", plaintext, this.#subject);
  }

  /** Returns a promise only if the key is asynchronous. */
  decrypt(ciphertext: string): string | Promise<string> {
    return decryptNow(this.given, ciphertext) ??
      askKey(this.given, "decrypt", ciphertext, this.#subject);
  }
}
