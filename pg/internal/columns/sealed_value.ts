/**
 * What an encrypted column hands to Drizzle in the place of a row's value. Drizzle decodes rows
 * synchronously and Web Crypto does not, so this stands for the plaintext until `withEncryption` decrypts
 * it. Where nobody does, it refuses every use as the string that its static type promises.
 */

import { type ColumnLike, describeColumn } from "./encrypted_column.ts";
import { showAs } from "./show_as.ts";

/** What a string can be asked for, and what serialisers and drivers ask any value for. */
const STRING_MEMBERS: ReadonlySet<PropertyKey> = new Set<PropertyKey>([
  ...Reflect.ownKeys(String.prototype).filter((member) => member !== "constructor"),
  "toJSON",
  "toPostgres",
  Symbol.toPrimitive,
]);

/** Characters of a string are read by index. */
const INDEX = /^\d+$/;

// Inspectors look through a Proxy at its target, which therefore holds nothing.
class EncryptedValue {}

showAs(EncryptedValue.prototype, "[encrypted]");

/**
 * Makes the values of a column; they hold nothing, so all of them can be the same.
 *
 * @param column For the message.
 */
export function createSealedValue(column: ColumnLike): string {
  const handler: ProxyHandler<EncryptedValue> = {
    get(target, property) {
      if (STRING_MEMBERS.has(property) || (typeof property === "string" && INDEX.test(property))) {
        throw new TypeError(
          `Reading a value of ${describeColumn(column)}: it is not decrypted yet, ` +
            "wrap the database with withEncryption(db)",
        );
      }
      return Reflect.get(target, property);
    },
  };
  // A Proxy is refused by structuredClone as well (DataCloneError). Columns are typed by what the application
  // reads in the end.
  return new Proxy(new EncryptedValue(), handler) as unknown as string;
}
