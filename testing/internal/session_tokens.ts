/**
 * Session tokens: JWTs (RFC 7519) signed with EdDSA (RFC 8037).
 *
 * @module
 */

import { decodeBase64, encodeBase64 } from "../../internal/base64.ts";
import type { EventOfKind } from "../events.ts";
import { generateSigningKey, type SigningKey } from "../key_pair.ts";
import type { SessionTokenOptions, SimulatedSession } from "../session_token.ts";
import type { KeyRing } from "./key_ring.ts";

const LIFETIME_MS = 60_000;

/** The content of a valid token. */
export interface ReadSession extends SimulatedSession {
  readonly extensionId: string;
  readonly authenticatableWithoutSecret: boolean;
}

/** Makes and reads a simulated mStudio's tokens. */
export class SessionTokens {
  readonly #keys: KeyRing;
  readonly #userId = crypto.randomUUID();
  #forgersKey: Promise<SigningKey> | undefined;

  constructor(keys: KeyRing) {
    this.#keys = keys;
  }

  /** Makes a token for an instance's page, from an event with the instance's state. */
  async make(
    instance: EventOfKind<"InstanceUpdated">,
    { userId, sessionId, scopes, expiresInMs = LIFETIME_MS, forge = false }: SessionTokenOptions,
  ): Promise<string> {
    const now = Date.now();
    const { current } = this.#keys;
    const claims = {
      sub: userId ?? this.#userId,
      sessionId: sessionId ?? crypto.randomUUID(),
      extensionId: instance.meta.extensionId,
      extensionInstanceId: instance.id,
      contextId: instance.context.id,
      context: instance.context.kind,
      scopes: scopes ?? instance.consentedScopes,
      authenticatableWithoutSecret: false,
      publicKeySerial: current.serial,
      variantKey: instance.variantKey,
      iat: Math.floor(now / 1_000),
      exp: Math.floor((now + expiresInMs) / 1_000),
      ...typeof forge === "object" && forge,
    };
    const key = forge === true ? await (this.#forgersKey ??= generateSigningKey()) : current;
    const signed = `${part({ alg: "EdDSA", typ: "JWT" })}.${part(claims)}`;
    const signature = await key.sign(new TextEncoder().encode(signed));
    return `${signed}.${toBase64Url(signature)}`;
  }

  /** Reads a token; `undefined` unless it is valid and this simulator made it. */
  async read(token: string): Promise<ReadSession | undefined> {
    try {
      const [header = "", payload = "", signature = ""] = token.split(".");
      const claims = JSON.parse(new TextDecoder().decode(fromBase64Url(payload)));
      const key = decodeBase64(this.#keys.publicKey(claims.publicKeySerial) ?? "");
      if (key?.byteLength !== 32 || !(claims.exp * 1_000 > Date.now())) return undefined;
      const isSigned = await crypto.subtle.verify(
        "Ed25519",
        await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]),
        fromBase64Url(signature),
        new TextEncoder().encode(`${header}.${payload}`),
      );
      return isSigned ? { ...claims, userId: claims.sub } : undefined;
    } catch {
      return undefined;
    }
  }
}

function part(content: unknown): string {
  return toBase64Url(encodeBase64(new TextEncoder().encode(JSON.stringify(content))));
}

/** RFC 4648, section 5, without padding. */
function toBase64Url(base64: string): string {
  return base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const base64 = text.replaceAll("-", "+").replaceAll("_", "/");
  const bytes = decodeBase64(base64.padEnd(Math.ceil(base64.length / 4) * 4, "="));
  if (bytes === undefined) throw new SyntaxError("it is not base64");
  return bytes;
}
