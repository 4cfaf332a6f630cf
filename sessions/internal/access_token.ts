/** Exchanges a session token for an access token of its user. */

import { DeadlineExceededError, SessionError } from "../../errors.ts";
import { lifetimeOf, readAccessToken } from "../../internal/access_token.ts";
import { ApiError, type MittwaldApi } from "../../internal/api_request.ts";
import type { Deadline } from "../../internal/deadline.ts";

/** Start of the messages. */
export const GETTING = "Getting an access token of a user";

/** Statuses that refuse the token or the secret. 429 and 408 concern the request, 5xx the API. */
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 404, 409, 410, 422]);

/** A token and its expiry by the local clock. */
export interface UserToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/**
 * `POST /v2/authenticate-session-token`.
 *
 * @throws {SessionError} `ERR_ACCESS_TOKEN_REFUSED` or `ERR_TOKEN_UNAVAILABLE`.
 */
export async function requestUserToken(
  api: MittwaldApi,
  sessionToken: string,
  extensionSecret: string | undefined,
  deadline: Deadline,
): Promise<UserToken> {
  const body = { sessionToken, ...(extensionSecret !== undefined && { extensionSecret }) };
  try {
    const requestedAt = Date.now();
    const answer = await api.request("/v2/authenticate-session-token", {
      attempt: GETTING,
      deadline,
      method: "POST",
      body,
    });
    const { status } = answer;
    if (REFUSALS.has(status)) {
      throw new SessionError(
        "ERR_ACCESS_TOKEN_REFUSED",
        `${GETTING}: the API answered with status ${status}`,
      );
    }
    if (status !== 201 && status !== 200) {
      throw unavailable(`the API answered with status ${status}`);
    }
    const access = readAccessToken(answer);
    if (access === undefined) throw unavailable("the API's answer has no usable token");
    const expiresAt = new Date(requestedAt + lifetimeOf(access, requestedAt));
    return { token: access.token, expiresAt };
  } catch (error) {
    if (error instanceof ApiError) {
      throw unavailable(error.message, { cause: error.cause ?? error });
    }
    if (error instanceof DeadlineExceededError) throw unavailable("the API did not answer in time");
    throw error;
  }
}

function unavailable(found: string, options?: ErrorOptions): SessionError {
  return new SessionError("ERR_TOKEN_UNAVAILABLE", `${GETTING}: ${found}`, options);
}
