const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Refuses what an encrypted column cannot keep faithfully: anything but a string, and strings with lone
 * surrogates, which UTF-8 has no bytes for (the encoder would put U+FFFD in their place).
 */
export function assertStorableText(value: unknown): asserts value is string {
  if (typeof value !== "string") {
    throw new TypeError(`Encrypting a value: expected a string, found ${describe(value)}`);
  }
  if (LONE_SURROGATE.test(value)) {
    throw new TypeError(
      "Encrypting a value: the string is not well-formed Unicode, it has a lone surrogate",
    );
  }
}

function describe(value: unknown): string {
  if (value === null) return "null";
  return typeof value === "object" ? "an object" : typeof value;
}
