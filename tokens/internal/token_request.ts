/** One request to mittwald's API for an access token. */

import { InstanceTokenError, UnknownExtensionInstanceError } from "../../errors.ts";
import { ApiError, type MittwaldApi } from "../../internal/api_request.ts";
import type { Deadline } from "../../internal/deadline.ts";

/**
 * Statuses that speak of the secret. mittwald documents 400 and leaves the others open. 429 and 408 are about the
 * request, 5xx about the API.
 */
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 409, 422]);

/** Statuses that speak of the instance: there is none. */
const GONE: ReadonlySet<number> = new Set([404, 410]);

/** Visible ASCII: the token is going to be the value of a header (RFC 9110, section 5.5). */
const TOKEN = /^[\x21-\x7e]+$/;

/** What the API hands out. */
export interface AccessToken {
  readonly token: string;
  /** When it expires, by the API's clock, in milliseconds. */
  readonly expiry: number;
  /** The API's time when it answered, where it tells it; a second or less behind. */
  readonly answeredAt: number | undefined;
}

/**
 * `POST {apiUrl}/v2/extension-instances/{instanceId}/tokens`.
 *
 * @throws {UnknownExtensionInstanceError} When the API has no such instance.
 * @throws {InstanceTokenError}
 * @throws {DeadlineExceededError}
 */
export async function requestToken(
  api: MittwaldApi,
  instanceId: string,
  secret: string,
  deadline: Deadline,
): Promise<AccessToken> {
  try {
    const { status, headers, json } = await api.request(
      `/v2/extension-instances/${encodeURIComponent(instanceId)}/tokens`,
      {
        attempt: "Requesting an access token",
        deadline,
        method: "POST",
        body: { extensionInstanceSecret: secret },
      },
    );
    if (status !== 201 && status !== 200) throw toError(status, instanceId);
    const token = readToken(json, headers.get("date"));
    if (token === undefined) {
      throw unavailable(instanceId, "the API's answer has no token that can be used");
    }
    return token;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw unavailable(instanceId, error.message, { cause: error.cause ?? error });
  }
}

function toError(status: number, instanceId: string): Error {
  const found = `the API answered with status ${status}`;
  if (GONE.has(status)) {
    return new UnknownExtensionInstanceError(
      "Getting an access token",
      instanceId,
      `the API has no instance ${JSON.stringify(instanceId)}, it answered with status ${status}`,
    );
  }
  return REFUSALS.has(status)
    ? new InstanceTokenError("ERR_SECRET_REFUSED", instanceId, found)
    : unavailable(instanceId, found);
}

function unavailable(instanceId: string, found: string, options?: ErrorOptions) {
  return new InstanceTokenError("ERR_TOKEN_UNAVAILABLE", instanceId, found, options);
}

/** `undefined` for what is no token. */
function readToken(answer: unknown, date: string | null): AccessToken | undefined {
  const { publicToken, expiry } = (answer ?? {}) as Record<string, unknown>;
  if (typeof publicToken !== "string" || !TOKEN.test(publicToken)) return undefined;
  const expiresAt = typeof expiry === "string" ? parseTime(expiry) : NaN;
  if (Number.isNaN(expiresAt)) return undefined;
  const answeredAt = Date.parse(date ?? "");
  return {
    token: publicToken,
    expiry: expiresAt,
    answeredAt: Number.isNaN(answeredAt) ? undefined : answeredAt,
  };
}

/** ISO 8601; without a zone it is UTC, not the machine's time zone. */
function parseTime(text: string): number {
  const lacksZone = /T[\d:.,]+$/i.test(text);
  return Date.parse(lacksZone ? `${text}Z` : text);
}
