/** Copies objects of Drizzle's. */

/** A copy of an object with the same prototype, so that Drizzle's own type checks hold for it. */
export function copyWith<T extends object>(original: T, changes: object): T {
  return Object.create(Object.getPrototypeOf(original), {
    ...Object.getOwnPropertyDescriptors(original),
    ...Object.getOwnPropertyDescriptors(changes),
  });
}
