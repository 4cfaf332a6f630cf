/**
 * Tells a database from something that stands in front of one: a Proxy that makes its database on first use, or
 * leads to the transaction that is under way. What a copy of it decorates is another database than the one that
 * the application means, so it is refused.
 */

/** Where an object, or its prototypes, hold something of a name: past what a Proxy in front of them answers. */
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
 * @param attempt What for; how the message begins.
 * @param known What was read before: nothing more is asked if it is the same.
 * @throws {TypeError} Something stands in front of the database and answers in its place.
 */
export function readOwn<T>(attempt: string, db: object, name: PropertyKey, known?: T): T {
  const value = (db as Record<PropertyKey, unknown>)[name] as T;
  if (value === known && known !== undefined) return value;
  const found = held(db, name);
  if (found && ("get" in found || found.value === value)) return value;
  throw new TypeError(
    `${attempt}: something stands in front of it, such as a Proxy, and answers for its ${
      String(name)
    }; wrap the database behind that, and put the Proxy in front of the wrapped one`,
  );
}

type Methods = ReadonlyMap<string, (...args: never[]) => unknown>;

const methods = new WeakMap<object, Methods>();

/** The methods of an object's classes, by the names under which it inherits them. */
export function inheritedMethods(prototype: object): Methods {
  let found = methods.get(prototype);
  if (!found) {
    const entries: [string, (...args: never[]) => unknown][] = [];
    for (let at = prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      // An object may inherit from another database, whose own properties are no methods.
      if (!Object.hasOwn(at, "constructor")) continue;
      for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
        if (typeof value === "function" && name !== "constructor") entries.push([name, value]);
      }
    }
    // The nearest one counts.
    methods.set(prototype, found = new Map(entries.reverse()));
  }
  return found;
}

/** What every database has, wherever it has it from. */
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
 * Refuses what stands in front of a database.
 *
 * @throws {TypeError} Something answers in the place of the database.
 */
export function assertItself(attempt: string, db: object): void {
  for (const name of [...ESSENTIAL, ...Reflect.ownKeys(db)]) readOwn(attempt, db, name);
  for (const [name, method] of inheritedMethods(Object.getPrototypeOf(db))) {
    readOwn(attempt, db, name, method);
  }
}
