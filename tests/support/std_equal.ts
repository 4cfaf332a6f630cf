/**
 * Deep equality by the rules of `@std/assert`: values of different types or classes differ, `0` and `-0`
 * do not, neither do `NaN` and `NaN`; a property that is `undefined` is not a missing one; an object
 * without prototype equals a plain one; members of classes are compared through their getters.
 *
 * @module
 */

/** Values of these classes say everything about themselves as a string. */
const SHOWN_BY_STRING: readonly (new (...args: never[]) => object)[] = [
  RegExp,
  URL,
  URLSearchParams,
  Intl.Locale,
];

/**
 * Compares two values.
 *
 * @param actual One value.
 * @param expected The other.
 * @throws {TypeError} When both are a `WeakMap` or a `WeakSet`, whose contents cannot be listed.
 */
export function equal(actual: unknown, expected: unknown): boolean {
  return equalWithin(actual, expected, new Map());
}

/** `open`: the pairs that are being compared further up, taken as equal to end circles. */
function equalWithin(a: unknown, b: unknown, open: Map<object, unknown>): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime());
  if (classOf(a) !== classOf(b)) return false;
  if (a instanceof WeakMap || a instanceof WeakSet) {
    throw new TypeError("Comparing a WeakMap or WeakSet: its contents cannot be listed");
  }
  const [bytesA, bytesB] = [elementsOf(a), elementsOf(b)];
  if (bytesA && bytesB) {
    return bytesA.length === bytesB.length &&
      Array.prototype.every.call(bytesA, (x, i) => x === bytesB[i] || Object.is(x, bytesB[i]));
  }
  if (a instanceof WeakRef && b instanceof WeakRef) return equalWithin(a.deref(), b.deref(), open);
  if (SHOWN_BY_STRING.some((shown) => Object.getPrototypeOf(a) === shown.prototype)) {
    return String(a) === String(b);
  }
  if (open.get(a) === b) return true;
  open.set(a, b);
  if (Object.keys(a).length !== Object.keys(b).length) return false;
  if (a instanceof Set && b instanceof Set) return sameEntries([...a], [...b], open);
  if (a instanceof Map && b instanceof Map) return sameEntries([...a], [...b], open);
  return sameProperties(a, b, open);
}

function classOf(value: object): unknown {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype ? null : prototype;
}

function elementsOf(value: object): ArrayLike<unknown> | undefined {
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    return new Uint8Array(value);
  }
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
    ? value as unknown as ArrayLike<unknown>
    : undefined;
}

/** Whether every entry of one collection has a partner of its own in the other, in any order. */
function sameEntries(a: unknown[], b: unknown[], open: Map<object, unknown>): boolean {
  if (a.length !== b.length) return false;
  const left = [...b];
  return a.every((entry) => {
    const partner = left.findIndex((other) => equalWithin(entry, other, new Map(open)));
    if (partner !== -1) left.splice(partner, 1);
    return partner !== -1;
  });
}

function sameProperties(a: object, b: object, open: Map<object, unknown>): boolean {
  const keys = new Set([...propertiesOf(a), ...propertiesOf(b)]);
  for (const key of keys) {
    if (key in a !== key in b) return false;
    if (!equalWithin(Reflect.get(a, key), Reflect.get(b, key), open)) return false;
  }
  return true;
}

/**
 * Enumerable properties of plain objects and arrays; of instances all properties, those of their classes
 * included.
 */
function propertiesOf(value: object): PropertyKey[] {
  if (classOf(value) === null || Object.getPrototypeOf(value) === Array.prototype) {
    return Reflect.ownKeys({ ...value });
  }
  const keys: PropertyKey[] = [];
  for (
    let object = value;
    object !== null && object !== Object.prototype && object !== Array.prototype;
    object = Object.getPrototypeOf(object)
  ) {
    keys.push(...Reflect.ownKeys(object));
  }
  return keys;
}
