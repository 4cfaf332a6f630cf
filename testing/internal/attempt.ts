/**
 * One attempt to deliver one request.
 *
 * @module
 */

import type { AttemptFailure, DeliveryTarget } from "../delivery.ts";
import { pause } from "./timers.ts";

/** So much of a response's body is read, in bytes: an answer without end must not fill the memory. */
const MAX_BODY_BYTES = 64 * 1024;

/** A request as it goes over the wire, and what the log tells of it. */
export interface WireRequest {
  readonly requestId: string;
  readonly createdAt: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What came of an attempt: a response that was read, to its end unless it is too long, or none. */
export type AttemptResult =
  | {
    readonly status: number;
    readonly headers: Headers;
    readonly body: Uint8Array<ArrayBuffer>;
    readonly failure?: never;
  }
  | { readonly failure: AttemptFailure; readonly cause?: unknown };

/** A request as a receiver gets it. */
export function toRequest(wire: WireRequest): Request {
  return new Request(wire.url, {
    method: "POST",
    headers: wire.headers,
    body: new Uint8Array(wire.body),
    redirect: "manual", // mStudio takes everything but 2xx for a failure
  });
}

/** How long an attempt may take, and what ends it early. */
export interface AttemptLimits {
  /** The time limit in milliseconds. */
  readonly timeoutMs: number;
  /** How long the request is held back, in milliseconds. */
  readonly delayMs?: number | undefined;
  /** Ends the attempt when aborted. */
  readonly closed: AbortSignal;
}

/** Sends a request and reads the response, delay included all within the time limit. Never rejects. */
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
    // Not by instanceof: adapters and other realms bring a Response of their own.
    if (!(response?.status > 0)) {
      throw new TypeError("Reading the handler's answer: it is no Response that can be sent");
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

/** Turns what a handler throws synchronously into a rejection. */
async function call(
  handler: (request: Request) => Response | Promise<Response>,
  wire: WireRequest,
): Promise<Response> {
  return await handler(toRequest(wire));
}

/** A handler can't be ended from outside, so it is left alone; what becomes of it is nobody's business. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Reads a body to its end or the limit. An abort cancels it, which ends streams that never would. */
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
