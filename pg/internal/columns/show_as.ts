/** Sets the console output of values that must stay secret. */

/** The registered symbols that consoles read; other runtimes ignore them. */
const INSPECTIONS = ["nodejs.util.inspect.custom", "Deno.customInspect"].map(Symbol.for);

/**
 * Makes consoles show all objects of a class as a text.
 *
 * @param prototype The class's prototype.
 */
export function showAs(prototype: object, text: string): void {
  for (const inspection of INSPECTIONS) {
    Object.defineProperty(prototype, inspection, { value: () => text });
  }
}
