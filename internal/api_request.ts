/** Requests to mittwald's API. Whatever a folder asks it for, it asks through here. */

import { DeadlineExceededError } from "../errors.ts";
import { checkApiUrl, DEFAULT_API_URL } from "./api_url.ts";
import { BodyError, readBody } from "./body.ts";
import { checkFunction } from "./check_options.ts";
import type { Deadline } from "./deadline.ts";

const MAX_ANSWER_BYTES = 64 * 1024;

/** How long the API is left alone after a 429 that names no time. */
const PAUSE_MS = 1_000;
/** The longest that it is left alone: a wrong header must not end all requests for good. */
const MAX_PAUSE_MS = 10 * 60_000;

/** Why there is no answer. The message is what was found, for the message of a public error. */
export class ApiError extends Error {}

/** The API has asked to be left alone (429, or `Retry-After`), so the request was not made. */
export class ApiPausedError extends ApiError {
  /** How long that still lasts, in milliseconds. */
  readonly leftMs: number;

  constructor(leftMs: number) {
    super(`the API has asked to be left alone, for another ${Math.ceil(leftMs / 1_000)} s`);
    this.leftMs = leftMs;
  }
}

/** What every option of a class that makes requests has. */
export interface ApiOptions {
  /** Default, also for the empty string of a variable left blank: mittwald's. */
  readonly apiUrl?: string | URL | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** What a request is, and how far it may go. */
export interface ApiRequest {
  /** For the error of the time limit. */
  readonly attempt: string;
  /** When to stop. */
  readonly deadline: Deadline;
  /** Default: `GET`. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** The largest answer that is read. Default: 64 KiB. */
  readonly maxBytes?: number;
}

/** An answer, read to its end. */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** The body of a 2xx; `undefined` for other statuses and for what is not JSON. */
  readonly json: unknown;
}

/** The API, as one of the objects that make requests sees it. */
export class MittwaldApi {
  readonly #apiUrl: string;
  readonly #fetch: typeof globalThis.fetch;
  /** By `performance.now()`. */
  #pausedUntil = 0;

  /** @throws {TypeError} When an option is wrong. */
  constructor({ apiUrl, fetch }: ApiOptions) {
    if (fetch !== undefined) checkFunction("fetch", fetch);
    this.#apiUrl = checkApiUrl(apiUrl || DEFAULT_API_URL);
    // Looked up at the call: tools that replace the global fetch do so at any time.
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** For how long the API has asked to be left alone, in milliseconds; 0 when it may be asked. */
  get pausedMs(): number {
    return Math.max(0, this.#pausedUntil - performance.now());
  }

  /**
   * Makes a request, and reads the answer. Redirects are not followed: what is sent is for this API alone.
   *
   * @param path What follows the base URL, encoded.
   * @throws {ApiPausedError} When the API has asked to be left alone.
   * @throws {ApiError} When it cannot be reached, or its answer not be read.
   * @throws {DeadlineExceededError}
   */
  async request(path: string, request: ApiRequest): Promise<ApiAnswer> {
    const { attempt, deadline, method = "GET", headers, body, maxBytes = MAX_ANSWER_BYTES } =
      request;
    if (this.pausedMs > 0) throw new ApiPausedError(this.pausedMs);
    const abort = new AbortController();
    const init: RequestInit = {
      method,
      headers: {
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: "manual",
      signal: abort.signal,
    };
    try {
      const response = await deadline.run(attempt, () => this.#fetch(this.#apiUrl + path, init));
      this.#heedRetryAfter(response);
      return {
        status: response.status,
        headers: response.headers,
        json: response.ok
          ? parse(await readBody(response, maxBytes, deadline, attempt))
          : undefined,
      };
    } catch (error) {
      if (error instanceof DeadlineExceededError) throw error;
      const cause = { cause: error };
      throw error instanceof BodyError
        ? new ApiError(`reading the API's answer, ${error.message}`, cause)
        : new ApiError("the API could not be reached", cause);
    } finally {
      // Also after success, where it does nothing: an answer that was not read to its end holds its connection.
      abort.abort();
    }
  }

  /** RFC 9110, section 10.2.3; RFC 6585, section 4. */
  #heedRetryAfter({ status, headers }: Response): void {
    if (status !== 429 && status !== 503) return;
    const askedMs = retryAfterMs(headers) ?? (status === 429 ? PAUSE_MS : 0);
    const pauseMs = Math.min(MAX_PAUSE_MS, Math.max(0, askedMs));
    this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + pauseMs);
  }
}

function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) return undefined;
  if (/^\s*\d+\s*$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  if (Number.isNaN(at)) return undefined;
  // A date is by the API's clock.
  const sentAt = Date.parse(headers.get("date") ?? "");
  return at - (Number.isNaN(sentAt) ? Date.now() : sentAt);
}

/** No error of `JSON.parse` leaves: it quotes the text, which may hold a token. */
function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** Whether a text can be one segment of a URL's path, once it is encoded. */
export function isPathSegment(text: string): boolean {
  // "." and ".." survive percent-encoding and would change the path. Lone surrogates cannot be encoded.
  return text !== "" && text !== "." && text !== ".." && !/\p{Surrogate}/u.test(text);
}
