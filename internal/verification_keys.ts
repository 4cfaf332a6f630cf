/** Imported Ed25519 public keys (RFC 8032) of a provider. */

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

/** The algorithm's name in Web Crypto. */
export const ED25519 = "Ed25519";
const MAX_IMPORTED_KEYS = 64;

/** The time limit for fetching a key, in milliseconds; mitthooks' providers ignore it. */
interface Wait {
  readonly waitMs?: number | undefined;
}

/** mitthooks' `PublicKeyProvider`, or an extended one such as `MittwaldPublicKeys`. */
export interface KeyProvider {
  getPublicKey(serial: string, options?: Wait): unknown;
  askAgain?(serial: string, failed: string, options?: Wait): unknown;
}

/** Refuses values that are not providers, and a `MittwaldPublicKeys` for another purpose. */
export function checkKeyProvider(provider: unknown, purpose: "webhook" | "session_token"): void {
  checkMethods("publicKeys", provider, ["getPublicKey"]);
  const { purpose: found = purpose } = provider as { purpose?: unknown };
  if (found !== purpose) {
    throw new TypeError(
      `Reading the option publicKeys: their purpose is ${JSON.stringify(found)}, ` +
        `not ${JSON.stringify(purpose)}`,
    );
  }
}

/** An imported public key. */
export interface VerificationKey {
  readonly serial: string;
  /** In base64, as the provider returned it. */
  readonly text: string;
  readonly key: CryptoKey;
  /** Whether it was imported just now, so the provider has just fetched it. */
  readonly isNew: boolean;
}

/** The keys of one provider. The most recently used ones stay imported. */
export class VerificationKeys {
  readonly #provider: KeyProvider;
  // Keys, not promises: on Cloudflare Workers a promise dies with the request that made it.
  readonly #imported: LruMap<string, CryptoKey> = new LruMap(MAX_IMPORTED_KEYS);

  constructor(provider: KeyProvider) {
    this.#provider = provider;
  }

  /**
   * Gets the key with a serial.
   *
   * @param serial The serial.
   * @param options The time limit.
   * @throws {UnknownPublicKeyError} When no key has that serial.
   * @throws {PublicKeyUnavailableError | BusyError} When the key cannot be fetched.
   */
  async get(serial: string, options?: Wait): Promise<VerificationKey> {
    return await this.#ready(serial, await this.#getPublicKey(serial, options));
  }

  /**
   * Asks the provider again for a key under which a signature failed. `undefined` if it has no
   * other key; its failures are ignored because the signature has failed already.
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
      // Compares codes: the provider may come from another copy of this package.
      switch (codeOf(error)) {
        case "ERR_SIGNATURE_INVALID":
          throw new UnknownPublicKeyError();
        case "ERR_BUSY":
          throw new BusyError("the provider is busy");
        default:
          throw new PublicKeyUnavailableError("the provider failed", { cause: error });
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
