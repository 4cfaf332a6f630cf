/** The column type that stores text encrypted. */

import { text } from "drizzle-orm/pg-core";
import { type EncryptionKey, isEncryptionKey } from "./encryption_key.ts";
import {
  describeColumn,
  markEncrypted,
  MEANS_NOTHING,
  refuse,
  writing,
} from "./internal/columns/encrypted_column.ts";
import {
  REFUSED_MODIFIERS,
  type RefusedModifiers,
  type TextBuilder,
} from "./internal/columns/column_modifiers.ts";
import { createSealedValue } from "./internal/columns/sealed_value.ts";

/** A column builder that has Drizzle's methods, but for those that an encrypted column refuses. */
export type EncryptedTextColumnBuilder = TextBuilder & RefusedModifiers;

/**
 * What {@linkcode buildEncryptedTextColumn} returns: a function that makes the column, with its database
 * name as an optional argument. Its type is that of a text column.
 */
export type EncryptedTextColumn = (name?: string) => EncryptedTextColumnBuilder;

/**
 * Builds the type of an encrypted column, from `@wais/mitthooks-drizzle/pg/encryption`. In the database it
 * is `text`, in TypeScript `string`; `null` is stored as `null`.
 *
 * Encryption is randomised: the same value is stored differently each time; only an UPDATE of several rows
 * stores one ciphertext in all of them. An encrypted column can therefore not be compared, searched, sorted
 * or made unique by its value, and a query that tries is refused.
 * `.default()`, `.unique()`, `.primaryKey()`, `.references()`, `.array()` and `.generatedAlwaysAs()` are type
 * errors, and refused when the table is built; `.$default()` and `.$onUpdate()` work.
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
  return (name) => {
    const builder = (name === undefined ? text() : text(name)) as unknown as Buildable;
    const { build } = builder;
    const properties: PropertyDescriptorMap = {
      build: { value: (table: unknown) => encrypted(build.call(builder, table), encryptionKey) },
    };
    for (const [modifier, reason] of Object.entries(REFUSED_MODIFIERS)) {
      properties[modifier] = {
        value: () => {
          throw new TypeError(
            `Building an encrypted column: .${modifier}() is refused, ${reason}`,
          );
        },
      };
    }
    return Object.defineProperties(builder, properties) as unknown as EncryptedTextColumnBuilder;
  };
}

/** Drizzle's builders make the column when the table is built. */
interface Buildable {
  build(table: unknown): object;
}

function encrypted(column: object, key: EncryptionKey): object {
  markEncrypted(column, key);
  const sealed = createSealedValue(column);
  return Object.defineProperties(column, {
    // Only reached without withEncryption, which has values of its own encoded elsewhere.
    mapToDriverValue: {
      value(value: unknown) {
        if (value === null) return null;
        if (writing()) refuse(`compares a value with ${describeColumn(column)}, ${MEANS_NOTHING}`);
        throw new TypeError(
          `Sending a value of ${describeColumn(column)}: it is not encrypted yet, ` +
            "wrap the database with withEncryption(db)",
        );
      },
    },
    mapFromDriverValue: { value: () => sealed },
  });
}
