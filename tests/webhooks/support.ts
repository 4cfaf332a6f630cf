/**
 * Helpers for webhook tests: a sender that signs anything, and a handler with a storage in memory.
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
export const [ADDED, UPDATED, ROTATED, REMOVED] = KINDS;

export const URL_OF_WEBHOOK = "https://extension.example/webhooks";
export const DRY_RUN_URL = `${URL_OF_WEBHOOK}?dry-run=true&executing-user-id=u-1`;

export type Payload = Record<string, unknown>;
type Bytes = Uint8Array<ArrayBuffer>;

export type Signer = Awaited<ReturnType<typeof createSigner>>;

export async function createSigner(serial: string = crypto.randomUUID()) {
  const usages: KeyUsage[] = ["sign", "verify"];
  const pair = await crypto.subtle.generateKey("Ed25519", true, usages) as CryptoKeyPair;
  const sign = async (body: Bytes) =>
    new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, body));
  return {
    serial,
    publicKey: encodeBase64(await crypto.subtle.exportKey("raw", pair.publicKey)),
    sign,
    headers: async (body: Bytes) => signatureHeaders(serial, encodeBase64(await sign(body))),
  };
}

export const [SERIAL, ALGORITHM, SIGNATURE] = [
  "X-Marketplace-Signature-Serial",
  "X-Marketplace-Signature-Algorithm",
  "X-Marketplace-Signature",
] as const;

export function signatureHeaders(serial: string, signature: string): Record<string, string> {
  return { [SERIAL]: serial, [ALGORITHM]: "Ed25519", [SIGNATURE]: signature };
}

/** Well-formed headers with a signature that matches no body. */
export const WELL_FORMED = signatureHeaders("serial-1", btoa("\0".repeat(64)));

/** A payload's field `request` with a given time. */
export function requestOf(createdAt: string): Payload {
  return { request: { id: "r", createdAt, target: { method: "POST", url: URL_OF_WEBHOOK } } };
}

export function ago(ms: number): string {
  return new Date(Date.now() - ms).toISOString();
}

/** A valid payload of a kind; `changes` replace top-level fields. */
export function payload(kind: string, changes: Payload = {}): Payload {
  return {
    apiVersion: "v1",
    kind,
    id: "instance-1",
    context: { id: "p-abc123", kind: "customer" },
    meta: { extensionId: EXTENSION_ID, contributorId: "contributor-1" },
    request: {
      // mStudio never uses an id twice.
      id: crypto.randomUUID(),
      createdAt: new Date().toISOString(),
      target: { method: "POST", url: URL_OF_WEBHOOK },
    },
    ...(kind === ROTATED ? {} : { consentedScopes: ["project:read"], state: { enabled: true } }),
    ...(kind === ROTATED || kind === ADDED ? { secret: SECRET } : {}),
    ...changes,
  };
}

export function encode(body: string | Payload): Bytes {
  return new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
}

export function storageThat(action: () => Promise<void> | void) {
  return {
    upsertExtension: action,
    updateExtension: action,
    rotateSecret: action,
    removeInstance: action,
  };
}

export function never(): Promise<never> {
  return new Promise(() => {});
}

export function fail(error: unknown): () => Promise<never> {
  return () => Promise.reject(error);
}

interface Answer {
  status: number;
  answer: WebhookResponseBody;
  headers: Headers;
}

/** A handler whose effects can be inspected. */
export class Receiver {
  readonly storage: MemoryStorage = new MemoryStorage();
  readonly log: string[] = [];
  readonly levels: string[] = [];
  readonly errors: MitthooksDrizzleError[] = [];
  /** The details of each of `errors`. */
  readonly details: WebhookErrorDetails[] = [];
  readonly answers: string[] = [];
  readonly signer: Signer;
  readonly options: WebhookHandlerOptions;
  readonly handler: (request: Request) => Promise<Response>;

  private constructor(signer: Signer, options: Partial<WebhookHandlerOptions>) {
    this.signer = signer;
    const write = (level: string) => (line: string) => {
      this.levels.push(level);
      this.log.push(line);
    };
    this.options = {
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
    };
    this.handler = createWebhookHandler(this.options);
  }

  static async create(options: Partial<WebhookHandlerOptions> = {}): Promise<Receiver> {
    return new Receiver(await createSigner("serial-1"), options);
  }

  /** Everything that was answered, logged and reported, except causes. */
  get said(): string {
    return [...this.answers, ...this.log, ...this.errors.map(({ stack }) => stack)].join("\n");
  }

  get codes(): string[] {
    return this.errors.map(({ code }) => code);
  }

  async send(
    body: BodyInit | null,
    headers: HeadersInit,
    { url = URL_OF_WEBHOOK, method = "POST" } = {},
  ): Promise<Answer> {
    const response = await this.handler(new Request(url, { method, headers, body }));
    const text = await response.text();
    this.answers.push(text);
    return { status: response.status, answer: JSON.parse(text), headers: response.headers };
  }

  async deliver(body: string | Payload | Bytes, { url = URL_OF_WEBHOOK } = {}): Promise<Answer> {
    const bytes = body instanceof Uint8Array ? body : encode(body);
    return await this.send(bytes, await this.signer.headers(bytes), { url });
  }

  async expectSent(expected: string, ...request: Parameters<Receiver["send"]>): Promise<Answer> {
    return assertIs(expected, await this.send(...request));
  }

  async expect(expected: string, ...delivery: Parameters<Receiver["deliver"]>): Promise<Answer> {
    return assertIs(expected, await this.deliver(...delivery));
  }
}

function assertIs(expected: string, answer: Answer): Answer {
  assertEquals(`${answer.status} ${answer.answer.code}`, expected, answer.answer.message);
  return answer;
}

export function assertAnswer(answer: Answer, status: number, code: string): void {
  assertIs(`${status} ${code}`, answer);
}
