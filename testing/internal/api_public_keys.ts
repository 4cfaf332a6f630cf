/**
 * Public keys in the API.
 *
 * @module
 */

import { decodeBase64, encodeBase64 } from "../../internal/base64.ts";
import type { ApiCall, ApiContext } from "./api_context.ts";
import { problem } from "./api_answers.ts";
import type { KeyRing, KeyRings } from "./key_ring.ts";

/** `GET /v2/public-keys/{serial}`. */
export function answerPublicKey({ keys }: ApiContext, { query, parameters }: ApiCall): Response {
  const [serial = ""] = parameters;
  const ring = ringOf(keys, query.get("purpose") ?? "webhook");
  const write = FORMATS.get(query.get("format") ?? "raw");
  if (ring === undefined) return problem(400, "purpose is neither webhook nor session_token");
  if (write === undefined) return problem(400, "format is neither raw nor spki");
  if (ring.outage) return problem(503, "The public keys are unavailable at the moment");
  const known = serial === "latest" ? ring.current.serial : serial;
  const key = ring.publicKey(known);
  return key === undefined
    ? problem(404, "No key has this serial")
    : Response.json({ algorithm: "Ed25519", key: write(key), serial: known });
}

function ringOf(keys: KeyRings, purpose: string): KeyRing | undefined {
  return Object.hasOwn(keys, purpose) ? keys[purpose as keyof KeyRings] : undefined;
}

/** Conversions from base64 of the 32 bytes. */
const FORMATS: ReadonlyMap<string, (key: string) => string> = new Map([
  ["raw", (key) => key],
  ["spki", toPem],
]);

/** Start of an Ed25519 key's SubjectPublicKeyInfo, before its 32 bytes: RFC 8410, section 4. */
const SPKI_PREFIX = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/** RFC 7468, section 13. */
function toPem(key: string): string {
  const bytes = Uint8Array.of(...SPKI_PREFIX, ...decodeBase64(key) ?? []);
  return `-----BEGIN PUBLIC KEY-----\n${encodeBase64(bytes)}\n-----END PUBLIC KEY-----\n`;
}
