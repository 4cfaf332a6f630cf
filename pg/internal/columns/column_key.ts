/** The key of one encrypted column. */

import { decryptNow, encryptNow } from "../../encryption_key.ts";
import type { EncryptionKey } from "../../interfaces.ts";
import { askKey } from "./ask_key.ts";
import { assertStorableText } from "./well_formed.ts";

/** An application's key as one column uses it. */
export class ColumnKey {
  readonly #subject: () => string;

  /** Missing where the key has none. */
  readonly isCurrent?: (ciphertext: string) => Promise<boolean>;

  /**
   * @param given What the application made the column with.
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
   * A value that is to be stored, as it is.
   *
   * @throws {TypeError} It cannot be stored faithfully.
   */
  storable(value: unknown): string {
    assertStorableText(value, this.#subject);
    return value;
  }

  /** The result is a promise only where something has to be waited for. */
  encrypt(plaintext: string): string | Promise<string> {
    return encryptNow(this.given, plaintext) ??
      askKey(this.given, "encrypt", plaintext, this.#subject);
  }

  /** The result is a promise only where something has to be waited for. */
  decrypt(ciphertext: string): string | Promise<string> {
    return decryptNow(this.given, ciphertext) ??
      askKey(this.given, "decrypt", ciphertext, this.#subject);
  }
}
