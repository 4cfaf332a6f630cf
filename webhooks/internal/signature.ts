/** Checks a delivery's signature: Ed25519 (RFC 8032), by Web Crypto, over the body's raw bytes. */

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

/** A signature's three headers, by mitthooks' names; `""` or `null` if one is missing. */
export interface SignatureFields {
  readonly signatureSerial: string | null;
  readonly signatureAlgorithm: string | null;
  readonly signature: string | null;
}

/** A well-formed signature. */
export interface Signature {
  readonly serial: string;
  readonly algorithm: string;
  readonly text: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Reads the signature's fields from a request's headers. */
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
 * @throws {SignatureMalformedError} When it is malformed.
 */
export function readSignature(fields: SignatureFields): Signature {
  const { signatureSerial: serial, signatureAlgorithm: algorithm, signature: text } = fields;
  if (!serial) throw new SignatureMalformedError("its serial header is missing or empty");
  // Repeated headers arrive joined by commas (RFC 9110, section 5.3). The forms of the other two
  // exclude commas.
  if (serial.includes(",")) throw new SignatureMalformedError("it has more than one serial");
  if (!algorithm) {
    throw new SignatureMalformedError("its algorithm header is missing or empty");
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

/** Checks signatures with a provider's keys. */
export class SignatureCheck {
  readonly #keys: VerificationKeys;

  constructor(publicKeys: PublicKeyProvider) {
    this.#keys = new VerificationKeys(publicKeys);
  }

  /**
   * Gets the key with a serial.
   *
   * @param serial The serial.
   * @param options The time limit; mitthooks' providers ignore it.
   * @throws {UnknownPublicKeyError} When no key has that serial.
   * @throws {PublicKeyUnavailableError | BusyError} When the key cannot be fetched.
   */
  async key(serial: string, options?: PublicKeyOptions): Promise<VerificationKey> {
    return await this.#keys.get(serial, options);
  }

  /**
   * Verifies a signature over exactly these bytes. If it fails, asks the provider for the key
   * again. Returns the key that matches.
   *
   * @throws {SignatureInvalidError} When neither key matches.
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
