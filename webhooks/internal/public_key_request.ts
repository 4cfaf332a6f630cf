/** One request to mittwald's API for one public key. */

import { BodyError, readBody } from "../../internal/body.ts";
import { Deadline } from "../../internal/deadline.ts";
import { decodePublicKey } from "./public_key.ts";
import {
  DeadlineExceededError,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
} from "../../errors.ts";

const MAX_SERIAL_CHARACTERS = 128;
const MAX_RESPONSE_BYTES = 16 * 1024;

/** Whether a serial may be put into a URL at all. */
export function isPossibleSerial(serial: string): boolean {
  // "." and ".." survive percent-encoding and would change the path. Lone surrogates cannot be encoded.
  return serial !== "" && serial !== "." && serial !== ".." &&
    serial.length <= MAX_SERIAL_CHARACTERS && !/\p{Surrogate}/u.test(serial);
}

/** Fetches the key of a serial: base64 of 32 bytes. */
export async function fetchPublicKey(
  fetch: typeof globalThis.fetch,
  apiUrl: string,
  serial: string,
  timeoutMs: number,
): Promise<string> {
  const url = `${apiUrl}/v2/public-keys/${encodeURIComponent(serial)}`;
  const abort = new AbortController();
  const deadline = new Deadline(timeoutMs);
  const attempt = "Fetching a public key";
  try {
    const response = await deadline.run(attempt, () =>
      fetch(url, {
        headers: { accept: "application/json" },
        redirect: "manual",
        signal: abort.signal,
      }));
    // 400: mittwald's API does not take it for a serial.
    if (response.status === 404 || response.status === 400) throw new UnknownPublicKeyError();
    if (response.status !== 200) {
      throw new PublicKeyUnavailableError(`the endpoint answered with status ${response.status}`);
    }
    return readKey(await readBody(response, MAX_RESPONSE_BYTES, deadline, attempt), serial);
  } catch (error) {
    throw toOwnError(error, timeoutMs);
  } finally {
    deadline.clear();
    // Also after success, where it does nothing: a response that was not read to its end holds its connection.
    abort.abort();
  }
}

function readKey(bytes: Uint8Array, serial: string): string {
  let answer: unknown;
  try {
    answer = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new PublicKeyUnavailableError("the endpoint's answer is not JSON", { cause });
  }
  const { key, serial: answeredSerial } = (answer ?? {}) as Record<string, unknown>;
  if (answeredSerial !== undefined && answeredSerial !== serial) {
    throw new PublicKeyUnavailableError("the endpoint's answer is for another serial");
  }
  decodePublicKey(key);
  return key as string;
}

function toOwnError(error: unknown, timeoutMs: number): Error {
  if (error instanceof UnknownPublicKeyError || error instanceof PublicKeyUnavailableError) {
    return error;
  }
  if (error instanceof DeadlineExceededError) {
    return new PublicKeyUnavailableError(`no answer within ${timeoutMs} ms`, { cause: error });
  }
  if (error instanceof BodyError) {
    return new PublicKeyUnavailableError(`reading the endpoint's answer, ${error.message}`, {
      cause: error,
    });
  }
  return new PublicKeyUnavailableError("the endpoint could not be reached", { cause: error });
}
