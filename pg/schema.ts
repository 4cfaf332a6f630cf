/**
 * # Schema
 *
 * The tables that keep a mittwald extension's instances and their last events, to be added to an application's
 * own Drizzle schema. The names and types of the instances' table are those of the npm package
 * `@weissaufschwarz/mitthooks-drizzle`: drizzle-kit generates the same DDL from both, so nothing of it has to be
 * migrated. The table of last events is new.
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

/** Columns that an application adds, by their names in TypeScript. */
export type AdditionalColumns = Columns;

/** Turns a column of the secret that is not encrypted into a type error that says so. */
export type CheckedSecret<TSecret> = TSecret extends EncryptedTextColumn ? TSecret
  : "the column of the secret has to be encrypted, pass what buildEncryptedTextColumn returned";

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
  & TableOf<BuiltInColumns & TAdditional>
  & WithEncrypted<TAdditional>;

/**
 * A row of a table without its secret, and without the application's own encrypted columns but for those that are named.
 */
export type InstanceWithoutSecret<
  TTable extends ExtensionInstanceTable = ExtensionInstanceTable,
  TDecrypted extends string = never,
> = Omit<
  TTable["$inferSelect"],
  "secret" | Exclude<EncryptedNames<TTable>, TDecrypted>
>;

/**
 * The table that {@linkcode buildLastEventTable} builds: of each instance the last event that was applied.
 */
export interface LastEventTable extends LastEventTableType {}

/** Where a table is built, and under which name. */
export interface TableOptions {
  /**
   * What builds the table: `pgSchema("…").table`, a function that `pgTableCreator` made, or, of Drizzle 1.0,
   * `pgTable.withRLS` and `snakeCase.table`. Default: `pgTable`. With it the columns of this package have the names
   * that are documented, whatever the casing.
   */
  readonly table?: ((name: string, columns: never) => unknown) | undefined;
  /** The table's name in the database. */
  readonly name?: string | undefined;
}

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
 * @param options Another way to build the table, and another name than `extension_instance`.
 * @throws {TypeError} An additional column can neither be null nor has a default, or its name, in
 * TypeScript or in the database, is taken. An option is unknown or of the wrong type.
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
  TSecret = EncryptedTextColumn,
>(
  secretColumn: CheckedSecret<TSecret>,
  additionalColumns?: TAdditional & CheckedColumns<TAdditional>,
  options: TableOptions = {},
): ExtensionInstanceTable<TAdditional> {
  const attempt = "Building the extension instance table";
  assertTableOptions(attempt, options);
  // Which columns have a name of their own and which are named by Drizzle is as in the original package: with
  // Drizzle's `casing` it decides about the name in the database. Where the application chooses what builds the
  // table there is no original to be like, and its casing must not reach these names.
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
 * Builds the table `extension_instance_last_event`, from `@wais/mitthooks-drizzle/pg/schema`: of each instance the
 * last event that was applied. `PgExtensionStorage` needs it to refuse what arrives late or again, and keeps the row of
 * a removed instance until `forgetRemoved` is called.
 *
 * | column | in the database | content |
 * | --- | --- | --- |
 * | `instanceId` | `"instance_id" varchar(36)`, primary key | id of the instance |
 * | `kind` | `"kind" text` | kind of the event, as mittwald calls it |
 * | `createdAt` | `"created_at" timestamptz` | when mittwald signed the newest event that was applied; 1970 before the first |
 * | `requestIds` | `"request_ids" text[]`, default `'{}'` | ids of the signed requests that were applied at that time |
 * | `calledAt` | `"called_at" timestamptz` | when the storage was last called without the time of an event, or null |
 *
 * @param options Another way to build the table, and another name than `extension_instance_last_event`.
 * @returns The table.
 * @throws {TypeError} An option is unknown or of the wrong type.
 *
 * @example In a schema of PostgreSQL
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
    throw new TypeError(`${attempt}: the option name is not a string, or empty`);
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
