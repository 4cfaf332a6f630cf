/** Requests a public key from mittwald's API. */

import {
  DeadlineExceededError,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
} from "../../errors.ts";
import { ApiError, isPathSegment, type MittwaldApi } from "../../internal/api_request.ts";
import { Deadline } from "../../internal/deadline.ts";
import { decodePublicKey } from "../../internal/public_key.ts";

/** Requests the current signing key instead of a serial's. */
export const LATEST = "latest";

const MAX_SERIAL_CHARACTERS = 128;
const MAX_ANSWER_BYTES = 16 * 1024;

/** What a key signs: webhooks, or session tokens of the frontend. */
export type PublicKeyPurpose = "webhook" | "session_token";

/** A key in the API's answer. */
export interface FetchedKey {
  /** Absent if the answer does not repeat the requested serial. */
  readonly serial: string | undefined;
  /** Base64 of 32 bytes. */
  readonly key: string;
}

/** Whether a text may be requested as a serial. */
export function isPossibleSerial(serial: string): boolean {
  return isPathSegment(serial) && serial.length <= MAX_SERIAL_CHARACTERS &&
    serial.toLowerCase() !== LATEST;
}

/**
 * Fetches a key.
 *
 * @param serial The serial, or {@linkcode LATEST}.
 * @throws {UnknownPublicKeyError} When the API has no such key.
 * @throws {PublicKeyUnavailableError} When there is no usable answer.
 */
export async function fetchPublicKey(
  api: MittwaldApi,
  serial: string,
  purpose: PublicKeyPurpose,
  timeoutMs: number,
): Promise<FetchedKey> {
  // The API's default purpose is webhooks.
  const query = purpose === "webhook" ? "" : `?purpose=${purpose}`;
  const deadline = new Deadline(timeoutMs);
  try {
    const { status, json } = await api.request(
      `/v2/public-keys/${encodeURIComponent(serial)}${query}`,
      { attempt: "Fetching a public key", deadline, maxBytes: MAX_ANSWER_BYTES },
    );
    // 400: the serial is malformed.
    if (status === 404 || status === 400) throw new UnknownPublicKeyError();
    if (status !== 200) {
      throw new PublicKeyUnavailableError(`the API answered with status ${status}`);
    }
    return readKey(json, serial);
  } catch (error) {
    if (error instanceof ApiError) {
      throw new PublicKeyUnavailableError(error.message, { cause: error.cause ?? error });
    }
    if (error instanceof DeadlineExceededError) {
      throw new PublicKeyUnavailableError(`no answer within ${timeoutMs} ms`, { cause: error });
    }
    throw error;
  } finally {
    deadline.clear();
  }
}

function readKey(answer: unknown, asked: string): FetchedKey {
  if (answer === undefined) {
    throw new PublicKeyUnavailableError("the API's answer is not JSON");
  }
  const { key, serial } = (answer ?? {}) as Record<string, unknown>;
  decodePublicKey(key);
  if (asked === LATEST) {
    if (typeof serial !== "string" || !isPossibleSerial(serial)) {
      throw new PublicKeyUnavailableError("the API's answer does not have the latest serial");
    }
  } else if (serial !== undefined && serial !== asked) {
    throw new PublicKeyUnavailableError("the API's answer is for another serial");
  }
  return { serial: serial as string | undefined, key: key as string };
}
