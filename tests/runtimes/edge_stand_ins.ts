/**
 * Stand-ins for the parts of Node's modules and `@std/encoding` that the cases use, for runtimes
 * without these modules or their own base64.
 */

/** Like that of `node:assert`, with a plain message. */
export class AssertionError extends Error {
  constructor({ actual, expected }: { actual?: unknown; expected?: unknown }) {
    super(`\n  actual: ${inspect(actual)}\n  expected: ${inspect(expected)}`);
  }
}

/** Like that of `node:util`, as JSON. */
export function inspect(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** Like that of `node:util`. */
export const stripVTControlCharacters = (text: string): string => text;

/** Like that of `@std/encoding`. */
export function encodeBase64(data: ArrayBuffer | Uint8Array): string {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
