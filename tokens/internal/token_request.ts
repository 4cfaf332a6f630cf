/** One request to mittwald's API for an access token. */

import { DeadlineExceededError, InstanceTokenError } from "../../errors.ts";
import { BodyError, readBody } from "../../internal/body.ts";
import type { Deadline } from "../../internal/deadline.ts";

const MAX_RESPONSE_BYTES = 64 * 1024;

/**
 * Statuses that speak of the secret or the instance. mittwald documents 400 and leaves the others open. 429 and 408 are
 * about the request, 5xx about the API.
 */
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 404, 409, 410, 422]);

/** Visible ASCII: the token is going to be the value of a header (RFC 9110, section 5.5). */
const TOKEN = /^[\x21-\x7e]+$/;

/** What the API hands out. */
export interface AccessToken {
  readonly token: string;
  /** How long it is valid from the request on, in milliseconds; not positive where the clocks disagree. */
  readonly lifetimeMs: number;
}

/**
 * `POST {apiUrl}/v2/extension-instances/{instanceId}/tokens`.
 *
 * @throws {InstanceTokenError}
 * @throws {DeadlineExceededError}
 */
export async function requestToken(
  fetch: typeof globalThis.fetch,
  apiUrl: string,
  instanceId: string,
  secret: string,
  deadline: Deadline,
): Promise<AccessToken> {
  const attempt = "Requesting an access token";
  const unavailable = (found: string, options?: ErrorOptions) =>
    new InstanceTokenError("ERR_TOKEN_UNAVAILABLE", instanceId, found, options);
  const abort = new AbortController();
  try {
    const response = await deadline.run(
      attempt,
      () =>
        fetch(`${apiUrl}/v2/extension-instances/${encodeURIComponent(instanceId)}/tokens`, {
          method: "POST",
          headers: { "accept": "application/json", "content-type": "application/json" },
          body: JSON.stringify({ extensionInstanceSecret: secret }),
          redirect: "manual", // the secret is for this API alone
          signal: abort.signal,
        }),
    );
    const { status } = response;
    if (status !== 201 && status !== 200) {
      const code = REFUSALS.has(status) ? "ERR_SECRET_REFUSED" : "ERR_TOKEN_UNAVAILABLE";
      throw new InstanceTokenError(code, instanceId, `the API answered with status ${status}`);
    }
    const body = await readBody(response, MAX_RESPONSE_BYTES, deadline, attempt);
    const token = readToken(body, response.headers.get("date"));
    if (token === undefined) throw unavailable("the API's answer has no token that can be used");
    return token;
  } catch (error) {
    if (error instanceof InstanceTokenError || error instanceof DeadlineExceededError) throw error;
    if (error instanceof BodyError) {
      throw unavailable(`reading the API's answer, ${error.message}`, { cause: error });
    }
    throw unavailable("the API could not be reached", { cause: error });
  } finally {
    // Also after success, where it does nothing: a response that was not read to its end holds its connection.
    abort.abort();
  }
}

/** `undefined` for what is no token. No cause: an error of `JSON.parse` quotes the text. */
function readToken(bytes: Uint8Array, date: string | null): AccessToken | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  const { publicToken, expiry } = (answer ?? {}) as Record<string, unknown>;
  if (typeof publicToken !== "string" || !TOKEN.test(publicToken)) return undefined;
  const expiresAt = typeof expiry === "string" ? parseTime(expiry) : NaN;
  if (Number.isNaN(expiresAt)) return undefined;
  // By the API's own clock where it tells the time, so that it does not matter how far ours is off.
  const sentAt = Date.parse(date ?? "");
  return {
    token: publicToken,
    lifetimeMs: expiresAt - (Number.isNaN(sentAt) ? Date.now() : sentAt),
  };
}

/** ISO 8601; without a zone it is UTC, not the machine's time zone. */
function parseTime(text: string): number {
  const lacksZone = /T[\d:.,]+$/i.test(text);
  return Date.parse(lacksZone ? `${text}Z` : text);
}
