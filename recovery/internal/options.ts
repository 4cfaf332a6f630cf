/** The options that comparing and mending have in common. */

import { checkFunction } from "../../internal/check_options.ts";
import type { StorageRecovery } from "../../pg/storage_recovery.ts";

/** What is compared with mStudio: a `PgExtensionStorage`. */
export interface RecoverableStorage {
  /** Whether it keeps the order of events. */
  readonly ordersEvents: boolean;
  /** How its instances are read and mended. */
  readonly recovery: StorageRecovery;
}

/** Options of both. */
export interface ApiAccess {
  /** An API token of a member of the extension's contributor. It is sent to the API alone. */
  readonly apiToken: string;
  /** Base URL of mittwald's API, without a version. Default, also for `""`: `https://api.mittwald.de`. */
  readonly apiUrl?: string | URL | undefined;
  /** Makes the requests. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Ends the work. */
  readonly signal?: AbortSignal | undefined;
}

/** Visible ASCII: it becomes the value of a header (RFC 9110, section 5.5). */
const TOKEN = /^[\x21-\x7e]+$/;

/** Refuses options of a wrong type. What the requests need is checked where they are made. */
export function checkAccess(
  options: ApiAccess & { readonly storage: RecoverableStorage; readonly onProgress?: unknown },
): void {
  const { storage, apiToken, signal, onProgress } = options;
  if (typeof storage?.recovery?.list !== "function") {
    throw new TypeError("Reading the option storage: it is not a PgExtensionStorage");
  }
  if (typeof apiToken !== "string" || !TOKEN.test(apiToken)) {
    throw new TypeError("Reading the option apiToken: it is missing, or not a token");
  }
  if (signal !== undefined && typeof signal?.aborted !== "boolean") {
    throw new TypeError("Reading the option signal: it is not an AbortSignal");
  }
  if (onProgress !== undefined) checkFunction("onProgress", onProgress);
}

/** Refuses what cannot be an extension's id. */
export function checkExtensionId(extensionId: unknown): void {
  if (typeof extensionId !== "string" || extensionId === "") {
    throw new TypeError("Reading the option extensionId: it is missing, or not a string");
  }
}
