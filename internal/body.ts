/** Reading a body of unknown length. */

import type { Deadline } from "./deadline.ts";

/** Found where a body parser was there first. */
export const READ_BEFORE = "it was already read before it came here, by a body parser";

/** What ends the reading of a body early. */
export class BodyError extends Error {
  readonly reason: "read before" | "too large" | "unreadable";

  constructor(reason: BodyError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/**
 * Reads a body, but not beyond a limit; what any header says of its length does not matter. However it ends, the
 * stream is finished or cancelled.
 *
 * @param source Whose body to read: a request or a response.
 * @param maxBytes The limit in bytes.
 * @param deadline When to stop.
 * @param attempt What was attempted, for its error.
 */
export async function readBody(
  source: Request | Response,
  maxBytes: number,
  deadline: Deadline,
  attempt: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const { body } = source;
  if (source.bodyUsed || body?.locked) {
    throw new BodyError("read before", READ_BEFORE);
  }
  if (body === null) return new Uint8Array(0);
  const reader = body.getReader();
  try {
    return await deadline.run(attempt, () => readAll(reader, maxBytes, deadline, attempt));
  } catch (error) {
    // Not awaited: a source that does not send may not answer to a cancellation either.
    reader.cancel().catch(() => {});
    throw error;
  }
}

async function readAll(
  reader: ReadableStreamDefaultReader<unknown>,
  maxBytes: number,
  deadline: Deadline,
  attempt: string,
): Promise<Uint8Array<ArrayBuffer>> {
  // Most bodies are one chunk. Of more, none is kept: a chunk can hold on to a buffer many times its size.
  let buffer = new Uint8Array(0);
  let length = 0;
  for (;;) {
    const chunk = await readChunk(reader);
    if (chunk === undefined) return buffer.subarray(0, length);
    deadline.check(attempt);
    const needed = length + chunk.byteLength;
    if (needed > maxBytes) {
      throw new BodyError("too large", `it is larger than ${maxBytes} bytes`);
    }
    if (length === 0) {
      buffer = chunk;
    } else {
      if (needed > buffer.byteLength) buffer = enlarge(buffer, Math.min(maxBytes, 2 * needed));
      buffer.set(chunk, length);
    }
    length = needed;
  }
}

function enlarge(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}

/** The next chunk; `undefined` at the end. */
async function readChunk(
  reader: ReadableStreamDefaultReader<unknown>,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  let chunk: ReadableStreamReadResult<unknown>;
  try {
    chunk = await reader.read();
  } catch (cause) {
    throw new BodyError("unreadable", "it broke off", { cause });
  }
  if (chunk.done) return undefined;
  // Not `instanceof`: on runtimes built on a VM context the chunks come from another realm.
  if (!ArrayBuffer.isView(chunk.value)) {
    throw new BodyError("unreadable", "it does not consist of bytes");
  }
  const { buffer, byteOffset, byteLength } = chunk.value;
  // No body has a SharedArrayBuffer.
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
