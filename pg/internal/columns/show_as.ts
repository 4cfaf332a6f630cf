/** What a console shows of values that must not be seen. */

/** The registered symbols that consoles ask an object for: they are the same everywhere, and mean nothing elsewhere. */
const INSPECTIONS = ["nodejs.util.inspect.custom", "Deno.customInspect"].map(Symbol.for);

/**
 * Has all objects of a class shown as a text.
 *
 * @param prototype The class's prototype.
 */
export function showAs(prototype: object, text: string): void {
  for (const inspection of INSPECTIONS) {
    Object.defineProperty(prototype, inspection, { value: () => text });
  }
}
