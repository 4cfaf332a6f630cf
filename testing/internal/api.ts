/**
 * The part of mittwald's API that an extension with webhooks needs.
 *
 * @module
 */

import type { InstanceRegister } from "./instance_register.ts";
import type { KeyRing } from "./key_ring.ts";

const PUBLIC_KEY = /^\/v2\/public-keys\/([^/]+)$/;
const TOKENS = /^\/v2\/extension-instances\/([^/]+)\/tokens$/;

/** Answers `GET /v2/public-keys/{serial}` and `POST /v2/extension-instances/{id}/tokens`. */
export function answerApiRequest(
  keys: KeyRing,
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

function answerPublicKeyRequest(keys: KeyRing, serial: string, { method }: Request): Response {
  if (method !== "GET") return wrongMethod("GET");
  if (keys.outage) return problem(503, "The public keys cannot be had at the moment");
  const key = keys.publicKey(serial);
  return key === undefined
    ? problem(404, "No key has this serial")
    : Response.json({ serial, key });
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
