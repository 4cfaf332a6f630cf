/**
 * # Schema
 *
 * The tables for a mittwald extension's instances and their last events, to be added to an
 * application's Drizzle schema. The instances' table has the names and types of the npm package
 * `@weissaufschwarz/mitthooks-drizzle`: drizzle-kit generates the same DDL from both, so it needs
 * no migration. The table of last events is new.
 *
 * @example A schema file for drizzle-kit
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { getTableName } from "drizzle-orm";
 * import { buildEncryptedTextColumn, buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 * import { buildExtensionInstanceTable, buildLastEventTable } from "@wais/mitthooks-drizzle/pg/schema";
 *
 * // drizzle-kit creates the enum type only if the schema exports it.
 * export { context } from "@wais/mitthooks-drizzle/pg/schema";
 *
 * const encryptionKey = buildEncryptionKey("master password", "salt"); // from the environment
 * export const extensionInstances = buildExtensionInstanceTable(buildEncryptedTextColumn(encryptionKey));
 * export const lastEvents = buildLastEventTable();
 *
 * assertEquals(getTableName(extensionInstances), "extension_instance");
 * assertEquals(getTableName(lastEvents), "extension_instance_last_event");
 * ```
 *
 * @module
 */

import { getTableColumns, is } from "drizzle-orm";
import { boolean, pgEnum, PgTable, pgTable, text, timestamp, varchar } from "drizzle-orm/pg-core";
import { checkNames } from "../internal/check_options.ts";
import type { EncryptedTextColumn } from "./encrypted_text_column.ts";
import type {
  BuiltInColumns,
  Columns,
  ContextEnum,
  EncryptedNames,
  LastEventTableType,
  RequiredKeys,
  TableOf,
  WithEncrypted,
} from "./internal/storage/schema_types.ts";

/** Columns that an application adds, by their TypeScript names. */
export type AdditionalColumns = Columns;

/** Makes a secret's column that is not encrypted a type error with an explanation. */
export type CheckedSecret<TSecret> = TSecret extends EncryptedTextColumn ? TSecret
  : "the column of the secret has to be encrypted, pass what buildEncryptedTextColumn returned";

/** Makes columns that the storage cannot fill, or that exist already, type errors. */
export type CheckedColumns<TAdditional extends AdditionalColumns> =
  & {
    [TKey in RequiredKeys<TableOf<TAdditional>["$inferInsert"]>]:
      "a custom column must be nullable or have a default";
  }
  & {
    [TKey in keyof TAdditional & keyof BuiltInColumns]: "this column exists already";
  };

/**
 * The result of {@linkcode buildExtensionInstanceTable}, including an application's own columns. A
 * table with more columns is assignable to one with fewer.
 */
export type ExtensionInstanceTable<TAdditional extends AdditionalColumns = Record<never, never>> =
  & TableOf<BuiltInColumns & TAdditional>
  & WithEncrypted<TAdditional>;

/**
 * A row without its secret, and without the application's encrypted columns except the named ones.
 */
export type InstanceWithoutSecret<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDecrypted extends string = never,
> = Omit<
  TTable["$inferSelect"],
  "secret" | Exclude<EncryptedNames<TTable>, TDecrypted>
>;

/** The result of {@linkcode buildLastEventTable}: the last event applied to each instance. */
export interface LastEventTable extends LastEventTableType {}

/** How a table is built, and its name. */
export interface TableOptions {
  /**
   * Builds the table: `pgSchema("…").table`, a result of `pgTableCreator`, or in Drizzle 1.0
   * `pgTable.withRLS` or `snakeCase.table`. If it is set, this package's columns have their
   * documented names whatever the casing. Default: `pgTable`.
   */
  readonly table?: ((name: string, columns: never) => unknown) | undefined;
  /** The table's name in the database. */
  readonly name?: string | undefined;
}

