/** Reading a body of unknown length, of a request or a response of any make. */

import type { Deadline } from "./deadline.ts";

/** Found where a body parser was there first. */
export const READ_BEFORE = "it was already read before it came here, by a body parser";

/** What ends the reading of a body early. */
export class BodyError extends Error {
  /** `unsupported`: it is of a make that cannot be read here, whatever is sent. */
  readonly reason: "read before" | "too large" | "unreadable" | "unsupported";

  constructor(reason: BodyError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** A `Request` or a `Response`, or what stands for one: node-fetch's, an adapter's, another realm's. */
export interface BodySource {
  readonly headers: Pick<Headers, "get">;
  readonly bodyUsed?: boolean;
  /** A web stream, another asynchronous iterable (Node's streams), or nothing that is known here. */
  readonly body?: unknown;
  arrayBuffer?(): Promise<unknown>;
}

/**
 * Reads a body, but not beyond a limit; what any header says of its length does not matter. However it ends, the
 * stream is finished or cancelled. Without a stream all is read by `arrayBuffer()`, and looked at afterwards.
 *
 * @param source Whose body to read.
 * @param maxBytes The limit in bytes.
 * @param deadline When to stop.
 * @param attempt What was attempted, for its error.
 * @returns The bytes, in memory that nobody else has: a source may use its own again.
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
    // Not awaited: a source that does not send may not answer to a cancellation either.
    chunks.cancel().catch(() => {});
    throw error;
  }
}

interface Chunks {
  next(): Promise<{ readonly done?: boolean; readonly value?: unknown }>;
  cancel(): Promise<unknown>;
}

/** Not by `instanceof`: on runtimes built on a VM context streams and chunks come from another realm. */
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
  throw new BodyError("unsupported", "what was read of it are not bytes");
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
