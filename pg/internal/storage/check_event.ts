/** Checks the arguments of the storage's methods. */

/** Length of the id columns of both tables, in characters. */
const MAX_ID_LENGTH = 36;

/** PostgreSQL cannot store U+0000, and UTF-8 cannot encode lone surrogates. */
const UNSTORABLE = /[\0\p{Surrogate}]/u;

const CONTEXTS: readonly unknown[] = ["customer", "project"];

/** Whether a column can store a text unchanged. */
export function isStorable(text: string): boolean {
  return !UNSTORABLE.test(text);
}

/** Whether an id exceeds the columns' declared length. The database may have longer columns. */
export function isLongId(id: string): boolean {
  return id.length > MAX_ID_LENGTH && [...id].length > MAX_ID_LENGTH;
}

/**
 * Refuses missing fields: Drizzle would omit them and silently keep the old values.
 *
 * @throws {TypeError} When a field is undefined or null.
 */
export function assertGiven(attempt: string, fields: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) {
      throw new TypeError(`${attempt}: ${name} is missing`);
    }
  }
}

/** Refuses anything but a string. An id that no column can store is valid nevertheless. */
export function assertId(attempt: string, extensionInstanceId: unknown): void {
  assertGiven(attempt, { extensionInstanceId });
  if (typeof extensionInstanceId !== "string") {
    throw new TypeError(`${attempt}: extensionInstanceId is not a string`);
  }
}

/** Refuses values that a text column cannot store unchanged. */
export function assertText(attempt: string, name: string, value: unknown): void {
  if (typeof value !== "string") throw new TypeError(`${attempt}: ${name} is not a string`);
  if (!isStorable(value)) {
    throw new TypeError(
      `${attempt}: ${name} has a character that PostgreSQL cannot store, U+0000 or a lone surrogate`,
    );
  }
}

/** The fields of an instance's state, unchecked. */
interface State {
  readonly contextId?: unknown;
  readonly context?: unknown;
  readonly consentedScopes?: unknown;
  readonly variantKey?: unknown;
  readonly enabled?: unknown;
}

/** Refuses a state that the columns cannot store unchanged. */
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
