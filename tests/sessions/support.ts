/** Helpers for the tests of sessions: tokens with given claims and signatures. */

import { encodeBase64 } from "@std/encoding";
import { assertEquals, assertRejects } from "@std/assert";
import {
  MstudioSessions,
  type MstudioSessionsOptions,
  SessionError,
  type SessionInstance,
  UnknownPublicKeyError,
} from "../../sessions/mod.ts";
import { generateSigningKey, type SigningKey } from "../../testing/mod.ts";

export const EXTENSION_ID = "extension-1";
export const EXTENSION_SECRET = "the-secret-of-the-extension";

export type Claims = Record<string, unknown>;

/** mStudio's claims for `instance-1`; `changes` replace claims, `undefined` omits one. */
export function claims(changes: Claims = {}): Claims {
  const now = Math.floor(Date.now() / 1_000);
  return {
    sub: "user-1",
    sessionId: "session-1",
    extensionId: EXTENSION_ID,
    extensionInstanceId: "instance-1",
    contextId: "p-1",
    context: "project",
    scopes: ["project:read"],
    authenticatableWithoutSecret: false,
    publicKeySerial: "serial-1",
    variantKey: "pro",
    iat: now,
    exp: now + 60,
    ...changes,
  };
}

const base64Url = (base64: string) =>
  base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** A part of a token: JSON, or a text as given. */
export function part(content: unknown): string {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return base64Url(encodeBase64(new TextEncoder().encode(text)));
}

/** Signs any content. */
export async function tokenOf(
  key: Pick<SigningKey, "sign">,
  payload: unknown,
  header: unknown = { alg: "EdDSA", typ: "JWT" },
): Promise<string> {
  const signed = `${part(header)}.${part(payload)}`;
  return `${signed}.${base64Url(await key.sign(new TextEncoder().encode(signed)))}`;
}

/** A request with a token. */
export function requestWith(token: string, header = "x-session-token"): Request {
  return new Request("https://extension.example/", { headers: { [header]: token } });
}

/** Sessions with a local public key, and tokens signed with it. */
export async function openSessions<TInstance extends SessionInstance | undefined = undefined>(
  options: Partial<MstudioSessionsOptions<NonNullable<TInstance>>> = {},
) {
  const key = await generateSigningKey("serial-1");
  const asked: string[] = [];
  const sessions = new MstudioSessions<TInstance>({
    extensionId: EXTENSION_ID,
    publicKeys: {
      getPublicKey(serial) {
        asked.push(serial);
        if (serial !== key.serial) throw new UnknownPublicKeyError();
        return key.publicKey;
      },
    },
    ...options,
  } as MstudioSessionsOptions<NonNullable<TInstance>>);
  return {
    sessions,
    key,
    /** The requested serials. */
    asked,
    token: (changes: Claims = {}, header?: unknown) => tokenOf(key, claims(changes), header),
  };
}

/** Asserts that something is refused, and that the error contains nothing of a token. */
export async function assertRefused(
  code: SessionError["code"],
  action: () => Promise<unknown>,
  found = "",
): Promise<SessionError> {
  const error = await assertRejects(action, SessionError, found);
  assertEquals([error.code, error.message], [code, error.message]);
  const said = [error.message, error.stack, JSON.stringify(error)].join("\n");
  for (const leaked of ["user-1", "session-1", "instance-1", "p-1", "serial-1", "eyJ"]) {
    assertEquals(said.includes(leaked), false, said);
  }
  assertEquals(error.cause instanceof Error && "payload" in error.cause, false);
  return error;
}
