/** Checks of what the storage is called with. */

/** The longest id that the columns of both tables hold, in characters. */
const MAX_ID_LENGTH = 36;

/** No column of PostgreSQL can hold U+0000, and UTF-8 has no bytes for half of a surrogate pair. */
const UNSTORABLE = /[\0\p{Surrogate}]/u;

const CONTEXTS: readonly unknown[] = ["customer", "project"];

/** Whether a column can hold a text as it is. */
export function isStorable(text: string): boolean {
  return !UNSTORABLE.test(text);
}

/** Whether an id is longer than the columns were made for. In the database they may have been made longer. */
export function isLongId(id: string): boolean {
  return id.length > MAX_ID_LENGTH && [...id].length > MAX_ID_LENGTH;
}

/**
 * Refuses what is missing. Drizzle would leave it out, and the old value would silently stay.
 *
 * @throws {TypeError} A field is undefined or null.
 */
export function assertGiven(attempt: string, fields: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) {
      throw new TypeError(`${attempt}: ${name} is missing`);
    }
  }
}

/** Refuses an id that is none. One that no column can hold is an id all the same. */
export function assertId(attempt: string, extensionInstanceId: unknown): void {
  assertGiven(attempt, { extensionInstanceId });
  if (typeof extensionInstanceId !== "string") {
    throw new TypeError(`${attempt}: extensionInstanceId is not a string`);
  }
}

/** Refuses what no text column can keep as it is. */
export function assertText(attempt: string, name: string, value: unknown): void {
  if (typeof value !== "string") throw new TypeError(`${attempt}: ${name} is not a string`);
  if (!isStorable(value)) {
    throw new TypeError(
      `${attempt}: ${name} has a character that PostgreSQL cannot store, U+0000 or half of a surrogate pair`,
    );
  }
}

/** What is told of an instance's state. */
interface State {
  readonly contextId?: unknown;
  readonly context?: unknown;
  readonly consentedScopes?: unknown;
  readonly variantKey?: unknown;
  readonly enabled?: unknown;
}

/** Refuses a state that the columns cannot keep as it is. */
export function assertState(attempt: string, state: State): void {
  const { contextId, context, consentedScopes, variantKey, enabled } = state;
  assertGiven(attempt, { contextId, consentedScopes });
  assertText(attempt, "contextId", contextId);
  if (context !== undefined && context !== null && !CONTEXTS.includes(context)) {
    throw new TypeError(`${attempt}: context is neither "customer" nor "project"`);
  }
  if (!Array.isArray(consentedScopes)) {
    throw new TypeError(`${attempt}: consentedScopes is not an array`);
  }
  for (const scope of consentedScopes) assertText(attempt, "a scope in consentedScopes", scope);
  if (variantKey !== undefined && variantKey !== null) {
    assertText(attempt, "variantKey", variantKey);
  }
  if (enabled !== undefined && typeof enabled !== "boolean") {
    throw new TypeError(`${attempt}: enabled is not a boolean`);
  }
}
