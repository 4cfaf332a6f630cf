/** Reading a body of unknown length. */

/** What ends the reading of a body early. */
export class BodyError extends Error {
  readonly reason: "too large" | "unreadable";

  constructor(reason: "too large" | "unreadable", message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

const FIRST_BUFFER_BYTES = 8 * 1024;

/**
 * Reads a body, but not beyond a limit; what any header says of its length does not matter. However it ends, the
 * stream is finished or cancelled.
 *
 * @param source Whose body to read: a request or a response.
 * @param maxBytes The limit in bytes.
 * @param step Waits for one chunk; may throw to stop reading.
 */
export async function readBody(
  source: Request | Response,
  maxBytes: number,
  step: <T>(read: () => Promise<T>) => Promise<T>,
): Promise<Uint8Array<ArrayBuffer>> {
  if (source.bodyUsed || source.body?.locked) {
    throw new BodyError("unreadable", "it was already read before it came here");
  }
  if (source.body === null) return new Uint8Array(0);
  const reader = source.body.getReader();
  try {
    let buffer = new Uint8Array(Math.min(FIRST_BUFFER_BYTES, maxBytes));
    let length = 0;
    for (;;) {
      const chunk = await step(() => readChunk(reader));
      if (chunk === undefined) return buffer.subarray(0, length);
      const needed = length + chunk.byteLength;
      if (needed > maxBytes) {
        throw new BodyError("too large", `it is larger than ${maxBytes} bytes`);
      }
      if (needed > buffer.byteLength) {
        const larger = new Uint8Array(Math.min(maxBytes, Math.max(needed, 2 * buffer.byteLength)));
        larger.set(buffer.subarray(0, length));
        buffer = larger;
      }
      buffer.set(chunk, length);
      length = needed;
    }
  } catch (error) {
    // Not awaited: a source that does not send may not answer to a cancellation either.
    reader.cancel().catch(() => {});
    throw error;
  }
}

/** The next chunk; `undefined` at the end. */
async function readChunk(
  reader: ReadableStreamDefaultReader<unknown>,
): Promise<Uint8Array | undefined> {
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
  return new Uint8Array(buffer, byteOffset, byteLength);
}
