/** Requests to mittwald's API: every folder makes its requests through this module. */

import { DeadlineExceededError } from "../errors.ts";
import { checkApiUrl, DEFAULT_API_URL } from "./api_url.ts";
import { BodyError, readBody } from "./body.ts";
import { checkFunction } from "./check_options.ts";
import type { Deadline } from "./deadline.ts";

const MAX_ANSWER_BYTES = 64 * 1024;

/** Pause after a 429 without `Retry-After`. */
const PAUSE_MS = 1_000;
/** The longest pause: a wrong header must not stop requests for good. */
const MAX_PAUSE_MS = 10 * 60_000;

/** There is no usable answer. The message is what was found, for a public error's message. */
export class ApiError extends Error {}

/** The request was not made because the API asked for a pause (429 or `Retry-After`). */
export class ApiPausedError extends ApiError {
  /** The rest of the pause, in milliseconds. */
  readonly leftMs: number;

  constructor(leftMs: number) {
    super(`the API asked for a pause, which lasts another ${Math.ceil(leftMs / 1_000)} s`);
    this.leftMs = leftMs;
  }
}

/** The options shared by all classes that make requests. */
export interface ApiOptions {
  /** Default, also for an empty string from a blank variable: mittwald's. */
  readonly apiUrl?: string | URL | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** A request and its limits. */
export interface ApiRequest {
  /** What is attempted, for {@linkcode DeadlineExceededError}. */
  readonly attempt: string;
  readonly deadline: Deadline;
  /** Default: `GET`. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Limit for the answer's size in bytes. Default: 64 KiB. */
  readonly maxBytes?: number;
}

/** An answer, fully read. */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** The body of a 2xx; `undefined` for other statuses and for bodies that are not JSON. */
  readonly json: unknown;
}

/** A client of the API. Each keeps its own pause. */
export class MittwaldApi {
  readonly #apiUrl: string;
  readonly #fetch: typeof globalThis.fetch;
  /** By `performance.now()`. */
  #pausedUntil = 0;

  /** @throws {TypeError} When an option is invalid. */
  constructor({ apiUrl, fetch }: ApiOptions) {
    if (fetch !== undefined) checkFunction("fetch", fetch);
    this.#apiUrl = checkApiUrl(apiUrl || DEFAULT_API_URL);
    // Looked up at each call: tools may replace the global fetch at any time.
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** The rest of the pause that the API asked for, in milliseconds; 0 when there is none. */
  get pausedMs(): number {
    return Math.max(0, this.#pausedUntil - performance.now());
  }

  /**
   * Makes a request and reads the answer. Redirects are not followed: secrets and tokens in a
   * request are meant for this API alone.
   *
   * @param path The path after the base URL, percent-encoded.
   * @throws {ApiPausedError} When the API asked for a pause.
   * @throws {ApiError} When the API cannot be reached or its answer cannot be read.
   * @throws {DeadlineExceededError} When the deadline passes first.
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
      // An answer that is not fully read holds its connection. Does nothing after success.
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
  // The date is by the API's clock.
  const sentAt = Date.parse(headers.get("date") ?? "");
  return at - (Number.isNaN(sentAt) ? Date.now() : sentAt);
}

/** Drops errors of `JSON.parse`: they quote the text, which may contain a token. */
function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** Whether a text, once encoded, is a valid segment of a URL's path. */
export function isPathSegment(text: string): boolean {
  // Percent-encoding keeps "." and "..", which change the path, and cannot encode lone surrogates.
  return text !== "" && text !== "." && text !== ".." && !/\p{Surrogate}/u.test(text);
}
