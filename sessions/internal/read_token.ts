/** Reads the session token of a request. */

import { SessionError } from "../../errors.ts";
import { CHECKING, invalid } from "./claims.ts";

/** Many servers' limit for all headers of a request together. */
const MAX_CHARACTERS = 16_384;
/** RFC 7515, section 7.1: the compact serialization. */
const SIGNED_JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Takes the token from a request or a header's value, and checks its form.
 *
 * @throws {SessionError} `ERR_SESSION_MISSING`, or `ERR_SESSION_INVALID` for a malformed token.
 * @throws {TypeError} When `source` is neither a request nor a header's value.
 */
export function readToken(source: unknown, header: string): string {
  const token = isRequest(source) ? source.headers.get(header) : source;
  if (token === undefined || token === null || token === "") {
    throw new SessionError("ERR_SESSION_MISSING", `${CHECKING}: there is none`);
  }
  if (typeof token !== "string") {
    throw new TypeError(
      `${CHECKING}: the source is neither a Request nor a header's value`,
    );
  }
  if (token.length > MAX_CHARACTERS) {
    throw invalid(`it is longer than ${MAX_CHARACTERS} characters`);
  }
  // Repeated headers arrive joined by commas (RFC 9110, section 5.3).
  if (token.includes(",")) throw invalid("there is more than one");
  if (!SIGNED_JWT.test(token)) throw invalid("it does not have the form of a signed JWT");
  return token;
}

/** No `instanceof`: adapters and other realms have their own `Request`. */
function isRequest(value: unknown): value is Pick<Request, "headers"> {
  return typeof (value as Partial<Request> | null | undefined)?.headers?.get === "function";
}
