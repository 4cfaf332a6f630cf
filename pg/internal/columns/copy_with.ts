/** Copies Drizzle's objects. */

/** A copy of an object with the same prototype, so that it passes Drizzle's type checks. */
export function copyWith<T extends object>(original: T, changes: object): T {
  return Object.create(Object.getPrototypeOf(original), {
    ...Object.getOwnPropertyDescriptors(original),
    ...Object.getOwnPropertyDescriptors(changes),
  });
}
