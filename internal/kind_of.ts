/**
 * The kind of a built-in object, such as `"Date"` or `"Uint8Array"`. Unlike `instanceof` it also
 * works across realms: test runners such as vitest and Jest pass objects of another realm.
 */
export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}
