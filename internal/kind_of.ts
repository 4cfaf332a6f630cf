/**
 * The kind of a built-in object, `"Date"` or `"Uint8Array"` for example. Unlike `instanceof` it also fits objects of
 * another realm, which test runners such as vitest and Jest hand over.
 */
export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}
