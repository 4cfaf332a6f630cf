/** Error codes. */

/** The `code` of an error. Works across copies of this package, unlike `instanceof`. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
