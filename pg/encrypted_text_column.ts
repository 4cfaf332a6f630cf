/** The column type for encrypted text. */

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

/** Drizzle's column builder without the methods that an encrypted column refuses. */
export type EncryptedTextColumnBuilder = RefusingTextBuilder;

/**
 * The result of {@linkcode buildEncryptedTextColumn}: a function that creates the column, with its
 * database name as an optional argument. Its type is that of a text column.
 */
export type EncryptedTextColumn = (name?: string) => EncryptedTextColumnBuilder;

/**
 * Builds an encrypted column type: `text` in the database, `string` in TypeScript. `null` is stored
 * as `null`. Exported by `@wais/mitthooks-drizzle/pg/encryption`.
 *
 * Encryption is randomised: each write of a value stores another ciphertext; only an UPDATE of
 * several rows stores the same one in all of them. So an encrypted column cannot be compared,
 * searched, sorted or unique, and a query that tries is refused. `.default()`, `.unique()`,
 * `.primaryKey()`, `.references()`, `.array()` and `.generatedAlwaysAs()` are type errors and throw
 * when the table is built; `.$default()` and `.$onUpdate()` work.
 *
 * @param encryptionKey The key that encrypts and decrypts the column's values.
 * @returns The column type, for `pgTable` and `buildExtensionInstanceTable`.
 * @throws {TypeError} When `encryptionKey` is not a key. The original package took a `Buffer`: pass
 *   it to `importEncryptionKey` first.
 *
 * @example Two columns with different keys
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

/** The methods with which Drizzle's builders create a table's columns. */
interface Buildable {
  build(table: object): BuiltColumn;
  buildExtraConfigColumn(table: object): object;
}

/**
 * Makes a builder's columns encrypted. Works through its prototype, so copies of it do the same.
 */
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

/** A column built by Drizzle, with the effects of modifiers. */
interface BuiltColumn {
  readonly default?: unknown;
  readonly dimensions?: number;
  readonly generated?: object;
  readonly isUnique: boolean;
  readonly primary: boolean;
  /** Drizzle 1.0 only. */
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
    // Only reached without withEncryption, which encrypts values elsewhere.
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
    // Drizzle 1.0 only.
    ...toBuilder && {
      toBuilder: {
        value: (overrides?: object) => encrypting(toBuilder.call(column, overrides), key),
      },
    },
  });
}
