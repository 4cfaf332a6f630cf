const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Refuses values that an encrypted column cannot store unchanged: anything but a string, and
 * strings with lone surrogates, which UTF-8 cannot encode (the encoder replaces them with U+FFFD).
 *
 * @param subject The value's column, for messages.
 */
export function assertStorableText(
  value: unknown,
  subject: () => string = () => "a value",
): asserts value is string {
  if (typeof value !== "string") {
    throw new TypeError(
      `Encrypting ${subject()}: expected a string, found ${describeValue(value)}`,
    );
  }
  if (LONE_SURROGATE.test(value)) {
    throw new TypeError(
      `Encrypting ${subject()}: the string is not well-formed Unicode, it has a lone surrogate`,
    );
  }
}

/** The type of a value, without the value. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
