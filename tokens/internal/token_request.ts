/** One request to mittwald's API for an access token. */

import { InstanceTokenError, UnknownExtensionInstanceError } from "../../errors.ts";
import { type AccessToken, readAccessToken } from "../../internal/access_token.ts";
import { ApiError, type MittwaldApi } from "../../internal/api_request.ts";
import type { Deadline } from "../../internal/deadline.ts";

/**
 * Statuses that refuse the secret. mittwald documents 400 and leaves the others open. 429 and 408
 * concern the request, 5xx the API.
 */
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 409, 422]);

/** Statuses for an instance that does not exist. */
const GONE: ReadonlySet<number> = new Set([404, 410]);

/**
 * `POST {apiUrl}/v2/extension-instances/{instanceId}/tokens`.
 *
 * @throws {UnknownExtensionInstanceError} When the API has no such instance.
 * @throws {InstanceTokenError} `ERR_SECRET_REFUSED` or `ERR_TOKEN_UNAVAILABLE`.
 * @throws {DeadlineExceededError} When the deadline passes first.
 */
export async function requestToken(
  api: MittwaldApi,
  instanceId: string,
  secret: string,
  deadline: Deadline,
): Promise<AccessToken> {
  try {
    const answer = await api.request(
      `/v2/extension-instances/${encodeURIComponent(instanceId)}/tokens`,
      {
        attempt: "Requesting an access token",
        deadline,
        method: "POST",
        body: { extensionInstanceSecret: secret },
      },
    );
    const { status } = answer;
    if (status !== 201 && status !== 200) throw toError(status, instanceId);
    const token = readAccessToken(answer);
    if (token === undefined) {
      throw unavailable(instanceId, "the API's answer has no usable token");
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
