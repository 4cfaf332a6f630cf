/**
 * The public keys that a simulated mStudio serves, and the key pair that it signs with.
 *
 * @module
 */

import type { PublicKeyProvider } from "../../webhooks/interfaces.ts";
import { PublicKeyUnavailableError, UnknownPublicKeyError } from "../../errors.ts";
import { generateSigningKey, type SigningKey } from "../key_pair.ts";

/** One for each purpose, as mittwald has them. */
export interface KeyRings {
  readonly webhook: KeyRing;
  readonly session_token: KeyRing;
}

/** The key pairs that were ever signed with. The public halves are served for good, as mittwald does. */
export class KeyRing {
  readonly #publicKeys = new Map<string, string>();
  #current: SigningKey;
  /** Whether no key can be had at the moment. */
  outage = false;

  constructor(key: SigningKey) {
    this.#current = key;
    this.#publicKeys.set(key.serial, key.publicKey);
  }

  /** The pair that is signed with. */
  get current(): SigningKey {
    return this.#current;
  }

  /** Makes a new pair and signs with it from now on. */
  async rotate(serial?: string): Promise<void> {
    const key = await generateSigningKey(serial);
    if (this.#publicKeys.has(key.serial)) {
      throw new TypeError(
        `Rotating the signing key: the serial ${JSON.stringify(key.serial)} has a key`,
      );
    }
    this.#publicKeys.set(key.serial, key.publicKey);
    this.#current = key;
  }

  /** The public key of a serial. */
  publicKey(serial: string): string | undefined {
    return this.#publicKeys.get(serial);
  }

  /** Offers the public keys to a receiver in the same process. */
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
