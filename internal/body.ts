/** Reads bodies of unknown length from requests and responses of any implementation. */

import type { Deadline } from "./deadline.ts";

/** What was found when a body parser ran first. */
export const READ_BEFORE = "it was already read by a body parser";

/** A body could not be read to its end. */
export class BodyError extends Error {
  /** `unsupported`: the implementation of the body cannot be read, whatever its content. */
  readonly reason: "read before" | "too large" | "unreadable" | "unsupported";

  constructor(reason: BodyError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** A `Request` or `Response`, or a look-alike: of node-fetch, an adapter or another realm. */
export interface BodySource {
  readonly headers: Pick<Headers, "get">;
  readonly bodyUsed?: boolean;
  /** A web stream, another async iterable (Node's streams), or an unknown value. */
  readonly body?: unknown;
  arrayBuffer?(): Promise<unknown>;
}

/**
 * Reads a body up to a limit, whatever its headers say about its length. Afterwards its stream is
 * always finished or cancelled. A body without a stream is read by `arrayBuffer()` and its size
 * checked afterwards.
 *
 * @param source The request or response.
 * @param maxBytes The limit in bytes.
 * @param deadline The time limit.
 * @param attempt What is attempted, for {@linkcode DeadlineExceededError}.
 * @returns The bytes, copied: a source may reuse its memory.
 */
export async function readBody(
  source: BodySource,
  maxBytes: number,
  deadline: Deadline,
  attempt: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const { body } = source;
  if (source.bodyUsed || (body as Partial<ReadableStream> | null | undefined)?.locked) {
    throw new BodyError("read before", READ_BEFORE);
  }
  if (body === null) return new Uint8Array(0);
  const chunks = chunksOf(body);
  if (chunks === undefined) return await readWhole(source, maxBytes, deadline, attempt);
  try {
    return await deadline.run(attempt, () => readAll(chunks, maxBytes, deadline, attempt));
  } catch (error) {
    // Not awaited: a source that has stalled may not answer the cancellation either.
    chunks.cancel().catch(() => {});
    throw error;
  }
}

interface Chunks {
  next(): Promise<{ readonly done?: boolean; readonly value?: unknown }>;
  cancel(): Promise<unknown>;
}

/** No `instanceof`: in VM contexts, streams and chunks come from another realm. */
function chunksOf(body: unknown): Chunks | undefined {
  const { getReader, [Symbol.asyncIterator]: iterate } = (body ?? {}) as Partial<
    ReadableStream & AsyncIterable<unknown>
  >;
  if (typeof getReader === "function") {
    const reader = (body as ReadableStream).getReader();
    return { next: () => reader.read(), cancel: () => reader.cancel() };
  }
  if (typeof iterate === "function") {
    const iterator = (body as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    return { next: () => iterator.next(), cancel: async () => await iterator.return?.() };
  }
  return undefined;
}

async function readAll(
  chunks: Chunks,
  maxBytes: number,
  deadline: Deadline,
  attempt: string,
): Promise<Uint8Array<ArrayBuffer>> {
  let buffer = new Uint8Array(0);
  let length = 0;
  for (;;) {
    const chunk = await readChunk(chunks);
    if (chunk === undefined) return buffer.subarray(0, length);
    deadline.check(attempt);
    const needed = length + chunk.byteLength;
    checkSize(needed, maxBytes);
    // Most bodies are one chunk.
    if (needed > buffer.byteLength) {
      buffer = enlarge(buffer, length === 0 ? needed : Math.min(maxBytes, 2 * needed));
    }
    buffer.set(chunk, length);
    length = needed;
  }
}

function enlarge(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}

function checkSize(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes) throw new BodyError("too large", `it is larger than ${maxBytes} bytes`);
}

/** The next chunk; `undefined` at the end. */
async function readChunk(chunks: Chunks): Promise<Uint8Array | undefined> {
  let chunk: Awaited<ReturnType<Chunks["next"]>>;
  try {
    chunk = await chunks.next();
  } catch (cause) {
    throw new BodyError("unreadable", "it broke off", { cause });
  }
  return chunk.done ? undefined : bytesOf(chunk.value);
}

function bytesOf(value: unknown): Uint8Array {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  if (Object.prototype.toString.call(value) === "[object ArrayBuffer]") {
    return new Uint8Array(value as ArrayBuffer);
  }
  throw new BodyError("unsupported", "its content is not bytes");
}

async function readWhole(
  source: BodySource,
  maxBytes: number,
  deadline: Deadline,
  attempt: string,
): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof source.arrayBuffer !== "function") {
    throw new BodyError("unsupported", "it has neither a stream nor the method arrayBuffer");
  }
  checkSize(Number(source.headers.get("content-length")), maxBytes);
  const whole = await deadline.run(attempt, async () => {
    try {
      return await source.arrayBuffer?.();
    } catch (cause) {
      throw new BodyError("unreadable", "it broke off", { cause });
    }
  });
  const bytes = bytesOf(whole);
  checkSize(bytes.byteLength, maxBytes);
  return new Uint8Array(bytes);
}
