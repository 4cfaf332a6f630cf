/**
 * An encrypted value in the result of a relational query, whose shape only Drizzle knows, before
 * decryption.
 */
export class UndecryptedValue {
  readonly #column: object;
  readonly #stored: unknown;

  private constructor(column: object, stored: unknown) {
    this.#column = column;
    this.#stored = stored;
  }

  /** Makes the decoder of an encrypted column. */
  static decoderOf(column: object): (stored: unknown) => UndecryptedValue {
    return (stored) => {
      // Drizzle 1.0 maps in place, and a cache may keep the result, so a value can arrive twice.
      return stored instanceof UndecryptedValue ? stored : new UndecryptedValue(column, stored);
    };
  }

  /** The column of the value. */
  get column(): object {
    return this.#column;
  }

  /** The value from the database. */
  get stored(): unknown {
    return this.#stored;
  }
}
