/** The options that comparison and repair share. */

import { checkFunction } from "../../internal/check_options.ts";
import type { StorageRecovery } from "../../pg/storage_recovery.ts";

/** A storage that can be compared with mStudio: a `PgExtensionStorage`. */
export interface RecoverableStorage {
  /** Whether it tracks the order of events. */
  readonly ordersEvents: boolean;
  /** Reads and repairs its instances. */
  readonly recovery: StorageRecovery;
}

/** The options that `compareWithMstudio` and `repair` share. */
export interface ApiAccess {
  /** An API token of a member of the extension's contributor. Sent only to the API. */
  readonly apiToken: string;
  /** Base URL of mittwald's API, without a version. Default, also for `""`: `https://api.mittwald.de`. */
  readonly apiUrl?: string | URL | undefined;
  /** Makes the requests. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Aborts the operation. */
  readonly signal?: AbortSignal | undefined;
}

/** Visible ASCII: the token becomes a header's value (RFC 9110, section 5.5). */
const TOKEN = /^[\x21-\x7e]+$/;

/** Refuses invalid options. `MittwaldApi` checks its own. */
export function checkAccess(
  options: ApiAccess & { readonly storage: RecoverableStorage; readonly onProgress?: unknown },
): void {
  const { storage, apiToken, signal, onProgress } = options;
  if (typeof storage?.recovery?.list !== "function") {
    throw new TypeError("Reading the option storage: it is not a PgExtensionStorage");
  }
  if (typeof apiToken !== "string" || !TOKEN.test(apiToken)) {
    throw new TypeError("Reading the option apiToken: it is missing or not a token");
  }
  if (signal !== undefined && typeof signal?.aborted !== "boolean") {
    throw new TypeError("Reading the option signal: it is not an AbortSignal");
  }
  if (onProgress !== undefined) checkFunction("onProgress", onProgress);
}

/** Refuses anything but a non-empty string. */
export function checkExtensionId(extensionId: unknown): void {
  if (typeof extensionId !== "string" || extensionId === "") {
    throw new TypeError("Reading the option extensionId: it is missing, empty or not a string");
  }
}
