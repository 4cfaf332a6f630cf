/**
 * The part of mittwald's API that an extension with webhooks needs.
 *
 * @module
 */

import { decodeBase64, encodeBase64 } from "../../internal/base64.ts";
import type { InstanceRegister } from "./instance_register.ts";
import type { KeyRing, KeyRings } from "./key_ring.ts";

const PUBLIC_KEY = /^\/v2\/public-keys\/([^/]+)$/;
const TOKENS = /^\/v2\/extension-instances\/([^/]+)\/tokens$/;

/** Answers `GET /v2/public-keys/{serial}` and `POST /v2/extension-instances/{id}/tokens`. */
export function answerApiRequest(
  keys: KeyRings,
  register: InstanceRegister,
  request: Request,
): Promise<Response> | Response {
  const { pathname } = new URL(request.url);
  const serial = parameter(PUBLIC_KEY, pathname);
  if (serial !== undefined) return answerPublicKeyRequest(keys, serial, request);
  const instanceId = parameter(TOKENS, pathname);
  if (instanceId !== undefined) return answerTokenRequest(register, instanceId, request);
  return problem(404, "There is nothing here");
}

function answerPublicKeyRequest(keys: KeyRings, serial: string, request: Request): Response {
  if (request.method !== "GET") return wrongMethod("GET");
  const { searchParams } = new URL(request.url);
  const ring = ringOf(keys, searchParams.get("purpose") ?? "webhook");
  const write = FORMATS.get(searchParams.get("format") ?? "raw");
  if (ring === undefined) return problem(400, "purpose is neither webhook nor session_token");
  if (write === undefined) return problem(400, "format is neither raw nor spki");
  if (ring.outage) return problem(503, "The public keys cannot be had at the moment");
  const known = serial === "latest" ? ring.current.serial : serial;
  const key = ring.publicKey(known);
  return key === undefined
    ? problem(404, "No key has this serial")
    : Response.json({ algorithm: "Ed25519", key: write(key), serial: known });
}

function ringOf(keys: KeyRings, purpose: string): KeyRing | undefined {
  return Object.hasOwn(keys, purpose) ? keys[purpose as keyof KeyRings] : undefined;
}

/** From base64 of the 32 bytes. */
const FORMATS: ReadonlyMap<string, (key: string) => string> = new Map([
  ["raw", (key) => key],
  ["spki", toPem],
]);

/** What an Ed25519 key's SubjectPublicKeyInfo begins with, in front of its 32 bytes: RFC 8410, section 4. */
const SPKI_PREFIX = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/** RFC 7468, section 13. */
function toPem(key: string): string {
  const bytes = Uint8Array.of(...SPKI_PREFIX, ...decodeBase64(key) ?? []);
  return `-----BEGIN PUBLIC KEY-----\n${encodeBase64(bytes)}\n-----END PUBLIC KEY-----\n`;
}

async function answerTokenRequest(
  register: InstanceRegister,
  instanceId: string,
  request: Request,
): Promise<Response> {
  if (request.method !== "POST") return wrongMethod("POST");
  const body: unknown = await request.json().catch(() => undefined);
  const secret = (body as Record<string, unknown> | null | undefined)?.["extensionInstanceSecret"];
  if (typeof secret !== "string") return problem(400, "extensionInstanceSecret is missing");
  const issued = register.issueToken(instanceId, secret);
  if (issued === "unknown") return problem(404, "No instance has this id");
  if (issued === "refused") return problem(403, "The secret is not valid");
  return Response.json(issued, { status: 201 });
}

/** The decoded segment of a path, where the path is of the given form. */
function parameter(form: RegExp, pathname: string): string | undefined {
  try {
    const segment = form.exec(pathname)?.[1];
    return segment === undefined ? undefined : decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

function wrongMethod(allowed: string): Response {
  return problem(405, `Only ${allowed} is answered here`, { Allow: allowed });
}

function problem(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ message }, { status, headers });
}
