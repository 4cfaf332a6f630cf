/**
 * The value that an encrypted column returns to Drizzle for a row. Drizzle decodes rows
 * synchronously, but Web Crypto is asynchronous, so this is a placeholder until `withEncryption`
 * decrypts the value. If nothing decrypts it, it refuses every use as the string that its static
 * type promises.
 */

import { describeColumn } from "./encrypted_column.ts";
import { showAs } from "./show_as.ts";

/** The members of a string, and those that serialisers and drivers read of any value. */
const STRING_MEMBERS: ReadonlySet<PropertyKey> = new Set<PropertyKey>([
  ...Reflect.ownKeys(String.prototype).filter((member) => member !== "constructor"),
  "toJSON",
  "toPostgres",
  Symbol.toPrimitive,
]);

/** The properties of a string's characters. */
const INDEX = /^\d+$/;

// Inspectors show a Proxy's target, which is therefore empty.
class EncryptedValue {}

showAs(EncryptedValue.prototype, "[encrypted]");

/**
 * Makes the value of a column. It holds nothing, so one serves all rows.
 *
 * @param column The column, for the message.
 */
export function createSealedValue(column: object): string {
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
  // structuredClone refuses a Proxy as well (DataCloneError). The type is that of the decrypted
  // value.
  return new Proxy(new EncryptedValue(), handler) as unknown as string;
}
