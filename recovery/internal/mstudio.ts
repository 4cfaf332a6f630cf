/** The requests of recovery to mittwald's API, as one contributor, for one extension. */

import { CompareError, DeadlineExceededError } from "../../errors.ts";
import {
  type ApiAnswer,
  ApiError,
  type ApiOptions,
  ApiPausedError,
  isPathSegment,
  MittwaldApi,
} from "../../internal/api_request.ts";
import { Deadline } from "../../internal/deadline.ts";
import {
  fieldsOf,
  isText,
  readDelivery,
  readInstance,
  readRotation,
  type RemoteInstance,
  type WebhookDelivery,
} from "./answers.ts";
import { clock, Gate, Pace, pause } from "./waiting.ts";

/** Instances or deliveries per request. */
export const PAGE_SIZE = 100;

/** Limit of concurrent requests. */
export const REQUESTS_AT_ONCE = 4;

/** Interval between rotations in milliseconds. Each rotation makes mStudio call the extension. */
const ROTATION_INTERVAL_MS = 500;

/** Time limit of a request in milliseconds. A rotation waits for the extension's answer. */
const REQUEST_MS = 30_000;

/** How often a request without an answer, or with a 5xx, is made, and the pauses in between. */
const TRIES = 6;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 8_000;

/** How long a request waits in total for pauses that the API asks for. */
const MAX_WAIT_MS = 15 * 60_000;

/** The message when the pauses exceed that time. */
const TOO_LONG = `the API asked for pauses of more than ${MAX_WAIT_MS / 60_000} minutes`;

/** Instances include texts and pictures of the extension. */
const MAX_ANSWER_BYTES = 16 * 1024 ** 2;

/** A page of a list. */
interface Page<T> {
  readonly items: readonly T[];
  /** Length of the whole list, if the API returns it. */
  readonly total: number | undefined;
}

/** An instance and the time of that state. */
export interface Found {
  /** `undefined` if there is none. */
  readonly instance: RemoteInstance | undefined;
  /** By mStudio's clock, rounded down; `undefined` if mStudio did not send its time. */
  readonly asOf: Date | undefined;
}

/** Settings of the requests. */
export interface MstudioOptions extends ApiOptions {
  readonly attempt: string;
  readonly apiToken: string;
  readonly extensionId: string;
  readonly signal: AbortSignal | undefined;
}

interface Call {
  readonly method?: "GET" | "POST" | "PUT";
  readonly body?: unknown;
  /** Waited for before each attempt. */
  readonly pace?: Pace;
  /** Sent without the API token. */
  readonly anonymous?: boolean;
  /** Not aborted by the signal. */
  readonly finish?: boolean;
}

/** A client of the API. Every method throws a `CompareError` or the signal's reason. */
export class Mstudio {
  readonly #api: MittwaldApi;
  /** For requests that the signal does not abort. */
  readonly #steadyApi: MittwaldApi;
  readonly #attempt: string;
  readonly #apiToken: string;
  readonly #extensionId: string;
  readonly #signal: AbortSignal | undefined;
  readonly #gate = new Gate(REQUESTS_AT_ONCE);
  readonly #rotations = new Pace(ROTATION_INTERVAL_MS);
  #contributorId: Promise<string> | undefined;

  /** @throws {TypeError} When an option is invalid. */
  constructor({ attempt, apiUrl, fetch, apiToken, extensionId, signal }: MstudioOptions) {
    this.#steadyApi = new MittwaldApi({ apiUrl, fetch });
    this.#api = new MittwaldApi({ apiUrl, fetch: abortable(fetch, signal) });
    this.#attempt = attempt;
    this.#apiToken = apiToken;
    this.#extensionId = extensionId;
    this.#signal = signal;
  }

  /**
   * Checks that the token belongs to the extension's contributor. Anybody else sees few or no
   * instances, so the rest would look as if they were gone.
   *
   * @param hint The contributor that an instance names.
   * @returns The contributor's id.
   */
  async checkContributor(hint: string | undefined): Promise<string> {
    this.#contributorId ??= this.#findContributor(hint);
    await this.#executions(`limit=1&skip=0`);
    return await this.#contributorId;
  }

