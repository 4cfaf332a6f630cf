/**
 * Stands for an encrypted value in the result of a relational query, whose shape only Drizzle knows, until it
 * is decrypted.
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
      // Drizzle 1.0 maps in place what a cache may keep, so that a value can come here a second time.
      return stored instanceof UndecryptedValue ? stored : new UndecryptedValue(column, stored);
    };
  }

  /** The column that it comes from. */
  get column(): object {
    return this.#column;
  }

  /** What the database gave. */
  get stored(): unknown {
    return this.#stored;
  }
}
