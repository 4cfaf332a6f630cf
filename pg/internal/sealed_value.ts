/**
 * What an encrypted column hands to Drizzle in the place of a row's value. Drizzle decodes rows
 * synchronously and Web Crypto does not, so this stands for the plaintext until `withEncryption` decrypts
 * it. Where nobody does, it refuses every use as the string that its static type promises.
 */

import type { EncryptionKey } from "../encryption_key.ts";

const REMEDY =
  "Reading an encrypted column's value: it is not decrypted yet, wrap the database with withEncryption(db)";

/** Shown by `console.log` in the place of the value. */
const SHOWN_AS = "[encrypted]";

/** What a string can be asked for, and what serialisers and drivers ask any value for. */
const STRING_MEMBERS: ReadonlySet<PropertyKey> = new Set<PropertyKey>([
  ...Reflect.ownKeys(String.prototype).filter((member) => member !== "constructor"),
  "toJSON",
  "toPostgres",
  Symbol.toPrimitive,
]);

/** Characters of a string are read by index. */
const INDEX = /^\d+$/;

/** The stored text and the key that its column reads with. */
export interface Sealed {
  readonly key: EncryptionKey;
  readonly stored: unknown;
}

// Inspectors look through a Proxy at its target, which therefore holds nothing.
class EncryptedValue {
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return SHOWN_AS;
  }

  [Symbol.for("Deno.customInspect")](): string {
    return SHOWN_AS;
  }
}

const contents = new WeakMap<object, Sealed>();
let created = 0;

// A Proxy is refused by structuredClone as well (DataCloneError).
const handler: ProxyHandler<EncryptedValue> = {
  get(target, property) {
    if (STRING_MEMBERS.has(property) || (typeof property === "string" && INDEX.test(property))) {
      throw new TypeError(REMEDY);
    }
    return Reflect.get(target, property);
  },
};

/** Wraps a stored text. */
export function createSealedValue(key: EncryptionKey, stored: unknown): string {
  const value = new Proxy(new EncryptedValue(), handler);
  contents.set(value, { key, stored });
  created++;
  // Columns are typed by what the application reads in the end.
  return value as unknown as string;
}

/** What was wrapped, or `undefined` for any other value. */
export function readSealedValue(value: object): Sealed | undefined {
  return contents.get(value);
}

/** How many were created so far: unchanged across a query means that its result holds none. */
export function sealedValuesCreated(): number {
  return created;
}
