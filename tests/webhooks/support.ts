/**
 * What the webhook tests share: a sender that signs whatever it is told to, and a handler with a storage in memory.
 *
 * @module
 */

import { encodeBase64 } from "@std/encoding";
import { assertEquals } from "@std/assert";
import {
  createWebhookHandler,
  type MitthooksDrizzleError,
  UnknownPublicKeyError,
  type WebhookErrorDetails,
  type WebhookHandlerOptions,
  type WebhookResponseBody,
} from "../../webhooks/mod.ts";
import { MemoryStorage } from "../support/memory_storage.ts";

export const EXTENSION_ID = "extension-1";
export const SECRET = "the-secret-of-the-delivery-ÄÖÜ-1";
export const KINDS = [
  "ExtensionAddedToContext",
  "InstanceUpdated",
  "SecretRotated",
  "InstanceRemovedFromContext",
] as const;
export type Kind = typeof KINDS[number];

export const URL_OF_WEBHOOK = "https://extension.example/webhooks";
export const DRY_RUN_URL = `${URL_OF_WEBHOOK}?dry-run=true&executing-user-id=u-1`;

export type Payload = Record<string, unknown>;

/** A key pair and its serial. */
export interface Signer {
  serial: string;
  publicKey: string;
  sign(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  headers(body: Uint8Array<ArrayBuffer>): Promise<Record<string, string>>;
}

export async function createSigner(serial: string = crypto.randomUUID()): Promise<Signer> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const publicKey = encodeBase64(await crypto.subtle.exportKey("raw", pair.publicKey));
  const sign = async (body: Uint8Array<ArrayBuffer>) =>
    new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, body));
  return {
    serial,
    publicKey,
    sign,
    headers: async (body) => signatureHeaders(serial, encodeBase64(await sign(body))),
  };
}

export function signatureHeaders(serial: string, signature: string): Record<string, string> {
  return {
    "X-Marketplace-Signature-Serial": serial,
    "X-Marketplace-Signature-Algorithm": "Ed25519",
    "X-Marketplace-Signature": signature,
  };
}

/** Headers of the right form, with a signature that fits no body. */
export const WELL_FORMED: Record<string, string> = signatureHeaders(
  "serial-1",
  btoa("\0".repeat(64)),
);

/** The field `request` of a payload, made at a given time. */
export function requestOf(createdAt: string): Payload {
  return { request: { id: "r", createdAt, target: { method: "POST", url: URL_OF_WEBHOOK } } };
}

export function ago(ms: number): string {
  return new Date(Date.now() - ms).toISOString();
}

/** A valid payload of a kind; `changes` replace fields of its top level. */
export function payload(kind: Kind | string, changes: Payload = {}): Payload {
  return {
    apiVersion: "v1",
    kind,
    id: "instance-1",
    context: { id: "p-abc123", kind: "customer" },
    meta: { extensionId: EXTENSION_ID, contributorId: "contributor-1" },
    request: {
      id: "request-1",
      createdAt: new Date().toISOString(),
      target: { method: "POST", url: "https://extension.example/webhooks" },
    },
    ...(kind === "SecretRotated"
      ? {}
      : { consentedScopes: ["project:read"], state: { enabled: true } }),
    ...(kind === "SecretRotated" || kind === "ExtensionAddedToContext" ? { secret: SECRET } : {}),
    ...changes,
  };
}

export function encode(body: string | Payload): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
}

/** A handler with everything around it that can be looked at afterwards. */
export class Receiver {
  readonly storage: MemoryStorage = new MemoryStorage();
  readonly log: string[] = [];
  /** The levels of the lines in `log`. */
  readonly levels: string[] = [];
  readonly errors: MitthooksDrizzleError[] = [];
  /** What came with each of `errors`. */
  readonly details: WebhookErrorDetails[] = [];
  readonly signer: Signer;
  readonly handler: (request: Request) => Promise<Response>;
  readonly answers: string[] = [];

  private constructor(signer: Signer, options: Partial<WebhookHandlerOptions>) {
    this.signer = signer;
    const write = (level: string) => (line: string) => {
      this.levels.push(level);
      this.log.push(line);
    };
    this.handler = createWebhookHandler({
      storage: this.storage,
      extensionId: EXTENSION_ID,
      publicKeys: {
        getPublicKey(serial) {
          if (serial !== signer.serial) throw new UnknownPublicKeyError();
          return signer.publicKey;
        },
      },
      logger: {
        info: write("info"),
        debug: write("debug"),
        warn: write("warn"),
        error: write("error"),
      },
      onError: (error, details) => {
        this.errors.push(error);
        this.details.push(details);
      },
      ...options,
    });
  }

  static async create(options: Partial<WebhookHandlerOptions> = {}): Promise<Receiver> {
    return new Receiver(await createSigner("serial-1"), options);
  }

  /** Sends a request as it is. */
  async send(
    body: BodyInit | null,
    headers: HeadersInit,
    { url = URL_OF_WEBHOOK, method = "POST" } = {},
  ): Promise<{ status: number; answer: WebhookResponseBody; headers: Headers }> {
    const request = new Request(url, { method, headers, body });
    const response = await this.handler(request);
    const text = await response.text();
    this.answers.push(text);
    return { status: response.status, answer: JSON.parse(text), headers: response.headers };
  }

  /** Signs a body and sends it. */
  async deliver(
    body: string | Payload | Uint8Array<ArrayBuffer>,
    { url = URL_OF_WEBHOOK } = {},
  ): Promise<{ status: number; answer: WebhookResponseBody; headers: Headers }> {
    const bytes = body instanceof Uint8Array ? body : encode(body);
    return await this.send(bytes, await this.signer.headers(bytes), { url });
  }
}

/** Asserts an answer, by status and code. */
export function assertAnswer(
  { status, answer }: { status: number; answer: WebhookResponseBody },
  expectedStatus: number,
  expectedCode: string,
): void {
  assertEquals(`${status} ${answer.code}`, `${expectedStatus} ${expectedCode}`, answer.message);
}
