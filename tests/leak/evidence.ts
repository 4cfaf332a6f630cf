/** What the scenarios of the leak test saw, sorted by where somebody could read it. */

import { assertEquals, assertRejects } from "@std/assert";
import { disclosed } from "./disclosed.ts";

/** Random characters at the end of a canary: what makes it unmistakable. */
export const CANARY_LENGTH = 32;

/** So many of them in a row are in no text by chance. */
const CHUNK = /.{8}/g;

/** A string that cannot be mistaken for another: random lower-case letters and digits after its name. */
export function createCanary(name: string): string {
  const random = crypto.getRandomValues(new Uint8Array(CANARY_LENGTH));
  return `${name}-${Array.from(random, (byte) => (byte % 36).toString(36)).join("")}`;
}

export const CANARIES = {
  secret: createCanary("canary-secret"),
  rotatedSecret: createCanary("canary-rotated-secret"),
  masterPassword: createCanary("canary-master-password"),
  otherMasterPassword: createCanary("canary-other-master-password"),
  salt: createCanary("canary-salt"),
} as const;

/**
 * What is no secret, lies in plain columns, and has to show up in every place that is searched: a place that does not
 * show it is not really seen. It fits into the columns of ids.
 */
export const CONTROL = createCanary("ctl");

/** How a part of a canary shows in a text, if it does. */
export function findCanary(text: string, canary: string): string | undefined {
  const unmistakable = canary.slice(-CANARY_LENGTH);
  const chunks = unmistakable.match(CHUNK)!;
  const bytes = chunks.map((chunk) => [...new TextEncoder().encode(chunk)]);
  const forms = {
    "as it is": chunks,
    "hexadecimal": bytes.map((chunk) => chunk.map((byte) => byte.toString(16)).join("")),
    // Whatever stands in front of it, one of these three begins where a group of base64 does.
    "base64": [0, 1, 2].map((start) => btoa(unmistakable.slice(start, start + 24))),
    "decimal bytes": bytes.map((chunk) => chunk.join()),
  };
  // Bytes are printed in columns.
  const dense = text.replaceAll(/\s+/g, "").toLowerCase();
  return Object.entries(forms).find(([, parts]) =>
    parts.some((part) => text.includes(part) || dense.includes(part))
  )?.[0];
}

/** Places, and everything that can be read there. */
export class Evidence {
  readonly #texts = new Map<string, string[]>();
  readonly codes: Set<unknown> = new Set();

  add(place: string, ...texts: string[]): void {
    this.#texts.set(place, [...this.#texts.get(place) ?? [], ...texts]);
  }

  /** Notes what can be found out about values. */
  inspect(...values: unknown[]): void {
    this.add("inspected objects", ...values.map(disclosed));
  }

  addError(error: unknown): void {
    this.add("errors", disclosed(error));
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      this.codes.add((cause as { code?: unknown }).code);
    }
  }

  /**
   * Notes the errors of what has to fail.
   *
   * @param expected Their code, or their name where they have none.
   */
  async fails(expected: string, ...attempts: readonly (() => unknown)[]): Promise<void> {
    for (const attempt of attempts) {
      const error = await assertRejects(async () => void await attempt(), `${attempt}`);
      const { code, name } = error as Error & { code?: string };
      assertEquals(expected.startsWith("ERR_") ? code : name, expected, String(error));
      this.addError(error);
    }
  }

  get places(): readonly string[] {
    return [...this.#texts.keys()];
  }

  /** What was leaked: one line for each canary and place. */
  leaks(canaries: Readonly<Record<string, string>> = CANARIES): string[] {
    return [...this.#texts].flatMap(([place, texts]) =>
      Object.entries(canaries).flatMap(([name, canary]) => {
        const form = texts.map((text) => findCanary(text, canary)).find(Boolean);
        return form === undefined ? [] : [`${place}: ${name}, ${form}`];
      })
    );
  }
}
