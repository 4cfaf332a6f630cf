/** The check of a delivery's signature: Ed25519 (RFC 8032) by Web Crypto over the raw bytes of the body. */

import type { PublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import { decodeBase64 } from "../../internal/base64.ts";
import {
  BusyError,
  PublicKeyUnavailableError,
  SignatureInvalidError,
  SignatureMalformedError,
  UnknownPublicKeyError,
} from "../../errors.ts";
import { codeOf } from "../../internal/code_of.ts";
import { LruMap } from "../../internal/lru.ts";
import type { PublicKeyOptions } from "../public_keys.ts";
import { decodePublicKey } from "./public_key.ts";

const SERIAL_HEADER = "x-marketplace-signature-serial";
const ALGORITHM_HEADER = "x-marketplace-signature-algorithm";
const SIGNATURE_HEADER = "x-marketplace-signature";
const ALGORITHM = "Ed25519";
/** RFC 8032, section 5.1.6. */
const SIGNATURE_BYTES = 64;
const MAX_IMPORTED_KEYS = 64;

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
  if (algorithm.toLowerCase() !== ALGORITHM.toLowerCase()) {
    throw new SignatureMalformedError(`its algorithm is not ${ALGORITHM}`);
  }
  if (!text) throw new SignatureMalformedError("its header is missing or empty");
  const bytes = decodeBase64(text);
  if (bytes?.byteLength !== SIGNATURE_BYTES) {
    throw new SignatureMalformedError(`it is not base64 of ${SIGNATURE_BYTES} bytes`);
  }
  return { serial, algorithm, text, bytes };
}

/** A public key, ready for use. */
export interface ImportedKey {
  readonly serial: string;
  /** As its provider has it: base64. */
  readonly text: string;
  readonly key: CryptoKey;
  /** Whether it was never seen before: whoever provides keys has just had it. */
  readonly isNew: boolean;
}

/** What a provider may have beyond mitthooks' method; `MittwaldPublicKeys` has it. */
interface AskAgain {
  askAgain?(serial: string, failed: string, options?: PublicKeyOptions): unknown;
}

/** Checks signatures by the keys of a provider. */
export class SignatureCheck {
  readonly #publicKeys: PublicKeyProvider;
  readonly #imported: LruMap<string, CryptoKey> = new LruMap(MAX_IMPORTED_KEYS);

  constructor(publicKeys: PublicKeyProvider) {
    this.#publicKeys = publicKeys;
  }

  /**
   * The key of a serial.
   *
   * @param serial The serial.
   * @param options For how long to wait; providers of mitthooks do not know it.
   * @throws {UnknownPublicKeyError} When nobody has a key of that serial.
   * @throws {PublicKeyUnavailableError | BusyError} When the key cannot be had.
   */
  async key(serial: string, options?: PublicKeyOptions): Promise<ImportedKey> {
    return await this.#ready(serial, await this.#getPublicKey(serial, options));
  }

  /**
   * Returns the key by which a signature was made over exactly these bytes: the one that is given, or another one that
   * its provider has in its place once it is told that the first did not fit.
   *
   * @throws {SignatureInvalidError} When it was made by neither.
   */
  async verify(
    used: ImportedKey,
    signature: Signature,
    body: Uint8Array<ArrayBuffer>,
    options?: PublicKeyOptions,
  ): Promise<ImportedKey> {
    if (await isSigned(used, signature, body)) return used;
    const another = await this.#another(used, options);
    if (another !== undefined && await isSigned(another, signature, body)) return another;
    throw new SignatureInvalidError();
  }

  /** No failure of the provider's counts here: the signature has failed already. */
  async #another(
    { serial, text }: ImportedKey,
    options: PublicKeyOptions | undefined,
  ): Promise<ImportedKey | undefined> {
    const publicKeys: PublicKeyProvider & AskAgain = this.#publicKeys;
    try {
      const again = await publicKeys.askAgain?.(serial, text, options);
      if (typeof again !== "string" || again === text) return undefined;
      return await this.#ready(serial, again);
    } catch {
      return undefined;
    }
  }

  async #ready(serial: string, text: string): Promise<ImportedKey> {
    const key = this.#imported.get(text);
    return key === undefined
      ? { serial, text, key: await this.#import(text), isNew: true }
      : { serial, text, key, isNew: false };
  }

  async #getPublicKey(serial: string, options: PublicKeyOptions | undefined): Promise<string> {
    const publicKeys: { getPublicKey(serial: string, options?: PublicKeyOptions): unknown } =
      this.#publicKeys;
    try {
      return await publicKeys.getPublicKey(serial, options) as string;
    } catch (error) {
      if (
        error instanceof BusyError || error instanceof PublicKeyUnavailableError ||
        error instanceof SignatureInvalidError
      ) throw error;
      // By code: the provider may come from another copy of this package.
      switch (codeOf(error)) {
        case "ERR_SIGNATURE_INVALID":
          throw new UnknownPublicKeyError();
        case "ERR_BUSY":
          throw new BusyError("their provider is busy");
        default:
          throw new PublicKeyUnavailableError("their provider failed", { cause: error });
      }
    }
  }

  async #import(publicKey: string): Promise<CryptoKey> {
    const bytes = decodePublicKey(publicKey);
    let key: CryptoKey;
    try {
      key = await crypto.subtle.importKey("raw", bytes, ALGORITHM, false, ["verify"]);
    } catch (cause) {
      throw new PublicKeyUnavailableError("this runtime's Web Crypto refuses it", { cause });
    }
    this.#imported.set(publicKey, key);
    return key;
  }
}

async function isSigned(
  { key }: ImportedKey,
  { bytes }: Signature,
  body: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  return await crypto.subtle.verify(ALGORITHM, key, bytes, body);
}
