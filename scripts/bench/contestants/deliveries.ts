/**
 * Signed deliveries, made without the library.
 *
 * @module
 */
import { fromBase64, toBase64 } from "./bare_crypto.ts";
import { EXTENSION_ID, instanceOf } from "./data.ts";

/** Where deliveries are sent to. */
const URL_OF_WEBHOOK = "https://extension.example/webhooks";

/** A signed body. */
export interface Delivery {
  readonly body: string;
  readonly signature: string;
}

/** Who signs. */
export interface Signer {
  readonly serial: string;
  /** Base64 of the 32 bytes. */
  readonly publicKey: string;
  sign(body: string): Promise<Delivery>;
}

/** Makes a key pair. */
export async function createSigner(): Promise<Signer> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const bytes = new TextEncoder();
  return {
    serial: crypto.randomUUID(),
    publicKey: toBase64(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey))),
    async sign(body) {
      const signature = await crypto.subtle.sign("Ed25519", pair.privateKey, bytes.encode(body));
      return { body, signature: toBase64(new Uint8Array(signature)) };
    },
  };
}

/** The body that adds an instance. */
export function bodyOf(number: number, stamp: string): string {
  const { extensionInstanceId, contextId, consentedScopes, secret } = instanceOf(number, stamp);
  return JSON.stringify({
    apiVersion: "v1",
    kind: "ExtensionAddedToContext",
    id: extensionInstanceId,
    context: { id: contextId, kind: "project" },
    meta: { extensionId: EXTENSION_ID, contributorId: "7e4a4bdc-3f0e-4f29-9d4c-2a51fc0b6c0f" },
    request: {
      id: crypto.randomUUID(),
      createdAt: new Date().toISOString(),
      target: { method: "POST", url: URL_OF_WEBHOOK },
    },
    state: { enabled: true },
    consentedScopes,
    secret,
  });
}

/** Signs one body for each number below `count`. */
export function signedDeliveries(
  signer: Signer,
  count: number,
  stamp: string,
): Promise<Delivery[]> {
  return Promise.all(
    Array.from({ length: count }, (_, number) => signer.sign(bodyOf(number, stamp))),
  );
}

/** The request that carries a delivery. */
export function requestOf({ serial }: { serial: string }, { body, signature }: Delivery): Request {
  return new Request(URL_OF_WEBHOOK, {
    method: "POST",
    headers: {
      "X-Marketplace-Signature-Serial": serial,
      "X-Marketplace-Signature-Algorithm": "Ed25519",
      "X-Marketplace-Signature": signature,
    },
    body,
  });
}

/** A public key for `crypto.subtle`. */
export function importPublicKey(publicKey: string): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", fromBase64(publicKey), "Ed25519", false, ["verify"]);
}
