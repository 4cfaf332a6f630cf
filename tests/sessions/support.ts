/** What the tests of sessions share: tokens that say and are signed as they are told to. */

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

/** What mStudio says in a token of the instance `instance-1`; `changes` replace claims, `undefined` leaves one out. */
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

/** A part of a token: JSON, or the very text that is given. */
export function part(content: unknown): string {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return base64Url(encodeBase64(new TextEncoder().encode(text)));
}

/** Signs whatever it is given. */
export async function tokenOf(
  key: Pick<SigningKey, "sign">,
  payload: unknown,
  header: unknown = { alg: "EdDSA", typ: "JWT" },
): Promise<string> {
  const signed = `${part(header)}.${part(payload)}`;
  return `${signed}.${base64Url(await key.sign(new TextEncoder().encode(signed)))}`;
}

/** A request that carries a token. */
export function requestWith(token: string, header = "x-session-token"): Request {
  return new Request("https://extension.example/", { headers: { [header]: token } });
}

/** Sessions whose public key is at hand, and tokens that are signed with it. */
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
    /** The serials that were asked for. */
    asked,
    token: (changes: Claims = {}, header?: unknown) => tokenOf(key, claims(changes), header),
  };
}

/** Asserts that something is refused, and that the refusal has nothing of a token in it. */
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
