/** The kinds of events and all their differences: a new kind is one more entry. */

import { type StorageOperation, WebhookRequestError } from "../../errors.ts";
import type {
  ExtensionAddedToContextEvent,
  InstanceRemovedFromContextEvent,
  InstanceState,
  InstanceUpdatedEvent,
  SecretRotatedEvent,
  WebhookEvent,
  WebhookEventBase,
} from "../events.ts";
import type { InstanceDetails, WebhookStorage } from "../storage.ts";
import {
  type Fields,
  invalidField,
  isStorable,
  readAnyText,
  readObject,
  readOptionalText,
  readSecret,
  readText,
  readTexts,
  readTime,
} from "./fields.ts";

/** The properties of a kind. */
export interface EventKind<E extends WebhookEvent = WebhookEvent> {
  /** Its name in mittwald's reference. */
  readonly name: E["kind"];
  /** Other spellings, which mittwald's Go library accepts, too. */
  readonly aliases: readonly string[];
  /** Reads the instance's id. Default: a storable text. */
  readonly readId?: (id: unknown, field: string) => string;
  /** Reads the fields that this kind has in addition. */
  read(body: Fields): Omit<E, keyof WebhookEventBase | "kind">;
  /** The storage's method for this kind, for errors. */
  readonly operation: StorageOperation;
  /** Calls that method. */
  store(storage: WebhookStorage, event: E): Promise<void> | void;
  /** What would have happened without a dry run. */
  readonly would: string;
}

const extensionAddedToContext: EventKind<ExtensionAddedToContextEvent> = {
  name: "ExtensionAddedToContext",
  aliases: [],
  read: (body) => ({ ...readState(body), secret: readSecret(body["secret"], "secret") }),
  operation: "upsertExtension",
  store: (storage, event) =>
    storage.upsertExtension({ ...toExtension(event), secret: event.secret }),
  would: "the instance would have been stored",
};

const instanceUpdated: EventKind<InstanceUpdatedEvent> = {
  name: "InstanceUpdated",
  aliases: ["ExtensionInstanceUpdated"],
  read: readState,
  operation: "updateExtension",
  store: (storage, event) => storage.updateExtension(toExtension(event)),
  would: "the stored instance would have been updated",
};

const secretRotated: EventKind<SecretRotatedEvent> = {
  name: "SecretRotated",
  aliases: ["ExtensionInstanceSecretRotated"],
  read: (body) => ({ secret: readSecret(body["secret"], "secret") }),
  operation: "rotateSecret",
  store: (storage, event) => storage.rotateSecret(event.id, event.secret, timeOf(event)),
  would: "the secret of the stored instance would have been replaced",
};

const instanceRemovedFromContext: EventKind<InstanceRemovedFromContextEvent> = {
  name: "InstanceRemovedFromContext",
  aliases: ["ExtensionInstanceRemovedFromContext"],
  readId: readAnyText,
  read: () => ({}),
  operation: "removeInstance",
  // An id that cannot be stored is unknown, and removing an unknown instance succeeds.
  store: (storage, event) =>
    isStorable(event.id) ? storage.removeInstance(event.id, timeOf(event)) : undefined,
  would: "the stored instance would have been removed",
};

const KINDS: readonly EventKind[] = [
  extensionAddedToContext,
  instanceUpdated,
  secretRotated,
  instanceRemovedFromContext,
];

const KIND_OF_NAME: ReadonlyMap<unknown, EventKind> = new Map(
  KINDS.flatMap((kind) => [kind.name, ...kind.aliases].map((name) => [name, kind] as const)),
);

const API_VERSION = "v1";

/** The content of a body. */
export interface ReadEvent {
  readonly kind: EventKind;
  readonly event: WebhookEvent;
  /** The URL that the sender claims to have called. */
  readonly targetUrl: string | undefined;
}

/**
 * Reads an event from the JSON of a verified body.
 *
 * @throws {WebhookRequestError} `ERR_UNKNOWN_KIND`, `ERR_BODY_INVALID`
 */
export function readEvent(json: unknown): ReadEvent {
  const body = readObject(json, "the body itself");
  // The version determines how to read the rest. So far there is only one.
  const version = readOptionalText(body["apiVersion"], "apiVersion") ?? API_VERSION;
  if (version !== API_VERSION) throw unknown("apiVersion", version);
  const name = readText(body["kind"], "kind");
  const kind = KIND_OF_NAME.get(name);
  if (kind === undefined) throw unknown("kind", name);

  const request = readObject(body["request"], "request");
  const requestId = request["id"];
  const targetUrl = (request["target"] as Fields | null | undefined)?.["url"];
  const event = {
    kind: kind.name,
    id: (kind.readId ?? readText)(body["id"], "id"),
    extensionId: readExtensionId(body),
    createdAt: readTime(request["createdAt"], "request.createdAt"),
    requestId: typeof requestId === "string" && isStorable(requestId) ? requestId : undefined,
    ...kind.read(body),
  };
  // `read` returns the additional properties of this kind, which TypeScript cannot infer.
  return {
    kind,
    event: event as WebhookEvent,
    targetUrl: typeof targetUrl === "string" ? targetUrl : undefined,
  };
}

/** The extension of a delivery; `undefined` if the JSON does not name one. */
export function peekExtensionId(json: unknown): string | undefined {
  try {
    return readExtensionId(readObject(json, "the body itself"));
  } catch {
    return undefined;
  }
}

function readExtensionId(body: Fields): string {
  return readAnyText(readObject(body["meta"], "meta")["extensionId"], "meta.extensionId");
}

function timeOf({ createdAt, requestId }: WebhookEvent) {
  return { occurredAt: createdAt, ...requestId !== undefined && { requestId } };
}

function unknown(field: string, value: string): WebhookRequestError {
  return new WebhookRequestError(
    "ERR_UNKNOWN_KIND",
    `Reading the body of a webhook: its ${field}${
      /^\w{1,64}$/.test(value) ? ` ${value}` : ""
    } is not known to this version`,
  );
}

function readState(body: Fields): InstanceState {
  const context = readObject(body["context"], "context");
  const kind = context["kind"];
  if (kind !== "customer" && kind !== "project") throw invalidField("context.kind");
  return {
    context: { id: readText(context["id"], "context.id"), kind },
    consentedScopes: readTexts(body["consentedScopes"], "consentedScopes"),
    enabled: readEnabled(body["state"]),
    variantKey: readOptionalText(body["variantKey"], "variantKey"),
  };
}

function readEnabled(state: unknown): boolean {
  if (state === undefined || state === null) return true;
  const enabled = readObject(state, "state")["enabled"] ?? true;
  if (typeof enabled !== "boolean") throw invalidField("state.enabled");
  return enabled;
}

function toExtension(event: ExtensionAddedToContextEvent | InstanceUpdatedEvent) {
  const extension: InstanceDetails & {
    extensionInstanceId: string;
    contextId: string;
    consentedScopes: string[];
    variantKey?: string;
  } = {
    extensionInstanceId: event.id,
    contextId: event.context.id,
    context: event.context.kind,
    consentedScopes: [...event.consentedScopes],
    enabled: event.enabled,
    ...timeOf(event),
  };
  if (event.variantKey !== null) extension.variantKey = event.variantKey;
  return extension;
}
