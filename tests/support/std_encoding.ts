/**
 * Stand-in for the part of `@std/encoding` that the tests use, on Node's codecs, for networks
 * without JSR. It accepts and refuses the same texts.
 */

import { Buffer } from "node:buffer";

type Source = ArrayBuffer | Uint8Array | string;

function write(source: Source, encoding: "hex" | "base64" | "base64url"): string {
  const bytes = typeof source === "string" ? new TextEncoder().encode(source) : source;
  return Buffer.from(new Uint8Array(bytes)).toString(encoding);
}

function read(text: string, encoding: "hex" | "base64", digits: RegExp, wrongLength: boolean) {
  if (wrongLength) throw new RangeError(`Cannot decode input as ${encoding}: wrong length`);
  if (!digits.test(text)) throw new TypeError(`Cannot decode input as ${encoding}`);
  return new Uint8Array(Buffer.from(text, encoding));
}

export const encodeHex = (src: Source): string => write(src, "hex");
export const encodeBase64 = (data: Source): string => write(data, "base64");
export const encodeBase64Url = (data: Source): string => write(data, "base64url");

export function decodeHex(src: string): Uint8Array<ArrayBuffer> {
  return read(src, "hex", /^[0-9A-Fa-f]*$/, src.length % 2 === 1);
}

/** As in the original, the padding may be missing or incomplete. */
export function decodeBase64(b64: string): Uint8Array<ArrayBuffer> {
  const digits = b64.replace(/={1,2}$/, "");
  return read(digits, "base64", /^[A-Za-z0-9+/]*$/, digits.length % 4 === 1);
}
