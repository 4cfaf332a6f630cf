/** Public keys of Ed25519 (RFC 8032) from a provider, ready for use. */

import {
  BusyError,
  PublicKeyUnavailableError,
  SignatureInvalidError,
  UnknownPublicKeyError,
} from "../errors.ts";
import { checkMethods } from "./check_options.ts";
import { codeOf } from "./code_of.ts";
import { LruMap } from "./lru.ts";
import { decodePublicKey } from "./public_key.ts";

/** The name of the signatures in Web Crypto. */
export const ED25519 = "Ed25519";
const MAX_IMPORTED_KEYS = 64;

/** For how long to wait for a key, in milliseconds; providers of mitthooks do not know it. */
interface Wait {
  readonly waitMs?: number | undefined;
}

/** Who has public keys: mitthooks' `PublicKeyProvider`, or more than that, as `MittwaldPublicKeys`. */
export interface KeyProvider {
  getPublicKey(serial: string, options?: Wait): unknown;
  askAgain?(serial: string, failed: string, options?: Wait): unknown;
}

/** Refuses what provides no keys, and a `MittwaldPublicKeys` whose keys sign something else. */
export function checkKeyProvider(provider: unknown, purpose: "webhook" | "session_token"): void {
  checkMethods("publicKeys", provider, ["getPublicKey"]);
  const { purpose: found = purpose } = provider as { purpose?: unknown };
  if (found !== purpose) {
    throw new TypeError(
      `Reading the option publicKeys: their purpose is ${JSON.stringify(found)}, ` +
        `and has to be ${JSON.stringify(purpose)}`,
    );
  }
}

/** A public key, ready for use. */
export interface VerificationKey {
  readonly serial: string;
  /** As its provider has it: base64. */
  readonly text: string;
  readonly key: CryptoKey;
  /** Whether it was never seen before: whoever provides keys has just had it. */
  readonly isNew: boolean;
}

/** The keys of one provider. Those that were used last are imported once. */
export class VerificationKeys {
  readonly #provider: KeyProvider;
  // The keys themselves: on Cloudflare Workers a promise dies with the request that made it.
  readonly #imported: LruMap<string, CryptoKey> = new LruMap(MAX_IMPORTED_KEYS);

  constructor(provider: KeyProvider) {
    this.#provider = provider;
  }

  /**
   * The key of a serial.
   *
   * @param serial The serial.
   * @param options For how long to wait.
   * @throws {UnknownPublicKeyError} When nobody has a key of that serial.
   * @throws {PublicKeyUnavailableError | BusyError} When the key cannot be had.
   */
  async get(serial: string, options?: Wait): Promise<VerificationKey> {
    return await this.#ready(serial, await this.#getPublicKey(serial, options));
  }

  /**
   * Another key that the provider has in the place of one, once it is told that a signature did not fit to that;
   * `undefined` where it has none. No failure of the provider's counts here: the signature has failed already.
   */
  async instead(
    { serial, text }: VerificationKey,
    options?: Wait,
  ): Promise<VerificationKey | undefined> {
    try {
      const again = await this.#provider.askAgain?.(serial, text, options);
      if (typeof again !== "string" || again === text) return undefined;
      return await this.#ready(serial, again);
    } catch {
      return undefined;
    }
  }

  async #ready(serial: string, text: string): Promise<VerificationKey> {
    const key = this.#imported.get(text);
    return key === undefined
      ? { serial, text, key: await this.#import(text), isNew: true }
      : { serial, text, key, isNew: false };
  }

  async #getPublicKey(serial: string, options: Wait | undefined): Promise<string> {
    try {
      return await this.#provider.getPublicKey(serial, options) as string;
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
      key = await crypto.subtle.importKey("raw", bytes, ED25519, false, ["verify"]);
    } catch (cause) {
      throw new PublicKeyUnavailableError("this runtime's Web Crypto refuses it", { cause });
    }
    this.#imported.set(publicKey, key);
    return key;
  }
}
