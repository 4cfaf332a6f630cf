/** The column type that stores text encrypted. */

import { customType } from "drizzle-orm/pg-core";
import { type EncryptionKey, isEncryptionKey } from "./encryption_key.ts";
import { PendingCiphertext } from "./internal/pending_ciphertext.ts";
import { createSealedValue } from "./internal/sealed_value.ts";
import { assertStorableText } from "./internal/well_formed.ts";

/**
 * What {@linkcode buildEncryptedTextColumn} returns: a function that makes the column, with its database
 * name as an optional argument, typed as `string`.
 */
export type EncryptedTextColumn = ReturnType<typeof customType<{ data: string }>>;

/** Column modifiers that an encrypted column has to refuse, and why. */
const REFUSED = {
  array: "an array of encrypted texts is not supported",
  default: "the default would stand unencrypted in the migration, use $default",
  generatedAlwaysAs: "the database cannot encrypt, use $default or $onUpdate",
} as const;

/**
 * Builds the type of an encrypted column, from `@wais/mitthooks-drizzle/pg/encryption`. In the database it
 * is `text`, in TypeScript `string`; `null` is stored as `null`.
 *
 * Encryption is randomised: the same value is stored differently each time. An encrypted column can
 * therefore not be compared, searched or sorted by its value, and a query that tries is refused.
 * `.default()`, `.array()` and `.generatedAlwaysAs()` are refused when the table is built; `.$default()`
 * and `.$onUpdate()` work.
 *
 * @param encryptionKey The key that the column's values are written under and read with.
 * @returns The column type, for `pgTable` and `buildExtensionInstanceTable`.
 * @throws {TypeError} `encryptionKey` is no key. The original package took a `Buffer` here: give it to
 * `importEncryptionKey` first.
 *
 * @example Two columns under two keys
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { getTableColumns } from "drizzle-orm";
 * import { pgTable, serial } from "drizzle-orm/pg-core";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 *
 * const phone = buildEncryptedTextColumn(buildEncryptionKey("one password", "salt"));
 * const token = buildEncryptedTextColumn(buildEncryptionKey("another password", "salt"));
 *
 * const people = pgTable("person", { id: serial().primaryKey(), phone: phone(), token: token("api_token") });
 * assertEquals(getTableColumns(people).token.getSQLType(), "text");
 * ```
 */
export function buildEncryptedTextColumn(encryptionKey: EncryptionKey): EncryptedTextColumn {
  if (!isEncryptionKey(encryptionKey)) {
    throw new TypeError(
      "Building an encrypted column: encryptionKey is not an encryption key" +
        (encryptionKey as unknown instanceof Uint8Array
          ? ", pass its bytes to importEncryptionKey"
          : ""),
    );
  }
  const column = customType<{ data: string }>({
    dataType: () => "text",
    // A placeholder's value comes here without Drizzle's own check for null.
    toDriver(value: string | null) {
      if (value === null) return null;
      assertStorableText(value);
      return new PendingCiphertext(encryptionKey, value);
    },
    fromDriver: (stored) => createSealedValue(encryptionKey, stored),
  });
  const buildColumn = (...args: Parameters<typeof column>) => {
    const builder = column(...args);
    for (const [modifier, reason] of Object.entries(REFUSED)) {
      Object.defineProperty(builder, modifier, {
        value: () => {
          throw new TypeError(`Building an encrypted column: .${modifier}() is refused, ${reason}`);
        },
      });
    }
    return builder;
  };
  return buildColumn as typeof column;
}
