/**
 * What the assertions use of Node's modules, for runtimes that have none of them.
 *
 * @module
 */

/** As that of `node:assert`, with a plain message. */
export class AssertionError extends Error {
  constructor({ actual, expected }: { actual?: unknown; expected?: unknown }) {
    super(`\n  actual: ${inspect(actual)}\n  expected: ${inspect(expected)}`);
  }
}

/** As that of `node:util`, as JSON. */
export function inspect(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** As that of `node:util`. */
export function stripVTControlCharacters(text: string): string {
  return text;
}
