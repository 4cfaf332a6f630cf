/** The column type that stores text encrypted. */

import { text } from "drizzle-orm/pg-core";
import { kindOf } from "../internal/kind_of.ts";
import { isEncryptionKey } from "./encryption_key.ts";
import type { EncryptionKey } from "./interfaces.ts";
import {
  describeColumn,
  markEncrypted,
  refuseUse,
  writing,
} from "./internal/columns/encrypted_column.ts";
import {
  checkKeysOf,
  REFUSED_MODIFIERS,
  refusedIndex,
  type RefusingTextBuilder,
} from "./internal/columns/column_modifiers.ts";
import { createSealedValue } from "./internal/columns/sealed_value.ts";

/** A column builder that has Drizzle's methods, but for those that an encrypted column refuses. */
export type EncryptedTextColumnBuilder = RefusingTextBuilder;

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
        (kindOf(encryptionKey) === "Uint8Array" ? ", pass its bytes to importEncryptionKey" : ""),
    );
  }
  return (name) =>
    encrypting(name === undefined ? text() : text(name), encryptionKey) as RefusingTextBuilder;
}

/** What Drizzle's builders make the columns of a table with. */
interface Buildable {
  build(table: object): BuiltColumn;
  buildExtraConfigColumn(table: object): object;
}

/** A builder whose columns are encrypted; so are those of its copies, because all of it is in its prototype. */
function encrypting(builder: object, key: EncryptionKey): object {
  const prototype: Buildable = Object.getPrototypeOf(builder);
  const members: PropertyDescriptorMap = {
    build: {
      value(table: object) {
        checkKeysOf(table);
        return encrypted(prototype.build.call(this, table), key);
      },
    },
    buildExtraConfigColumn: {
      value(table: object) {
        const column = prototype.buildExtraConfigColumn.call(this, table);
        return markEncrypted(column, key, { indexConfig: refusedIndex });
      },
    },
  };
  for (const modifier of MODIFIERS) members[modifier] = { value: () => refuseModifier(modifier) };
  return Object.setPrototypeOf(builder, Object.create(prototype, members));
}

type Modifier = keyof typeof REFUSED_MODIFIERS;

const MODIFIERS = Object.keys(REFUSED_MODIFIERS) as Modifier[];

function refuseModifier(modifier: Modifier): never {
  const reason = REFUSED_MODIFIERS[modifier];
  throw new TypeError(`Building an encrypted column: .${modifier}() is refused, ${reason}`);
}

/** What Drizzle makes of a builder, and what its modifiers leave there. */
interface BuiltColumn {
  readonly default?: unknown;
  readonly dimensions?: number;
  readonly generated?: object;
  readonly isUnique: boolean;
  readonly primary: boolean;
  /** Of Drizzle 1.0. */
  toBuilder?(overrides?: object): object;
}

function encrypted(column: BuiltColumn, key: EncryptionKey): object {
  const { toBuilder } = column;
  if (column.default !== undefined) refuseModifier("default");
  if (column.dimensions) refuseModifier("array");
  if (column.generated) refuseModifier("generatedAlwaysAs");
  if (column.isUnique) refuseModifier("unique");
  if (column.primary) refuseModifier("primaryKey");
  const sealed = createSealedValue(column);
  return markEncrypted(column, key, {
    // Only reached without withEncryption, which has values of its own encoded elsewhere.
    mapToDriverValue: {
      value(value: unknown) {
        if (value === null) return null;
        if (writing()) refuseUse(column, "compares a value with");
        throw new TypeError(
          `Sending a value of ${describeColumn(column)}: it is not encrypted yet, ` +
            "wrap the database with withEncryption(db)",
        );
      },
    },
    mapFromDriverValue: { value: () => sealed },
    // Of Drizzle 1.0.
    ...toBuilder && {
      toBuilder: {
        value: (overrides?: object) => encrypting(toBuilder.call(column, overrides), key),
      },
    },
  });
}
