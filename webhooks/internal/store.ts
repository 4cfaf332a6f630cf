/** Stores verified deliveries. */

import {
  BusyError,
  DeadlineExceededError,
  HandlerFailedError,
  StaleEventError,
  StorageError,
  type StorageOperation,
  UnknownExtensionInstanceError,
  WebhookRequestError,
} from "../../errors.ts";
import { ConfigurationError } from "../../internal/configuration_error.ts";
import { codeOf } from "../../internal/code_of.ts";
import type { Deadline } from "../../internal/deadline.ts";
import type { WebhookStorage } from "../storage.ts";
import type { StorageCalls } from "./storage_calls.ts";
import type { VerifiedDelivery } from "./verify_request.ts";

/** Stores an event. */
export async function storeEvent(
  storage: WebhookStorage,
  { event, kind }: VerifiedDelivery,
  deadline: Deadline,
  calls: StorageCalls,
): Promise<void> {
  try {
    await calls.run("Storing a webhook", deadline, () => kind.store(storage, event));
  } catch (error) {
    throw toOwnError(error, kind.operation, `Handling ${kind.name}`, event.id);
  }
}

/** Refuses a dry run of a stored instance, if the storage can read it. */
export async function checkDryRun(
  storage: WebhookStorage,
  { event, kind }: VerifiedDelivery,
  deadline: Deadline,
  calls: StorageCalls,
): Promise<void> {
  if (typeof storage.getExtension !== "function") return;
  const attempt = "Looking for the instance of a dry run";
  try {
    const stored = await calls.run(attempt, deadline, () => storage.getExtension?.(event.id));
    if (stored === undefined || stored === null) return;
  } catch (error) {
    const code = codeOf(error);
    // The instance is stored, even if its secret cannot be read.
    if (code !== "ERR_DECRYPTION_FAILED" && code !== "ERR_INVALID_CIPHERTEXT") {
      throw toOwnError(error, "getExtension", attempt, event.id);
    }
  }
  throw new WebhookRequestError(
    "ERR_NO_DRY_RUN",
    `Handling ${kind.name}: its URL marks it as a dry run, but its instance is stored`,
  );
}

function toOwnError(
  error: unknown,
  operation: StorageOperation,
  attempt: string,
  id: string,
): Error {
  if (
    error instanceof BusyError || error instanceof DeadlineExceededError ||
    error instanceof StorageError
  ) return error;
  // Compares codes: the storage may come from another copy of this package.
  switch (codeOf(error)) {
    case "ERR_UNKNOWN_INSTANCE":
      return new UnknownExtensionInstanceError(attempt, id);
    case "ERR_STALE_EVENT":
      return new StaleEventError(attempt, id);
    case "ERR_HANDLER_FAILED":
      return new HandlerFailedError((error as Error).cause);
  }
  if (error instanceof ConfigurationError) return new StorageError(operation, error, error.message);
  // Other errors may have a message that quotes the values.
  return new StorageError(operation, error);
}
