/**
 * Tells a database from an object in front of one, such as a Proxy that creates its database on
 * first use or forwards to the current transaction. A decorated copy of it would use a different
 * database than the application means, so it is refused.
 */

/** The property's descriptor in an object or its prototypes, bypassing a Proxy's `get`. */
function held(object: object, name: PropertyKey): PropertyDescriptor | undefined {
  for (let at: object | null = object; at; at = Object.getPrototypeOf(at)) {
    const found = Object.getOwnPropertyDescriptor(at, name);
    if (found) return found;
  }
  return undefined;
}

/**
 * Reads a property of a database.
 *
 * @param attempt The purpose, with which the message begins.
 * @param known The value read before: an equal value needs no check.
 * @throws {TypeError} When an object in front of the database, such as a Proxy, answers in its
 *   place.
 */
export function readOwn<T>(attempt: string, db: object, name: PropertyKey, known?: T): T {
  const value = (db as Record<PropertyKey, unknown>)[name] as T;
  if (value === known && known !== undefined) return value;
  const found = held(db, name);
  if (found && ("get" in found || found.value === value)) return value;
  throw new TypeError(
    `${attempt}: an object in front of it, such as a Proxy, answers for its ${
      String(name)
    }; wrap the database itself, and put the Proxy in front of the wrapped one`,
  );
}

type Methods = ReadonlyMap<string, (...args: never[]) => unknown>;

const methods = new WeakMap<object, Methods>();

/** The methods of an object's classes, by name. */
export function inheritedMethods(prototype: object): Methods {
  let found = methods.get(prototype);
  if (!found) {
    const entries: [string, (...args: never[]) => unknown][] = [];
    for (let at = prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      // An object may inherit from another database, whose own properties are not methods.
      if (!Object.hasOwn(at, "constructor")) continue;
      for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
        if (typeof value === "function" && name !== "constructor") entries.push([name, value]);
      }
    }
    // The nearest class wins.
    methods.set(prototype, found = new Map(entries.reverse()));
  }
  return found;
}

/** The members of every database, own or inherited. */
const ESSENTIAL = [
  "dialect",
  "session",
  "select",
  "insert",
  "update",
  "delete",
  "execute",
  "transaction",
];

/**
 * Refuses an object in front of a database.
 *
 * @throws {TypeError} When an object in front of the database, such as a Proxy, answers in its
 *   place.
 */
export function assertItself(attempt: string, db: object): void {
  for (const name of [...ESSENTIAL, ...Reflect.ownKeys(db)]) readOwn(attempt, db, name);
  for (const [name, method] of inheritedMethods(Object.getPrototypeOf(db))) {
    readOwn(attempt, db, name, method);
  }
}
