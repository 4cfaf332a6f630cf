/**
 * The two ways in which a receiver looks up the key of a simulated mStudio: in process, and over HTTP.
 *
 * @module
 */

import type { PublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import { UnknownPublicKeyError } from "../errors.ts";
import type { SigningKey } from "./key_pair.ts";

/** Offers a key to a receiver in the same process. */
export function publicKeyProvider(key: SigningKey): PublicKeyProvider {
  return {
    getPublicKey(serial) {
      if (serial !== key.serial) throw new UnknownPublicKeyError();
      return key.publicKey;
    },
  };
}

const ROUTE = /^\/v2\/public-keys\/([^/]+)$/;

/** Answers `GET /v2/public-keys/{serial}` as mittwald's API does. */
export function answerPublicKeyRequest(key: SigningKey, request: Request): Response {
  const serial = ROUTE.exec(new URL(request.url).pathname)?.[1];
  if (serial === undefined) return problem(404, "There is nothing here");
  if (request.method !== "GET") {
    return problem(405, "Only GET is answered here", { Allow: "GET" });
  }
  if (decoded(serial) !== key.serial) return problem(404, "No key has this serial");
  return Response.json({ serial: key.serial, key: key.publicKey });
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

function problem(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ message }, { status, headers });
}
