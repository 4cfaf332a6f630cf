/**
 * The stored form of an encrypted value: `base64(iv):base64(ciphertext):base64(tag)`, as the npm
 * package `@weissaufschwarz/mitthooks-drizzle` writes it, under a random IV.
 */

import { decodeBase64, encodeBase64 } from "../../../internal/base64.ts";
import { type AesGcm, IV_BYTES, type Sealed, TAG_BYTES } from "./aes_gcm.ts";

/** Instead of a plaintext: the value does not have the stored form. */
export const MALFORMED = Symbol("malformed");
/** Instead of a plaintext: the value was encrypted with another key, or was modified. */
export const REFUSED = Symbol("refused");

/** The result of opening a stored value. */
export type Opened = string | typeof MALFORMED | typeof REFUSED;

/** The maximum length in bytes for synchronous encryption; another thread does longer values. */
const LONGEST_NOW = 65_536;

const base64Length = (bytes: number) => 4 * Math.ceil(bytes / 3);

const IV_CHARACTERS = base64Length(IV_BYTES);
const TAG_CHARACTERS = base64Length(TAG_BYTES);

/** The length of the stored form of such a value. */
const LONGEST_STORED_NOW = IV_CHARACTERS + base64Length(LONGEST_NOW) + TAG_CHARACTERS + 2;

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Where {@linkcode openNow} decodes a stored value's parts. Node.js copies the bytes of a short
 * array to another place before its cipher can read them.
 */
let scratch: Bytes | undefined;

const encoder = new TextEncoder();
// A leading U+FEFF belongs to the value; by default a decoder drops it as a byte order mark.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Encrypts a well-formed string into the stored form. */
export async function seal({ web }: AesGcm, plaintext: string): Promise<string> {
  return format(await web.seal(randomIv(), encoder.encode(plaintext)));
}

/**
 * Like {@linkcode seal}, but synchronous; `undefined` if the runtime lacks `node:crypto` or the
 * value is long.
 */
export function sealNow({ node }: AesGcm, plaintext: string): string | undefined {
  if (!node || plaintext.length > LONGEST_NOW) return undefined;
  const bytes = encoder.encode(plaintext);
  return bytes.length > LONGEST_NOW ? undefined : format(node.seal(randomIv(), bytes));
}

/** Decrypts the stored form. */
export async function open({ web }: AesGcm, stored: string): Promise<Opened> {
  const sealed = parse(stored);
  return sealed ? decode(await web.open(sealed)) : MALFORMED;
}

/**
 * Like {@linkcode open}, but synchronous; `undefined` if the runtime lacks `node:crypto` or the
 * value is long.
 */
export function openNow({ node }: AesGcm, stored: string): Opened | undefined {
  if (!node || stored.length > LONGEST_STORED_NOW) return undefined;
  const sealed = parse(stored, scratch ??= new Uint8Array(LONGEST_STORED_NOW));
  return sealed ? decode(node.open(sealed)) : MALFORMED;
}

/** Whether {@linkcode seal} could have produced a text, under any key. */
export function hasStoredForm(text: string): boolean {
  return parse(text) !== undefined;
}

function randomIv(): Bytes {
  return crypto.getRandomValues(new Uint8Array(IV_BYTES));
}

function format({ iv, ciphertext, tag }: Sealed): string {
  return `${encodeBase64(iv)}:${encodeBase64(ciphertext)}:${encodeBase64(tag)}`;
}

/**
 * Checks the lengths: runtimes accept shorter tags, which can be forged (SP 800-38D, appendix C).
 *
 * @param into Room for the parts, which are no longer than their texts.
 */
function parse(stored: string, into?: Bytes): Sealed | undefined {
  const [ivEnd, tagStart] = [IV_CHARACTERS, stored.length - TAG_CHARACTERS];
  if (ivEnd + 1 >= tagStart || stored[ivEnd] !== ":" || stored[tagStart - 1] !== ":") {
    return undefined;
  }
  const part = (start: number, end: number) =>
    decodeBase64(stored.slice(start, end), into?.subarray(start, end));
  const [iv, ciphertext, tag] = [
    part(0, ivEnd),
    part(ivEnd + 1, tagStart - 1),
    part(tagStart, stored.length),
  ];
  return iv?.length === IV_BYTES && ciphertext && tag?.length === TAG_BYTES
    ? { iv, ciphertext, tag }
    : undefined;
}

function decode(plaintext: Uint8Array | undefined): Opened {
  if (plaintext === undefined) return REFUSED;
  try {
    return decoder.decode(plaintext);
  } catch {
    return REFUSED;
  }
}
