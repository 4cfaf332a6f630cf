/** Errors by their code. */

/** The `code` of an error, also of one from another copy of this package, whose classes are different ones. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
