/** Verifies a request, with the cheap checks first so that strangers cost little. */

import { BusyError, SignatureInvalidError, WebhookRequestError } from "../../errors.ts";
import type { Deadline } from "../../internal/deadline.ts";
import type { WebhookEvent } from "../events.ts";
import { BodyError, READ_BEFORE, readBody } from "../../internal/body.ts";
import { ConfigurationError } from "../../internal/configuration_error.ts";
import type { VerificationKey } from "../../internal/verification_keys.ts";
import { type EventKind, peekExtensionId, readEvent } from "./event_kinds.ts";
import { readSignature, type SignatureCheck, signatureFields } from "./signature.ts";

/** Tolerated lead of the sender's clock. A later timestamp would block genuine newer events. */
const MAX_AHEAD_MS = 5 * 60_000;
/** Share of the remaining time that fetching the key may take; the rest is for storing. */
const SHARE_FOR_KEY = 0.9;

/** The settings of the check. */
export interface VerificationSettings {
  readonly extensionId: string;
  readonly signatures: SignatureCheck;
  readonly maxBodyBytes: number;
  readonly timeoutMs: number;
  readonly maxAgeMs: number | undefined;
}

/** No `instanceof`: adapters and other realms have their own `Request`. */
export function isRequest(value: unknown): value is Request {
  try {
    const { headers, method } = (value ?? {}) as Partial<Request>;
    return typeof headers?.get === "function" && typeof method === "string";
  } catch {
    return false;
  }
}

/** What is known about a delivery so far. */
export class Delivery {
  readonly request: Request;
  serial: string | undefined;
  /** Whether its key is new here. */
  keyIsNew = false;
  /** Its signature, once verified. Identical bytes have the same signature. */
  signature: string | undefined;
  event: WebhookEvent | undefined;
  /** Whether it has signature headers, valid or not. */
  looksSigned = false;
  /**
   * A trouble that affects more than this delivery, if it kept the delivery from being verified.
   */
  trouble: Trouble | undefined;

  constructor(request: Request) {
    this.request = request;
  }
}

/**
 * Troubles of the receiver. Not reported each time, because strangers can trigger them repeatedly.
 */
export type Trouble =
  | "public keys"
  | "too many serials"
  | "body read before"
  | "request that cannot be read";

/** A delivery that passed all checks. */
export interface VerifiedDelivery {
  readonly event: WebhookEvent;
  readonly kind: EventKind;
  /** In UTF-8, it is byte for byte what was signed. */
  readonly rawBody: string;
  readonly dryRun: boolean;
}

/** Runs all checks and records the progress in `delivery`. */
export async function verifyRequest(
  delivery: Delivery,
  settings: VerificationSettings,
  deadline: Deadline,
): Promise<VerifiedDelivery> {
  const { request } = delivery;
  if (request.method !== "POST") {
    throw new WebhookRequestError("ERR_METHOD", "Receiving a webhook: the method is not POST");
  }
  const fields = signatureFields(request.headers);
  delivery.looksSigned = Boolean(fields.signatureSerial || fields.signature);
  const signature = readSignature(fields);
  delivery.serial = signature.serial;
  const { signatures } = settings;
  const key = await getKey(delivery, signature.serial, signatures, deadline);
  const bytes = await read(delivery, settings.maxBodyBytes, deadline);
  const { isNew } = await deadline.run(
    "Checking the signature of a webhook",
    () => signatures.verify(key, signature, bytes, { waitMs: waitMs(deadline) }),
  );
  delivery.keyIsNew = isNew;
  delivery.signature = signature.text;

  const rawBody = decode(bytes);
  const json = parse(rawBody);
  // First, because developers of other extensions control much of what mittwald signs for them.
  checkExtension(peekExtensionId(json), settings.extensionId);
  const { kind, event, targetUrl } = readEvent(json);
  delivery.event = event;
  checkTime(event, settings.maxAgeMs);
  const dryRun = isDryRun(request.url) || isDryRun(targetUrl);
  return { event, kind, rawBody, dryRun };
}

