/**
 * # Schema
 *
 * The table that keeps a mittwald extension's instances, to be added to an application's own Drizzle
 * schema. Names and types are those of the npm package `@weissaufschwarz/mitthooks-drizzle`: drizzle-kit
 * generates the same DDL from both, so there is nothing to migrate.
 *
 * @example A schema file for drizzle-kit
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { getTableName } from "drizzle-orm";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { buildExtensionInstanceTable } from "@wais/mitthooks-drizzle/pg/schema";
 *
 * // drizzle-kit creates the enum type only if the schema exports it.
 * export { context } from "@wais/mitthooks-drizzle/pg/schema";
 *
 * const encryptionKey = buildEncryptionKey("master password", "salt"); // from the environment
 * export const extensionInstances = buildExtensionInstanceTable(buildEncryptedTextColumn(encryptionKey));
 *
 * assertEquals(getTableName(extensionInstances), "extension_instance");
 * ```
 *
 * @module
 */

import { getTableColumns } from "drizzle-orm";
import { boolean, pgEnum, pgTable, text, timestamp, varchar } from "drizzle-orm/pg-core";
import type { EncryptedTextColumn } from "./encrypted_text_column.ts";
import type {
  BuiltInColumns,
  Columns,
  ContextEnum,
  RequiredKeys,
  TableOf,
} from "./internal/schema_types.ts";

/** Columns that an application adds, by their names in TypeScript. */
export type AdditionalColumns = Columns;

/** Turns columns that the storage could not fill, or that exist already, into type errors. */
export type CheckedColumns<TAdditional extends AdditionalColumns> =
  & {
    [TKey in RequiredKeys<TableOf<TAdditional>["$inferInsert"]>]:
      "a custom column must be nullable or have a default";
  }
  & {
    [TKey in keyof TAdditional & keyof BuiltInColumns]: "this column exists already";
  };

/**
 * The table that {@linkcode buildExtensionInstanceTable} builds, with an application's own columns if it
 * has some. A table with more columns can be used wherever one with fewer is asked for.
 */
export type ExtensionInstanceTable<TAdditional extends AdditionalColumns = Record<never, never>> =
  TableOf<BuiltInColumns & TAdditional>;

/**
 * What an extension instance belongs to, from `@wais/mitthooks-drizzle/pg/schema`: the PostgreSQL enum type
 * `context`. Export it from the schema file, otherwise drizzle-kit does not create it.
 *
 * @example Its values
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { context } from "@wais/mitthooks-drizzle/pg/schema";
 *
 * assertEquals(context.enumValues, ["customer", "project"]);
 * ```
 */
export const context: ContextEnum = pgEnum("context", ["customer", "project"]);

/**
 * Builds the table `extension_instance`, from `@wais/mitthooks-drizzle/pg/schema`.
 *
 * | column | in the database | content |
 * | --- | --- | --- |
 * | `id` | `"id" varchar(36)`, primary key | id of the instance |
 * | `contextId` | `"contextId" varchar(36)` | id of the customer or project it belongs to |
 * | `context` | `"context"`, default `'project'` | which of the two |
 * | `active` | `"active" boolean` | whether it is enabled |
 * | `variantKey` | `"variant_key" text` | the booked variant, or null |
 * | `consentedScopes` | `"consented_scopes" text[]` | scopes that were consented to |
 * | `secret` | `"secret" text` | the instance's secret, encrypted |
 * | `createdAt`, `updatedAt` | `"createdAt"`, `"updatedAt" timestamp` | UTC |
 *
 * @param secretColumn The type of the `secret` column.
 * @param additionalColumns Columns of the application's own. Webhooks do not fill them, so each must be
 * nullable or have a default, and its name must not be one of the above. Their types are kept.
 * @returns The table.
 * @throws {TypeError} An additional column can neither be null nor has a default, or its name, in
 * TypeScript or in the database, is taken.
 *
 * @example Columns of your own
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { integer, text } from "drizzle-orm/pg-core";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { buildExtensionInstanceTable } from "@wais/mitthooks-drizzle/pg/schema";
 *
 * const extensionInstances = buildExtensionInstanceTable(
 *   buildEncryptedTextColumn(buildEncryptionKey("master password", "salt")),
 *   { note: text(), logins: integer().default(0).notNull() },
 * );
 *
 * const row: Partial<typeof extensionInstances.$inferSelect> = { note: null, logins: 1 };
 * assertEquals(row.logins, 1);
 * ```
 */
export function buildExtensionInstanceTable<
  TAdditional extends AdditionalColumns = Record<never, never>,
>(
  secretColumn: EncryptedTextColumn,
  additionalColumns?: TAdditional & CheckedColumns<TAdditional>,
): ExtensionInstanceTable<TAdditional> {
  // Which columns have a name of their own and which are named by Drizzle is as in the original package: with
  // Drizzle's `casing` it decides about the name in the database.
  const builtIn = {
    id: varchar("id", { length: 36 }).primaryKey(),
    contextId: varchar({ length: 36 }).notNull(),
    context: context().notNull().default("project"),
    active: boolean().notNull(),
    variantKey: text("variant_key"),
    consentedScopes: text("consented_scopes").array().notNull(),
    secret: secretColumn(),
    createdAt: timestamp().defaultNow().notNull(),
    updatedAt: timestamp().defaultNow().$onUpdate(() => new Date()).notNull(),
  };
  const additional: AdditionalColumns = additionalColumns ?? {};
  for (const name of Object.keys(additional)) {
    if (name in builtIn) throw invalidColumn(name, "this column exists already");
  }
  const table = pgTable("extension_instance", { ...builtIn, ...additional });
  assertFillable(table, Object.keys(additional));
  return table as unknown as ExtensionInstanceTable<TAdditional>;
}

function assertFillable(table: Parameters<typeof getTableColumns>[0], additional: string[]): void {
  const columns = getTableColumns(table);
  const names = new Map<string, string>();
  for (const [property, column] of Object.entries(columns)) {
    const taken = names.get(column.name);
    if (taken !== undefined) {
      throw invalidColumn(property, `its database name is taken by ${taken}`);
    }
    names.set(column.name, property);
  }
  for (const property of additional) {
    const column = columns[property]!;
    const filled = column.hasDefault || column.generated !== undefined ||
      column.generatedIdentity !== undefined || column.onUpdateFn !== undefined;
    if (column.notNull && !filled) {
      throw invalidColumn(property, "it must be nullable or have a default");
    }
  }
}

function invalidColumn(property: string, found: string): TypeError {
  return new TypeError(
    `Building the extension instance table: custom column ${JSON.stringify(property)}: ${found}`,
  );
}
