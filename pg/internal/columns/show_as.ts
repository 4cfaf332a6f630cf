/** Sets the console output of values that must stay secret. */

/** The registered symbol that the consoles of Node.js, Deno and Bun read; other runtimes ignore it. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/**
 * Makes consoles show all objects of a class as a text.
 *
 * @param prototype The class's prototype.
 */
export function showAs(prototype: object, text: string): void {
  Object.defineProperty(prototype, INSPECT, { value: () => text });
}