async function getKey(
  delivery: Delivery,
  serial: string,
  signatures: SignatureCheck,
  deadline: Deadline,
): Promise<VerificationKey> {
  try {
    const key = await deadline.run(
      "Getting the public key of a webhook",
      () => signatures.key(serial, { waitMs: waitMs(deadline) }),
    );
    delivery.keyIsNew = key.isNew;
    return key;
  } catch (error) {
    if (!(error instanceof SignatureInvalidError)) {
      delivery.trouble = error instanceof BusyError ? "too many serials" : "public keys";
    }
    throw error;
  }
}

function waitMs(deadline: Deadline): number {
  return Math.max(1, Math.floor(SHARE_FOR_KEY * deadline.remainingMs()));
}

const READING = "Reading the body of a webhook";

async function read(
  delivery: Delivery,
  maxBytes: number,
  deadline: Deadline,
): Promise<Uint8Array<ArrayBuffer>> {
  const { request } = delivery;
  try {
    const bytes = await readBody(request, maxBytes, deadline, READING);
    const { headers } = request;
    if (bytes.byteLength > 0) return bytes;
    // A body parser for Node's requests leaves an ended stream whose headers do not match.
    if (Number(headers.get("content-length")) > 0) throw new BodyError("read before", READ_BEFORE);
    // Anybody can send an empty body of this kind, so only the sender is told.
    if (headers.has("transfer-encoding")) {
      throw new BodyError("unreadable", `it is empty, or ${READ_BEFORE}`);
    }
    return bytes;
  } catch (error) {
    if (!(error instanceof BodyError)) throw error;
    if (error.reason === "unsupported") {
      throw new ConfigurationError(
        `${READING}: ${error.message}; the handler takes a Request of fetch`,
      );
    }
    if (error.reason === "read before") delivery.trouble = "body read before";
    throw new WebhookRequestError(
      error.reason === "too large" ? "ERR_BODY_TOO_LARGE" : "ERR_BODY_INVALID",
      `${READING}: ${error.message}`,
    );
  }
}

function decode(bytes: Uint8Array): string {
  try {
    // Keeps a byte order mark: the text is passed on as the signed body.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new WebhookRequestError("ERR_BODY_INVALID", `${READING}: it is not UTF-8`);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No cause: the engine's message quotes the body.
    throw new WebhookRequestError("ERR_BODY_INVALID", `${READING}: it is not JSON`);
  }
}

/** mittwald signs the deliveries of all extensions with one key. */
function checkExtension(found: string | undefined, extensionId: string): void {
  if (found === undefined || found === extensionId) return;
  throw new WebhookRequestError(
    "ERR_WRONG_EXTENSION",
    `${READING}: it is for another extension`,
  );
}

function checkTime(event: WebhookEvent, maxAgeMs: number | undefined): void {
  const ageMs = Date.now() - event.createdAt.getTime();
  if (ageMs < -MAX_AHEAD_MS) {
    throw new WebhookRequestError(
      "ERR_DELIVERY_IN_FUTURE",
      `Checking the time of a webhook: it is more than ${MAX_AHEAD_MS} ms ahead`,
    );
  }
  if (maxAgeMs !== undefined && ageMs > maxAgeMs) {
    throw new WebhookRequestError(
      "ERR_DELIVERY_TOO_OLD",
      `Checking the time of a webhook: it was created more than ${maxAgeMs} ms ago`,
    );
  }
}

/**
 * Whether a URL's query marks a dry run. The URL is either the called one, which is not signed, or
 * the one in the body, which is. Both parameters are required, so that a webhook URL configured
 * with one of them does not turn every event into a dry run.
 */
function isDryRun(url: string | undefined): boolean {
  const query = /^[^?#]*\?([^#]*)/.exec(url ?? "")?.[1];
  if (query === undefined) return false;
  const parameters = new URLSearchParams(query);
  return parameters.get("dry-run") === "true" && Boolean(parameters.get("executing-user-id"));
}
