/**
 * Signing keys and public keys of a simulated mStudio.
 *
 * @module
 */

import type { PublicKeyProvider } from "../../webhooks/interfaces.ts";
import { PublicKeyUnavailableError, UnknownPublicKeyError } from "../../errors.ts";
import { generateSigningKey, type SigningKey } from "../key_pair.ts";

/** The keys by purpose; mittwald has separate ones, too. */
export interface KeyRings {
  readonly webhook: KeyRing;
  readonly session_token: KeyRing;
}

/** All signing keys so far. Old public keys remain available, as in mittwald's API. */
export class KeyRing {
  readonly #publicKeys = new Map<string, string>();
  #current: SigningKey;
  /** Whether the keys are unavailable. */
  outage = false;

  constructor(key: SigningKey) {
    this.#current = key;
    this.#publicKeys.set(key.serial, key.publicKey);
  }

  /** The current signing key. */
  get current(): SigningKey {
    return this.#current;
  }

  /** Replaces the signing key. */
  async rotate(serial?: string): Promise<void> {
    const key = await generateSigningKey(serial);
    if (this.#publicKeys.has(key.serial)) {
      throw new TypeError(
        `Rotating the signing key: the serial ${JSON.stringify(key.serial)} already has a key`,
      );
    }
    this.#publicKeys.set(key.serial, key.publicKey);
    this.#current = key;
  }

  /** The public key with a serial. */
  publicKey(serial: string): string | undefined {
    return this.#publicKeys.get(serial);
  }

  /** Provides the public keys to a receiver in the same program. */
  provider(): PublicKeyProvider {
    return {
      getPublicKey: (serial) => {
        if (this.outage) throw new PublicKeyUnavailableError("the simulated mStudio has an outage");
        const key = this.publicKey(serial);
        if (key === undefined) throw new UnknownPublicKeyError();
        return key;
      },
    };
  }
}