  /** Fetches a page of the extension's instances, oldest first, so that new ones come last. */
  async page(skip: number, limit: number): Promise<Page<RemoteInstance>> {
    const extension = encodeURIComponent(this.#extensionId);
    const answer = await this.#ask(
      `/v2/extension-instances?extensionId=${extension}&limit=${limit}&skip=${skip}&sort=createdAt&order=asc`,
    );
    const page = this.#list(answer, "instances", readInstance);
    if (page.items.some(({ extensionId }) => extensionId !== this.#extensionId)) {
      throw this.#unavailable("the API lists instances of other extensions");
    }
    return page;
  }

  /** Fetches one instance. */
  async instance(id: string): Promise<Found> {
    // The API cannot have an instance whose id does not fit into a path.
    if (!isPathSegment(id)) return { instance: undefined, asOf: undefined };
    const begun = performance.now();
    const answer = await this.#ask(`/v2/extension-instances/${encodeURIComponent(id)}`);
    const sentAt = Date.parse(answer.headers.get("date") ?? "");
    // The header has whole seconds and is written after the instance was read.
    const asOf = Number.isNaN(sentAt)
      ? undefined
      : new Date(sentAt - Math.ceil(performance.now() - begun));
    if (answer.status === 404 || answer.status === 410) return { instance: undefined, asOf };
    this.#assertOk(answer);
    const instance = readInstance(answer.json);
    if (instance?.id !== id) throw this.#unavailable("the API's answer is not the instance");
    if (instance.extensionId !== this.#extensionId) {
      throw new CompareError(
        "ERR_WRONG_EXTENSION",
        `${this.#attempt}: instance ${
          JSON.stringify(id)
        } in the table belongs to another extension`,
      );
    }
    return { instance, asOf };
  }

  /** Fetches the deliveries in one state. */
  async *deliveries(state: string): AsyncGenerator<WebhookDelivery> {
    for (let skip = 0;;) {
      const page = await this.#executions(`state=${state}&limit=${PAGE_SIZE}&skip=${skip}`);
      yield* page.items;
      skip += page.items.length;
      if (page.items.length === 0 || skip >= (page.total ?? 0)) return;
    }
  }

  /** Whether mittwald issues a token for a secret; `undefined` if the instance is gone. */
  async accepts(id: string, secret: string): Promise<boolean | undefined> {
    const path = `/v2/extension-instances/${encodeURIComponent(id)}/tokens`;
    const body = { extensionInstanceSecret: secret };
    // Without the contributor's token, so that a 401 refers to the secret.
    const { status } = await this.#ask(path, { method: "POST", body, anonymous: true });
    if (status === 200 || status === 201) return true;
    if (status === 404 || status === 410) return undefined;
    // These refuse the secret. mittwald documents 400 and leaves the others open.
    if ([400, 401, 403, 409, 422].includes(status)) return false;
    throw this.#unexpected(status);
  }

  /**
   * Gives an instance a new secret, which mStudio delivers to the extension at once. The signal
   * does not abort it: the answer contains a secret that may exist nowhere else.
   *
   * @param allowFailure Whether the secret becomes valid even if the extension cannot be reached or
   *   refuses it.
   * @returns The secret, or the status of a refused rotation.
   */
  async rotate(
    id: string,
    allowFailure: boolean,
  ): Promise<{ secret: string; delivered: boolean } | { status: number }> {
    const [contributor, extension, instance] = [await this.#contributorId!, this.#extensionId, id]
      .map(encodeURIComponent);
    const answer = await this.#ask(
      `/v2/contributors/${contributor}/extensions/${extension}/extension-instances/${instance}/secret`,
      {
        method: "PUT",
        body: allowFailure ? { allowWebhookFailure: true } : {},
        pace: this.#rotations,
        finish: true,
      },
    );
    if ([400, 404, 409, 410, 412, 422].includes(answer.status)) return { status: answer.status };
    this.#assertOk(answer);
    const rotation = readRotation(answer.json);
    if (!rotation) throw this.#unavailable("the API's answer has no secret");
    return rotation;
  }

  async #findContributor(hint: string | undefined): Promise<string> {
    if (hint !== undefined) return hint;
    const answer = await this.#ask(`/v2/extensions/${encodeURIComponent(this.#extensionId)}`);
    if (answer.status === 404) {
      throw new CompareError(
        "ERR_WRONG_EXTENSION",
        `${this.#attempt}: mStudio has no extension with this id`,
      );
    }
    this.#assertOk(answer);
    const { contributorId } = fieldsOf(answer.json);
    if (!isText(contributorId)) throw this.#unavailable("the API's answer names no contributor");
    return contributorId;
  }

