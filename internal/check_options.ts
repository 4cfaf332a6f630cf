/** Checks of options. */

/**
 * The longest delay of a timer: a signed 32-bit number of milliseconds. Longer ones fire at once.
 */
export const MAX_TIMER_MS = 2_147_483_647;

/** Refuses anything but an object, and unknown options. */
export function checkNames(
  attempt: string,
  options: unknown,
  names: readonly string[],
): asserts options is object {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${attempt}: the options are not an object`);
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new TypeError(`${attempt}: there is no option ${JSON.stringify(name)}`);
    }
  }
}

/** Refuses anything but a function. */
export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== "function") {
    throw new TypeError(`Reading the option ${name}: it is not a function`);
  }
}

/** Refuses a value that lacks one of the methods. */
export function checkMethods(name: string, value: unknown, methods: readonly string[]): void {
  for (const method of methods) {
    if (typeof (value as Record<string, unknown> | null | undefined)?.[method] !== "function") {
      throw new TypeError(`Reading the option ${name}: it has no method ${method}`);
    }
  }
}

/** Refuses anything but a whole number from 1 to `max`. */
export function checkWholeNumber(name: string, value: unknown, max: number): number {
  if (typeof value !== "number") {
    throw new TypeError(`Reading the option ${name}: it is not a number`);
  }
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new RangeError(
      `Reading the option ${name}: ${value} is not a whole number from 1 to ${max}`,
    );
  }
  return value;
}

/** Refuses anything but a valid delay of a timer, in milliseconds. */
export function checkDuration(name: string, value: unknown): number {
  return checkWholeNumber(name, value, MAX_TIMER_MS);
}
