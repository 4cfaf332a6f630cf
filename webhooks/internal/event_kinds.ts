/** The kinds of events. Everything that differs between them stands here: a new kind is one more entry. */

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

/** What there is to know about a kind. */
export interface EventKind<E extends WebhookEvent = WebhookEvent> {
  /** Its name in mittwald's reference. */
  readonly name: E["kind"];
  /** Other spellings: mittwald's own Go library takes them as well. */
  readonly aliases: readonly string[];
  /** Reads the id of the instance. Default: a text that can be stored. */
  readonly readId?: (id: unknown, field: string) => string;
  /** The fields that it needs beyond those of every kind. */
  read(body: Fields): Omit<E, keyof WebhookEventBase | "kind">;
  /** The method of the storage that it leads to, for errors. */
  readonly operation: StorageOperation;
  /** Calls it. */
  store(storage: WebhookStorage, event: E): Promise<void> | void;
  /** What a dry run would have done. */
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
  // What no column can hold is stored nowhere, and the removal of an unknown instance has to succeed.
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

/** What there is to read in a body. */
export interface ReadEvent {
  readonly kind: EventKind;
  readonly event: WebhookEvent;
  /** The URL that the sender called, by its own account. */
  readonly targetUrl: string | undefined;
}

/**
 * Reads an event from the JSON of a verified body.
 *
 * @throws {WebhookRequestError} `ERR_UNKNOWN_KIND`, `ERR_BODY_INVALID`
 */
export function readEvent(json: unknown): ReadEvent {
  const body = readObject(json, "the body itself");
  // The version says how everything else is to be read. Without one it can only be the one that there is.
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
  // `read` adds exactly what the event of this name has beyond the base; TypeScript does not relate the two.
  return {
    kind,
    event: event as WebhookEvent,
    targetUrl: typeof targetUrl === "string" ? targetUrl : undefined,
  };
}

/** The extension that a delivery is for; `undefined` where the JSON does not say. */
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