  async #executions(query: string): Promise<Page<WebhookDelivery>> {
    const contributor = encodeURIComponent(await this.#contributorId!);
    const extension = encodeURIComponent(this.#extensionId);
    const path = `/v2/contributors/${contributor}/webhook-executions?extensionId=${extension}`;
    const answer = await this.#ask(`${path}&${query}`);
    // Like 403: a caller outside the contributor may get either.
    if (answer.status === 404) throw this.#refused(404);
    return this.#list(answer, "deliveries", readDelivery);
  }

  #list<T>(answer: ApiAnswer, what: string, read: (value: unknown) => T | undefined): Page<T> {
    this.#assertOk(answer);
    const items = Array.isArray(answer.json) ? answer.json.map(read) : [undefined];
    if (items.includes(undefined)) {
      throw this.#unavailable(`the API's answer is not a list of ${what}`);
    }
    const total = answer.headers.get("x-pagination-totalcount");
    return {
      items: items as T[],
      total: total !== null && /^\d{1,9}$/.test(total) ? Number(total) : undefined,
    };
  }

  #assertOk({ status }: ApiAnswer): void {
    if (status === 401 || status === 403) throw this.#refused(status);
    if (status < 200 || status > 299) throw this.#unexpected(status);
  }

  /** Makes a request; retries after 429, 5xx and missing answers. */
  async #ask(path: string, call: Call = {}): Promise<ApiAnswer> {
    const { method = "GET", body, pace, anonymous, finish = false } = call;
    const [api, signal] = finish ? [this.#steadyApi, undefined] : [this.#api, this.#signal];
    return await this.#gate.run(async () => {
      const patience = clock.now() + MAX_WAIT_MS;
      let pauseMs = FIRST_PAUSE_MS;
      for (let tried = 1;;) {
        await pace?.turn(signal);
        signal?.throwIfAborted();
        const deadline = new Deadline(REQUEST_MS);
        let found: string;
        let cause: unknown;
        /** The pause that the API asked for, in milliseconds. */
        let askedMs: number | undefined;
        try {
          const answer = await api.request(path, {
            attempt: this.#attempt,
            deadline,
            method,
            ...(anonymous ? {} : { headers: { "x-access-token": this.#apiToken } }),
            ...(body === undefined ? {} : { body }),
            maxBytes: MAX_ANSWER_BYTES,
          });
          if (answer.status !== 429 && answer.status < 500) return answer;
          found = `the API answered with status ${answer.status}`;
          if (answer.status === 429) askedMs = Math.max(pauseMs, api.pausedMs);
        } catch (error) {
          signal?.throwIfAborted();
          if (error instanceof ApiPausedError) askedMs = error.leftMs;
          if (!(error instanceof ApiError || error instanceof DeadlineExceededError)) throw error;
          found = error instanceof ApiError
            ? error.message
            : `the API did not answer within ${REQUEST_MS / 1_000} s`;
          cause = error;
        } finally {
          deadline.clear();
        }
        if (askedMs !== undefined) {
          if (clock.now() + askedMs > patience) throw this.#unavailable(TOO_LONG, cause);
          await pause(askedMs, signal);
          continue;
        }
        if (tried++ === TRIES) throw this.#unavailable(found, cause);
        await pause(pauseMs, signal);
        pauseMs = Math.min(MAX_PAUSE_MS, 2 * pauseMs);
      }
    });
  }

  #refused(status: number): CompareError {
    return new CompareError(
      "ERR_API_TOKEN_REFUSED",
      `${this.#attempt}: the API answered with status ${status}, the API token ${
        status === 401 ? "is invalid" : "does not belong to the extension's contributor"
      }`,
    );
  }

  #unexpected(status: number): CompareError {
    return this.#unavailable(`the API answered with status ${status}`);
  }

  #unavailable(found: string, cause?: unknown): CompareError {
    const options = cause === undefined ? undefined : { cause };
    return new CompareError("ERR_MSTUDIO_UNAVAILABLE", `${this.#attempt}: ${found}`, options);
  }
}

/** Makes the signal abort requests, too. Node.js has `AbortSignal.any` only from 20.3. */
function abortable(
  fetch: typeof globalThis.fetch | undefined,
  signal: AbortSignal | undefined,
): typeof globalThis.fetch | undefined {
  if (signal === undefined || (fetch !== undefined && typeof fetch !== "function")) return fetch;
  return async (input, init) => {
    const both = new AbortController();
    const abort = () => both.abort();
    for (const one of [signal, init?.signal]) {
      if (one?.aborted) abort();
      one?.addEventListener("abort", abort);
    }
    try {
      return await (fetch ?? globalThis.fetch)(input, { ...init, signal: both.signal });
    } finally {
      // The body is yet to be read; the request's own signal covers that.
      signal.removeEventListener("abort", abort);
    }
  };
}
