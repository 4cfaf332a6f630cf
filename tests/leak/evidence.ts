/** What the scenarios of the leak test saw, sorted by where somebody could read it. */

import { assert, assertEquals } from "@std/assert";
import { createCanary, findCanary } from "../support/canaries.ts";
import { disclosed } from "../support/disclosed.ts";

/** What must not show up anywhere. */
export const CANARIES = {
  secret: createCanary("canary-secret"),
  rotatedSecret: createCanary("canary-rotated-secret"),
  masterPassword: createCanary("canary-master-password"),
  otherMasterPassword: createCanary("canary-other-master-password"),
  salt: createCanary("canary-salt"),
  databasePassword: createCanary("canary-database-password"),
} as const;

/**
 * What is no secret, lies in plain columns, and has to show up in every place that is searched: a place that does not
 * show it is not really seen. It fits into the columns of ids.
 */
export const CONTROL = createCanary("ctl");

/** A place, and everything that can be read there. */
export class Evidence {
  readonly #texts = new Map<string, string[]>();
  readonly #codes = new Set<string>();

  /** Notes what can be read in a place. */
  add(place: string, ...texts: string[]): void {
    this.#texts.set(place, [...this.#texts.get(place) ?? [], ...texts]);
  }

  /** Notes an error. */
  addError(error: unknown): void {
    this.add("errors", disclosed(error));
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      const { code } = cause as { code?: unknown };
      if (typeof code === "string") this.#codes.add(code);
    }
  }

  /**
   * Notes the error of what has to fail.
   *
   * @param expected The error's code, or its name where it has none.
   */
  async fails(expected: string, attempt: () => unknown): Promise<void> {
    let failed: { error: unknown } | undefined;
    try {
      await attempt();
    } catch (error) {
      failed = { error };
    }
    assert(failed, `expected ${expected}, but it succeeded: ${attempt}`);
    const { code, name } = failed.error as { code?: unknown; name?: unknown };
    assertEquals(expected.startsWith("ERR_") ? code : name, expected, String(failed.error));
    this.addError(failed.error);
  }

  /** The codes of all errors so far. */
  get codes(): ReadonlySet<string> {
    return this.#codes;
  }

  /** The places so far. */
  get places(): readonly string[] {
    return [...this.#texts.keys()];
  }

  /** What was leaked: one line for each canary and place. */
  leaks(canaries: Readonly<Record<string, string>> = CANARIES): string[] {
    return [...this.#texts].flatMap(([place, texts]) =>
      Object.entries(canaries).flatMap(([name, canary]) => {
        for (const text of texts) {
          const form = findCanary(text, canary);
          if (form !== undefined) return [`${place}: ${name}, ${form}`];
        }
        return [];
      })
    );
  }
}