/**
 * The PostgreSQL enum type `context`: whether an instance belongs to a customer or a project.
 * Export it from the schema file, otherwise drizzle-kit does not create it. Exported by
 * `@wais/mitthooks-drizzle/pg/schema`.
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
 * Builds the table `extension_instance`. Exported by `@wais/mitthooks-drizzle/pg/schema`.
 *
 * | column | in the database | content |
 * | --- | --- | --- |
 * | `id` | `"id" varchar(36)`, primary key | the instance's id |
 * | `contextId` | `"contextId" varchar(36)` | id of its customer or project |
 * | `context` | `"context"`, default `'project'` | whether that is a customer or a project |
 * | `active` | `"active" boolean` | whether it is enabled |
 * | `variantKey` | `"variant_key" text` | the booked variant, or null |
 * | `consentedScopes` | `"consented_scopes" text[]` | the consented scopes |
 * | `secret` | `"secret" text` | the instance's secret, encrypted |
 * | `createdAt`, `updatedAt` | `"createdAt"`, `"updatedAt" timestamp` | UTC |
 *
 * @param secretColumn The type of the `secret` column.
 * @param additionalColumns The application's own columns, with their types. Webhooks do not fill
 *   them, so each must be nullable or have a default. Their names must differ from those above.
 * @returns The table.
 * @param options How to build the table, and a name other than `extension_instance`.
 * @throws {TypeError} When an additional column is neither nullable nor has a default, or its name
 *   in TypeScript or in the database is taken, or an option is invalid or unknown.
 *
 * @example Add your own columns
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
  TSecret = EncryptedTextColumn,
>(
  secretColumn: CheckedSecret<TSecret>,
  additionalColumns?: TAdditional & CheckedColumns<TAdditional>,
  options: TableOptions = {},
): ExtensionInstanceTable<TAdditional> {
  const attempt = "Building the extension instance table";
  assertTableOptions(attempt, options);
  // As in the original package, some columns have an explicit name and Drizzle names the others:
  // with its `casing`, that decides the name in the database. With the option `table` there is no
  // original to match, and the application's casing must not change these names.
  const builtIn = {
    id: varchar("id", { length: 36 }).primaryKey(),
    ...options.table === undefined
      ? {
        contextId: varchar({ length: 36 }).notNull(),
        context: context().notNull().default("project"),
        active: boolean().notNull(),
      }
      : {
        contextId: varchar("contextId", { length: 36 }).notNull(),
        context: context("context").notNull().default("project"),
        active: boolean("active").notNull(),
      },
    variantKey: text("variant_key"),
    consentedScopes: text("consented_scopes").array().notNull(),
    ...options.table === undefined
      ? {
        secret: (secretColumn as EncryptedTextColumn)(),
        createdAt: timestamp().defaultNow().notNull(),
        updatedAt: timestamp().defaultNow().$onUpdate(() => new Date()).notNull(),
      }
      : {
        secret: (secretColumn as EncryptedTextColumn)("secret"),
        createdAt: timestamp("createdAt").defaultNow().notNull(),
        updatedAt: timestamp("updatedAt").defaultNow().$onUpdate(() => new Date()).notNull(),
      },
  };
  const additional: AdditionalColumns = additionalColumns ?? {};
  for (const name of Object.keys(additional)) {
    if (name in builtIn) throw invalidColumn(name, "this column exists already");
  }
  const table = buildTable(attempt, options, "extension_instance", { ...builtIn, ...additional });
  assertFillable(table, Object.keys(additional));
  return table as unknown as ExtensionInstanceTable<TAdditional>;
}

/**
 * Builds the table `extension_instance_last_event`: the last event applied to each instance. With
 * it, `PgExtensionStorage` refuses late and repeated events. It keeps the row of a removed instance
 * until `forgetRemoved` is called. Exported by `@wais/mitthooks-drizzle/pg/schema`.
 *
 * | column | in the database | content |
 * | --- | --- | --- |
 * | `instanceId` | `"instance_id" varchar(36)`, primary key | the instance's id |
 * | `kind` | `"kind" text` | kind of the event, in mittwald's spelling |
 * | `createdAt` | `"created_at" timestamptz` | when mittwald signed the newest applied event; 1970 before the first one |
 * | `requestIds` | `"request_ids" text[]`, default `'{}'` | ids of the signed requests applied at that time |
 * | `calledAt` | `"called_at" timestamptz` | when the storage was last called without an event's time, or null |
 *
 * @param options How to build the table, and a name other than `extension_instance_last_event`.
 * @returns The table.
 * @throws {TypeError} When an option is invalid or unknown.
 *
 * @example In a PostgreSQL schema
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { getTableConfig, pgSchema } from "drizzle-orm/pg-core";
 * import { buildLastEventTable } from "@wais/mitthooks-drizzle/pg/schema";
 *
 * const lastEvents = buildLastEventTable({ table: pgSchema("extension").table, name: "last_event" });
 *
 * const { schema, name } = getTableConfig(lastEvents);
 * assertEquals([schema, name], ["extension", "last_event"]);
 * ```
 */
export function buildLastEventTable(options: TableOptions = {}): LastEventTable {
  const attempt = "Building the table of last events";
  assertTableOptions(attempt, options);
  return buildTable(attempt, options, "extension_instance_last_event", {
    instanceId: varchar("instance_id", { length: 36 }).primaryKey(),
    kind: text("kind").notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull(),
    requestIds: text("request_ids").array().notNull().default([]),
    calledAt: timestamp("called_at", { withTimezone: true }),
  }) as unknown as LastEventTable;
}

function assertTableOptions(attempt: string, options: TableOptions): void {
  checkNames(attempt, options, ["table", "name"]);
  const { table, name } = options;
  if (table !== undefined && typeof table !== "function") {
    throw new TypeError(`${attempt}: the option table is not a function`);
  }
  if (name !== undefined && (typeof name !== "string" || name === "")) {
    throw new TypeError(`${attempt}: the option name is empty or not a string`);
  }
}

function buildTable(
  attempt: string,
  { table = pgTable, name }: TableOptions,
  defaultName: string,
  columns: Columns,
): PgTable {
  const built = table(name ?? defaultName, columns as never);
  if (!is(built, PgTable)) {
    throw new TypeError(
      `${attempt}: the option table does not build a PostgreSQL table of Drizzle`,
    );
  }
  return built;
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
