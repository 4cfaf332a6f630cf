/** Evidence of the leak test's scenarios, by place. */

import { assertEquals, assertRejects } from "@std/assert";
import { disclosed } from "./disclosed.ts";

/** Number of random characters at the end of a canary, which make it unique. */
export const CANARY_LENGTH = 32;

/** This many of them in a row do not occur by chance. */
const CHUNK = /.{8}/g;

/** A unique string: random lower-case letters and digits after its name. */
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
 * A public value in plain columns that must appear in every searched place: otherwise the search
 * does not cover that place. It fits into the id columns.
 */
export const CONTROL = createCanary("ctl");

/** The form in which a part of a canary appears in a text, if it does. */
export function findCanary(text: string, canary: string): string | undefined {
  const unmistakable = canary.slice(-CANARY_LENGTH);
  const chunks = unmistakable.match(CHUNK)!;
  const bytes = chunks.map((chunk) => [...new TextEncoder().encode(chunk)]);
  const forms = {
    "as it is": chunks,
    "hexadecimal": bytes.map((chunk) => chunk.map((byte) => byte.toString(16)).join("")),
    // Whatever precedes it, one of these three starts at a base64 group.
    "base64": [0, 1, 2].map((start) => btoa(unmistakable.slice(start, start + 24))),
    "decimal bytes": bytes.map((chunk) => chunk.join()),
  };
  // Bytes are printed in columns.
  const dense = text.replaceAll(/\s+/g, "").toLowerCase();
  return Object.entries(forms).find(([, parts]) =>
    parts.some((part) => text.includes(part) || dense.includes(part))
  )?.[0];
}

/** Places and their readable content. */
export class Evidence {
  readonly #texts = new Map<string, string[]>();
  readonly codes: Set<unknown> = new Set();

  add(place: string, ...texts: string[]): void {
    this.#texts.set(place, [...this.#texts.get(place) ?? [], ...texts]);
  }

  /** Records everything visible of values. */
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
   * Records the errors of operations that must fail.
   *
   * @param expected Their code, or their name if they have none.
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

  /** The leaks: one line per canary and place. */
  leaks(canaries: Readonly<Record<string, string>> = CANARIES): string[] {
    return [...this.#texts].flatMap(([place, texts]) =>
      Object.entries(canaries).flatMap(([name, canary]) => {
        const form = texts.map((text) => findCanary(text, canary)).find(Boolean);
        return form === undefined ? [] : [`${place}: ${name}, ${form}`];
      })
    );
  }
}
