/** The check of a delivery's signature: Ed25519 (RFC 8032) by Web Crypto over the raw bytes of the body. */

import { SignatureInvalidError, SignatureMalformedError } from "../../errors.ts";
import { decodeBase64 } from "../../internal/base64.ts";
import {
  ED25519,
  type VerificationKey,
  VerificationKeys,
} from "../../internal/verification_keys.ts";
import type { PublicKeyProvider } from "../interfaces.ts";
import type { PublicKeyOptions } from "../public_keys.ts";

const SERIAL_HEADER = "x-marketplace-signature-serial";
const ALGORITHM_HEADER = "x-marketplace-signature-algorithm";
const SIGNATURE_HEADER = "x-marketplace-signature";
/** RFC 8032, section 5.1.6. */
const SIGNATURE_BYTES = 64;

/** The three headers of a signature, in mitthooks' names; `""` or `null` where one is missing. */
export interface SignatureFields {
  readonly signatureSerial: string | null;
  readonly signatureAlgorithm: string | null;
  readonly signature: string | null;
}

/** A signature that has the right form. */
export interface Signature {
  readonly serial: string;
  readonly algorithm: string;
  readonly text: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Takes the signature's fields from a request's headers. */
export function signatureFields(headers: Headers): SignatureFields {
  return {
    signatureSerial: headers.get(SERIAL_HEADER),
    signatureAlgorithm: headers.get(ALGORITHM_HEADER),
    signature: headers.get(SIGNATURE_HEADER),
  };
}

/**
 * Checks the form of a signature.
 *
 * @throws {SignatureMalformedError}
 */
export function readSignature(fields: SignatureFields): Signature {
  const { signatureSerial: serial, signatureAlgorithm: algorithm, signature: text } = fields;
  if (!serial) throw new SignatureMalformedError("the header of its serial is missing or empty");
  // Repeated headers arrive joined by commas. In the other two the comma is refused by their form.
  if (serial.includes(",")) throw new SignatureMalformedError("it has more than one serial");
  if (!algorithm) {
    throw new SignatureMalformedError("the header of its algorithm is missing or empty");
  }
  if (algorithm.toLowerCase() !== ED25519.toLowerCase()) {
    throw new SignatureMalformedError(`its algorithm is not ${ED25519}`);
  }
  if (!text) throw new SignatureMalformedError("its header is missing or empty");
  const bytes = decodeBase64(text);
  if (bytes?.byteLength !== SIGNATURE_BYTES) {
    throw new SignatureMalformedError(`it is not base64 of ${SIGNATURE_BYTES} bytes`);
  }
  return { serial, algorithm, text, bytes };
}

/** Checks signatures by the keys of a provider. */
export class SignatureCheck {
  readonly #keys: VerificationKeys;

  constructor(publicKeys: PublicKeyProvider) {
    this.#keys = new VerificationKeys(publicKeys);
  }

  /**
   * The key of a serial.
   *
   * @param serial The serial.
   * @param options For how long to wait; providers of mitthooks do not know it.
   * @throws {UnknownPublicKeyError} When nobody has a key of that serial.
   * @throws {PublicKeyUnavailableError | BusyError} When the key cannot be had.
   */
  async key(serial: string, options?: PublicKeyOptions): Promise<VerificationKey> {
    return await this.#keys.get(serial, options);
  }

  /**
   * Returns the key by which a signature was made over exactly these bytes: the one that is given, or another one that
   * its provider has in its place once it is told that the first did not fit.
   *
   * @throws {SignatureInvalidError} When it was made by neither.
   */
  async verify(
    used: VerificationKey,
    signature: Signature,
    body: Uint8Array<ArrayBuffer>,
    options?: PublicKeyOptions,
  ): Promise<VerificationKey> {
    if (await isSigned(used, signature, body)) return used;
    const another = await this.#keys.instead(used, options);
    if (another !== undefined && await isSigned(another, signature, body)) return another;
    throw new SignatureInvalidError();
  }
}

async function isSigned(
  { key }: VerificationKey,
  { bytes }: Signature,
  body: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  return await crypto.subtle.verify(ED25519, key, bytes, body);
}
