/**
 * Makes one attempt to deliver a request.
 *
 * @module
 */

import type { AttemptFailure, DeliveryTarget } from "../delivery.ts";
import { pause } from "./timers.ts";

/** Limit for a response's body in bytes: an endless one must not fill the memory. */
const MAX_BODY_BYTES = 64 * 1024;

/** A request as sent, with its data for the log. */
export interface WireRequest {
  readonly requestId: string;
  readonly createdAt: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** The outcome of an attempt: a response, read up to the limit, or a failure. */
export type AttemptResult =
  | {
    readonly status: number;
    readonly headers: Headers;
    readonly body: Uint8Array<ArrayBuffer>;
    readonly failure?: never;
  }
  | { readonly failure: AttemptFailure; readonly cause?: unknown };

/** Builds the receiver's request. */
export function toRequest(wire: WireRequest): Request {
  return new Request(wire.url, {
    method: "POST",
    headers: wire.headers,
    body: new Uint8Array(wire.body),
    redirect: "manual", // mStudio treats everything but 2xx as a failure
  });
}

/** The limits of an attempt. */
export interface AttemptLimits {
  /** The time limit in milliseconds. */
  readonly timeoutMs: number;
  /** Delay of the request in milliseconds. */
  readonly delayMs?: number | undefined;
  /** Aborts the attempt. */
  readonly closed: AbortSignal;
}

/**
 * Sends a request and reads the response, all within the time limit including the delay. Never
 * rejects.
 */
export async function send(
  target: DeliveryTarget,
  wire: WireRequest,
  { timeoutMs, delayMs = 0, closed }: AttemptLimits,
): Promise<AttemptResult> {
  const end = new AbortController();
  let failure: AttemptFailure = "no-response";
  const endAs = (reason: AttemptFailure) => {
    failure = reason;
    end.abort();
  };
  const onClosed = () => endAs("closed");
  if (closed.aborted) return { failure: "closed" };
  closed.addEventListener("abort", onClosed);
  const timer = setTimeout(() => endAs("timed-out"), timeoutMs);
  try {
    if (delayMs > 0) {
      await pause(delayMs, end.signal);
      end.signal.throwIfAborted();
    }
    const response = typeof target === "function"
      ? await unlessAborted(call(target, wire), end.signal)
      : await fetch(toRequest(wire), { signal: end.signal });
    // No `instanceof`: adapters and other realms have their own `Response`.
    if (!(response?.status > 0)) {
      throw new TypeError("Reading the handler's answer: it is not a valid Response");
    }
    return {
      status: response.status,
      headers: response.headers,
      body: await readAll(response, end.signal),
    };
  } catch (cause) {
    return { failure, cause };
  } finally {
    clearTimeout(timer);
    closed.removeEventListener("abort", onClosed);
  }
}

/** Turns a handler's synchronous errors into rejections. */
async function call(
  handler: (request: Request) => Response | Promise<Response>,
  wire: WireRequest,
): Promise<Response> {
  return await handler(toRequest(wire));
}

/** A handler cannot be cancelled, so it keeps running; its outcome is ignored. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Reads a body to its end or the limit. An abort cancels it, which ends endless streams. */
async function readAll(response: Response, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const reader = response.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const cancel = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", cancel);
  try {
    const body = new Uint8Array(MAX_BODY_BYTES);
    let length = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const chunk = part.value.subarray(0, MAX_BODY_BYTES - length);
      body.set(chunk, length);
      length += chunk.byteLength;
      if (length === MAX_BODY_BYTES) {
        cancel();
        break;
      }
    }
    signal.throwIfAborted();
    return body.slice(0, length);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
