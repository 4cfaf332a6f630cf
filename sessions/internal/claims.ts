/** The claims of session tokens. */

import { SessionError } from "../../errors.ts";

/** Start of the messages. */
export const CHECKING = "Checking a session token";

/** The validated claims of a session token. */
export interface Claims {
  readonly userId: string;
  readonly sessionId: string;
  readonly extensionId: string;
  readonly extensionInstanceId: string;
  readonly context: { readonly id: string; readonly kind: "customer" | "project" };
  readonly scopes: readonly string[];
  readonly variantKey: string | null;
  readonly authenticatableWithoutSecret: boolean;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** The last millisecond of a `Date`: ECMA-262, section 21.4.1.1. */
const MAX_TIME = 8.64e15;

/** One page of mittwald's documentation calls a customer an organization. */
const KINDS: ReadonlyMap<unknown, Claims["context"]["kind"]> = new Map([
  ["project", "project"],
  ["customer", "customer"],
  ["organization", "customer"],
]);

/**
 * Reads and validates the claims of a payload.
 *
 * @throws {SessionError} `ERR_SESSION_INVALID` when a claim is missing or has the wrong type.
 */
export function readClaims(payload: Readonly<Record<string, unknown>>): Claims {
  const kind = KINDS.get(payload["context"]);
  if (kind === undefined) throw invalidClaim("context");
  return Object.freeze({
    userId: text(payload, "sub"),
    sessionId: text(payload, "sessionId"),
    extensionId: text(payload, "extensionId"),
    extensionInstanceId: text(payload, "extensionInstanceId"),
    context: Object.freeze({ id: text(payload, "contextId"), kind }),
    scopes: scopes(payload["scopes"]),
    variantKey: payload["variantKey"] === null || payload["variantKey"] === undefined
      ? null
      : text(payload, "variantKey"),
    authenticatableWithoutSecret: flag(payload, "authenticatableWithoutSecret"),
    expiresAt: time(payload, "exp"),
  });
}

/** The serial of the key that a token names. Not verified yet. */
export function readSerial(payload: Readonly<Record<string, unknown>>): string {
  return text(payload, "publicKeySerial");
}

function text(payload: Readonly<Record<string, unknown>>, name: string): string {
  const value = payload[name];
  if (typeof value !== "string" || value === "") throw invalidClaim(name);
  return value;
}

/** An absent list means no scopes: the fewest rights. */
function scopes(value: unknown): readonly string[] {
  const list = value ?? [];
  if (!Array.isArray(list) || !list.every((scope) => typeof scope === "string")) {
    throw invalidClaim("scopes");
  }
  return Object.freeze([...list]);
}

function flag(payload: Readonly<Record<string, unknown>>, name: string): boolean {
  const value = payload[name] ?? false;
  if (typeof value !== "boolean") throw invalidClaim(name);
  return value;
}

/** RFC 7519, section 2, "NumericDate": seconds since 1970. */
function time(payload: Readonly<Record<string, unknown>>, name: string): number {
  const value = payload[name];
  const milliseconds = typeof value === "number" ? value * 1_000 : NaN;
  if (!(Math.abs(milliseconds) <= MAX_TIME)) throw invalidClaim(name);
  return milliseconds;
}

/** Thrown for a claim that is missing or has the wrong type. */
export function invalidClaim(name: string): SessionError {
  return invalid(`its claim ${name} is missing or has the wrong type`);
}

/** Thrown for a token that is not a genuine one of mStudio. */
export function invalid(found: string): SessionError {
  return new SessionError("ERR_SESSION_INVALID", `${CHECKING}: ${found}`);
}
