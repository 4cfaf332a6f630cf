/**
 * Stand-in for the part of `@std/assert` that the tests use, for networks without JSR. It has the
 * same names, signatures and results, with its own messages.
 */
import { AssertionError as NodeAssertionError } from "node:assert";
import { inspect } from "node:util";

/** Thrown by every failed assertion. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

// deno-lint-ignore no-explicit-any
type AnyClass<T = any> = abstract new (...args: any[]) => T;

function failure(found: string, msg: string | undefined, options?: ErrorOptions): AssertionError {
  return new AssertionError(msg ? `${found}: ${msg}` : found, options);
}

/** Both values and their difference. */
function difference(actual: unknown, expected: unknown): string {
  const { message } = new NodeAssertionError({ actual, expected, operator: "deepStrictEqual" });
  return message.slice(message.indexOf("\n") + 1);
}

export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) {
    throw failure(`Values are not equal\n${difference(actual, expected)}`, msg);
  }
}

export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) throw failure(`Values are equal: ${inspect(actual)}`, msg);
}

/** Equality by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (!Object.is(actual, expected)) {
    throw failure(`Values are not strictly equal\n${difference(actual, expected)}`, msg);
  }
}

export const assertMatch = relation(
  "to match",
  (text: string, pattern: RegExp) => pattern.test(text),
);
export const assertNotMatch = relation(
  "not to match",
  (text: string, pattern: RegExp) => !pattern.test(text),
);
export const assertStringIncludes = relation(
  "to contain",
  (text: string, part: string) => text.includes(part),
);
export const assertGreater = relation(">", <T>(one: T, other: T) => one > other);
export const assertGreaterOrEqual = relation(">=", <T>(one: T, other: T) => one >= other);
export const assertLess = relation("<", <T>(one: T, other: T) => one < other);
export const assertLessOrEqual = relation("<=", <T>(one: T, other: T) => one <= other);

function relation<A, B>(name: string, holds: (actual: A, expected: B) => boolean) {
  return (actual: A, expected: B, msg?: string): void => {
    if (!holds(actual, expected)) {
      throw failure(`Expected ${inspect(actual)} ${name} ${inspect(expected)}`, msg);
    }
  };
}

/** The arguments after the function: a message, or a class before what its message includes. */
type Expected<E> =
  | [msg?: string]
  | [ErrorClass: AnyClass<E>, msgIncludes?: string | undefined, msg?: string];

/** The message for a function that does not fail. */
const messageIn = ([first, , msg]: Expected<unknown>) => typeof first === "string" ? first : msg;

function checkError<E>(error: unknown, [expected, msgIncludes = "", msg]: Expected<E>): E {
  if (typeof expected !== "function") return error as E;
  const found = error instanceof Error ? `${error.name}: ${error.message}` : "no error";
  if (!(error instanceof Error) || !(error instanceof expected)) {
    throw failure(`Expected an instance of ${expected.name}, not ${found}`, msg, { cause: error });
  }
  if (!error.message.includes(msgIncludes)) {
    throw failure(`Expected ${inspect(msgIncludes)} in ${found}`, msg, { cause: error });
  }
  return error;
}

/** Asserts that a function throws, optionally an error of a class whose message includes a text. */
export function assertThrows<E = unknown>(fn: () => unknown, ...expected: Expected<E>): E {
  try {
    fn();
  } catch (error) {
    return checkError(error, expected);
  }
  throw failure("Expected function to throw", messageIn(expected));
}

/** Asserts that a function's promise rejects, like `assertThrows`. */
export async function assertRejects<E = unknown>(
  fn: () => PromiseLike<unknown>,
  ...expected: Expected<E>
): Promise<E> {
  const message = messageIn(expected);
  let promise: PromiseLike<unknown> | undefined;
  try {
    promise = fn();
  } catch (cause) {
    throw failure("Function throws when expected to reject", message, { cause });
  }
  if (typeof promise?.then !== "function") throw failure("Function returns no promise", message);
  try {
    await promise;
  } catch (error) {
    return checkError(error, expected);
  }
  throw failure("Expected function to reject", message);
}

/**
 * Deep equality by the rules of the original, as far as tests need it: `0` equals `-0`, `NaN`
 * equals `NaN`, and an object without prototype equals a plain one. A property that is `undefined`
 * differs from a missing one.
 */
function equal(a: unknown, b: unknown): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return false;
  if (classOf(a) !== classOf(b)) return false;
  if (a instanceof Date) return Object.is(Number(a), Number(b));
  if (a instanceof RegExp || a instanceof URL) return String(a) === String(b);
  if (a instanceof ArrayBuffer) return equal(new Uint8Array(a), new Uint8Array(b as typeof a));
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return a.length === b.length && a.every((byte, index) => byte === b[index]);
  }
  if (a instanceof Map || a instanceof Set) {
    const others = [...b as typeof a];
    return a.size === others.length && [...a].every((one) => others.some((it) => equal(one, it)));
  }
  const keys = Reflect.ownKeys(a);
  return keys.length === Reflect.ownKeys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equal(Reflect.get(a, key), Reflect.get(b, key)));
}

function classOf(value: object): object | null {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype ? null : prototype;
}
