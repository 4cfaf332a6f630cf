/** Checks the arguments of the storage's constructor. */

import { getTableColumns, is } from "drizzle-orm";
import { PgTable } from "drizzle-orm/pg-core";
import { checkDuration, checkMethods, checkNames } from "../../../internal/check_options.ts";
import type { ExtensionInstanceTable, LastEventTable } from "../../schema.ts";
import type { ChangeHandlers, StorageLogger } from "../../storage_options.ts";
import type { ColumnKey } from "../columns/column_key.ts";
import { isOfAnotherVersion, keyOf } from "../columns/encrypted_column.ts";

const ATTEMPT = "Creating an extension storage";

/** As in the webhook handler: mittwald waits for 6 seconds. */
const TIMEOUT_MS = 5_000;

const HANDLERS = ["added", "updated", "secretRotated", "removed"] as const;

/** The columns that the storage uses in both tables. */
const COLUMNS = {
  table: [
    "id",
    "contextId",
    "context",
    "active",
    "variantKey",
    "consentedScopes",
    "secret",
    "createdAt",
    "updatedAt",
  ],
  lastEvents: ["instanceId", "kind", "createdAt", "requestIds", "calledAt"],
} as const;

/** The checked options with their defaults. */
export interface StorageSettings {
  readonly unknownInstances: "error" | "ignore";
  readonly lastEvents: LastEventTable | undefined;
  readonly on: ChangeHandlers;
  readonly timeoutMs: number;
  readonly logger: StorageLogger | undefined;
}

/**
 * Gets the key of a table's secrets.
 *
 * @throws {TypeError} When it is not a table of extension instances, or its secrets are not
 *   encrypted.
 */
export function keyOfSecrets(table: ExtensionInstanceTable): ColumnKey {
  assertColumns("table", table, "buildExtensionInstanceTable");
  const key = keyOf(table.secret);
  if (isOfAnotherVersion(table.secret)) {
    throw new TypeError(
      `${ATTEMPT}: the table was built by another version of this package, install only one copy ` +
        "(npm ls @weissaufschwarz/mitthooks-drizzle)",
    );
  }
  if (!key) {
    throw new TypeError(
      `${ATTEMPT}: the column secret of the table is not encrypted, ` +
        "build the table with buildExtensionInstanceTable and buildEncryptedTextColumn of this copy of the package",
    );
  }
  return key;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws {TypeError} When an option is invalid or unknown.
 * @throws {RangeError} When a duration is out of range.
 */
export function readStorageOptions(options: unknown): StorageSettings {
  checkNames(ATTEMPT, options, ["unknownInstances", "lastEvents", "on", "timeoutMs", "logger"]);
  const { unknownInstances = "error", lastEvents, on, logger } = options as Partial<
    StorageSettings
  >;
  const { timeoutMs = TIMEOUT_MS } = options as Partial<StorageSettings>;
  if (unknownInstances !== "error" && unknownInstances !== "ignore") {
    throw new TypeError(`${ATTEMPT}: the option unknownInstances is neither "error" nor "ignore"`);
  }
  if (lastEvents !== undefined) assertColumns("lastEvents", lastEvents, "buildLastEventTable");
  if (on !== undefined) {
    checkNames(`${ATTEMPT}: reading the option on`, on, HANDLERS);
    for (const name of HANDLERS) {
      if (on[name] !== undefined && typeof on[name] !== "function") {
        throw new TypeError(`${ATTEMPT}: the option on.${name} is not a function`);
      }
    }
    if (lastEvents === undefined) {
      throw new TypeError(`${ATTEMPT}: the option on needs the option lastEvents`);
    }
  }
  checkDuration("timeoutMs", timeoutMs);
  if (logger !== undefined) checkMethods("logger", logger, ["warn"]);
  return { unknownInstances, lastEvents, on: on ?? {}, timeoutMs, logger };
}

function assertColumns(name: keyof typeof COLUMNS, table: unknown, builder: string): void {
  const columns = is(table, PgTable) ? getTableColumns(table) : {};
  if (!COLUMNS[name].every((column) => column in columns)) {
    throw new TypeError(`${ATTEMPT}: ${name} is not a table built by ${builder}`);
  }
}
