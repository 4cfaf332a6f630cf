/** Strings that must not show up, and the search for them in whatever form they may have taken. */

/** How much of a canary is enough to be found: by chance no text has so many of its characters in a row. */
const CHUNK = 8;

/** Random characters at the end of a canary: what makes it unmistakable. */
export const CANARY_LENGTH = 32;

/** A string that cannot be mistaken for another: random lower-case letters and digits after its name. */
export function createCanary(name: string): string {
  const random = crypto.getRandomValues(new Uint8Array(CANARY_LENGTH));
  return `${name}-${Array.from(random, (byte) => (byte % 36).toString(36)).join("")}`;
}

/** A text without white space and in lower case, as well as the text itself: bytes are printed in columns. */
interface Haystack {
  readonly text: string;
  readonly dense: string;
}

/**
 * Finds a part of a canary in a text: as it is, in hexadecimal digits, in base64, or as a list of decimal bytes.
 *
 * @returns How it was found, or `undefined`.
 */
export function findCanary(text: string, canary: string): string | undefined {
  const haystack: Haystack = { text, dense: text.replaceAll(/\s+/g, "").toLowerCase() };
  const unmistakable = canary.slice(-CANARY_LENGTH);
  for (const [form, parts] of formsOf(unmistakable)) {
    if (
      parts.some((part) => haystack.text.includes(part) || haystack.dense.includes(part))
    ) return form;
  }
  return undefined;
}

function formsOf(text: string): [form: string, parts: string[]][] {
  const chunks = text.match(new RegExp(`.{${CHUNK}}`, "g"))!;
  const bytes = (chunk: string) => [...new TextEncoder().encode(chunk)];
  return [
    ["as it is", chunks],
    [
      "hexadecimal",
      chunks.map((chunk) => bytes(chunk).map((byte) => byte.toString(16)).join("")),
    ],
    // Whatever stands in front of it, one of these three begins where a group of base64 does.
    ["base64", [0, 1, 2].map((start) => btoa(text.slice(start, start + 24)))],
    ["decimal bytes", chunks.map((chunk) => bytes(chunk).join(","))],
  ];
}
