/** The keys that encrypted columns use. */

import { type AesGcm, importAesKey } from "./internal/columns/aes_gcm.ts";
import { askKey } from "./internal/columns/ask_key.ts";
import type { EncryptionKey } from "./interfaces.ts";
import { checkNames } from "../internal/check_options.ts";
import { ConfigurationError } from "../internal/configuration_error.ts";
import { kindOf } from "../internal/kind_of.ts";
import { DecryptionError, InvalidCiphertextError } from "../errors.ts";
import {
  DEFAULT_PBKDF2_ITERATIONS,
  deriveWithPbkdf2,
  deriveWithScrypt,
  KEY_BYTES,
} from "./internal/columns/key_derivation.ts";
import {
  MALFORMED,
  open,
  type Opened,
  openNow,
  seal,
  sealNow,
} from "./internal/columns/stored_form.ts";
import { assertStorableText } from "./internal/columns/well_formed.ts";

/** How a master password becomes a key. */
export type KeyDerivation =
  /** scrypt with N = 16384, r = 8, p = 1 (RFC 7914), as the original package derives. */
  | { readonly name: "scrypt" }
  /** PBKDF2 with HMAC-SHA-256 (RFC 8018); 600,000 iterations unless given. */
  | { readonly name: "pbkdf2"; readonly iterations?: number | undefined };

/** Options of {@linkcode importEncryptionKey}. */
export interface ImportEncryptionKeyOptions {
  /** Other keys whose values are read but never written; what they themselves also read counts too. */
  readonly alsoReads?: readonly EncryptionKey[] | undefined;
}

/** Options of {@linkcode buildEncryptionKey}. */
export interface BuildEncryptionKeyOptions extends ImportEncryptionKeyOptions {
  /** How the key is derived. The default, scrypt, is what existing data of the original package needs. */
  readonly kdf?: KeyDerivation | undefined;
}

class AesEncryptionKey implements EncryptionKey {
  /** Dropped after it has succeeded, and with it the password that it holds. */
  #derive: (() => Promise<Uint8Array<ArrayBuffer>>) | undefined;
  #imported: Promise<AesGcm> | undefined;
  /** The same, once it is there. */
  #ready: AesGcm | undefined;
  readonly #alsoReads: readonly EncryptionKey[];

  constructor(
    derive: () => Promise<Uint8Array<ArrayBuffer>>,
    alsoReads: readonly EncryptionKey[],
  ) {
    this.#derive = derive;
    this.#alsoReads = [...alsoReads];
  }

  async encrypt(plaintext: string): Promise<string> {
    assertStorableText(plaintext);
    const key = this.#ready ?? await this.#key();
    return sealNow(key, plaintext) ?? await seal(key, plaintext);
  }

  async decrypt(ciphertext: string): Promise<string> {
    const opened = await this.#open(ciphertext);
    if (typeof opened === "string") return opened;
    let wellFormed = opened !== MALFORMED;
    for (const key of this.#alsoReads) {
      try {
        return await askKey(key, "decrypt", ciphertext);
      } catch (error) {
        if (!(error instanceof DecryptionError)) throw error;
        wellFormed ||= !(error instanceof InvalidCiphertextError);
      }
    }
    throw wellFormed ? new DecryptionError() : new InvalidCiphertextError();
  }

  async isCurrent(ciphertext: string): Promise<boolean> {
    return typeof await this.#open(ciphertext) === "string";
  }

  /** See {@linkcode encryptNow}. */
  static encryptNow(key: EncryptionKey, plaintext: string): string | undefined {
    if (!this.#isOwn(key, "encrypt") || !key.#ready) return undefined;
    assertStorableText(plaintext);
    return sealNow(key.#ready, plaintext);
  }

  /** See {@linkcode decryptNow}. */
  static decryptNow(key: EncryptionKey, ciphertext: string): string | undefined {
    if (!this.#isOwn(key, "decrypt") || !key.#ready) return undefined;
    const opened = openNow(key.#ready, ciphertext);
    if (opened === undefined || typeof opened === "string") return opened;
    // Those behind the first are asked in turn, which takes a promise.
    return key.#alsoReads[0] && this.decryptNow(key.#alsoReads[0], ciphertext);
  }

  /** Whether a method is this class's, and not one that an application has put in its place. */
  static #isOwn(key: EncryptionKey, method: "encrypt" | "decrypt"): key is AesEncryptionKey {
    return #ready in key && key[method] === AesEncryptionKey.prototype[method];
  }

  async #open(ciphertext: string): Promise<Opened> {
    const key = this.#ready ?? await this.#key();
    return openNow(key, ciphertext) ?? await open(key, ciphertext);
  }

  #key(): Promise<AesGcm> {
    this.#imported ??= this.#import();
    return this.#imported;
  }

  async #import(): Promise<AesGcm> {
    try {
      const bytes = await this.#derive!();
      const key = await importAesKey(bytes);
      // Not before: after a failure, raw bytes are needed again.
      bytes.fill(0);
      this.#derive = undefined;
      this.#ready = key;
      return key;
    } catch (error) {
      // The next use tries again: what fails once, say for lack of memory, need not fail for good.
      this.#imported = undefined;
      throw error;
    }
  }
}

/** As `encrypt` of a key, where nothing has to be waited for; `undefined` where something has to. */
export function encryptNow(key: EncryptionKey, plaintext: string): string | undefined {
  return AesEncryptionKey.encryptNow(key, plaintext);
}

/** As `decrypt` of a key, where nothing has to be waited for; `undefined` where something has to, and on failure. */
export function decryptNow(key: EncryptionKey, ciphertext: string): string | undefined {
  return AesEncryptionKey.decryptNow(key, ciphertext);
}

/**
 * Builds the key of an encrypted column from a master password and a salt, from
 * `@wais/mitthooks-drizzle/pg/encryption`.
 *
 * Nothing is computed yet: the key is derived once, on first use, without blocking the event loop where the
 * runtime has a scrypt of its own (Node.js from 20.16 on, Deno, Bun). Nor is it an error yet if the password or the salt is missing, because schema modules are also loaded where no secret is
 * set, by drizzle-kit and bundlers for example; the first use rejects then, and so does the storage's `verify`. With
 * the defaults it is the very key that `@weissaufschwarz/mitthooks-drizzle` derives from the same two
 * strings.
 *
 * @param masterPassword The secret that the key comes from, taken as UTF-8. scrypt at these costs does not
 * protect a password that a person made up: use at least 32 random bytes, for instance as base64.
 * @param salt A second value that has to stay the same as long as the stored data, taken as UTF-8.
 * @param options How the key is derived, and which other keys' values it also reads.
 * @returns The key. It shows nothing of itself when it is logged or serialised.
 * @throws {TypeError} An option is unknown or has the wrong type. On first use: the password or the salt is missing or empty;
 * the message says where the key was made.
 * @throws {RangeError} The number of PBKDF2 iterations is not a positive integer, or, on first use, is
 * more than the runtime allows.
 *
 * @example Build a key from the environment
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 *
 * const env = { MASTER_PASSWORD: "m4s7er", SALT: "s4l7" }; // in real life: your runtime's environment
 * const key = buildEncryptionKey(env.MASTER_PASSWORD, env.SALT);
 *
 * const ciphertext = await key.encrypt("secret of an instance");
 * assertEquals(await key.decrypt(ciphertext), "secret of an instance");
 * ```
 *
 * @example Read what an older password wrote
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { buildEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 *
 * const old = buildEncryptionKey("old password", "old salt");
 * const key = buildEncryptionKey("new password", "new salt", { alsoReads: [old] });
 *
 * assertEquals(await key.decrypt(await old.encrypt("still readable")), "still readable");
 * ```
 */
export function buildEncryptionKey(
  masterPassword: string,
  salt: string,
  options: BuildEncryptionKeyOptions = {},
): EncryptionKey {
  const attempt = "Building an encryption key";
  checkNames(attempt, options, ["alsoReads", "kdf"]);
  const { kdf = { name: "scrypt" } } = options;
  const derive = derivation(attempt, kdf);
  const alsoReads = checkedKeys(attempt, options.alsoReads);
  const mistakes = [
    ...whatIsWrong("masterPassword", masterPassword),
    ...whatIsWrong("salt", salt),
  ];
  if (mistakes.length === 0) {
    return new AesEncryptionKey(() => derive(masterPassword, salt), alsoReads);
  }
  const message = `${attempt}: ${mistakes.join(", ")}; the key was made ${
    placeOfCall(buildEncryptionKey)
  }, and \`npx mitthooks-drizzle keygen --write .env\` makes both`;
  return new AesEncryptionKey(() => Promise.reject(new ConfigurationError(message)), alsoReads);
}

/**
 * Makes the key of an encrypted column from 32 bytes that are a key already, from
 * `@wais/mitthooks-drizzle/pg/encryption`.
 *
 * @param rawKey Exactly 32 bytes from a cryptographic source of randomness; they are copied.
 * @param options Which other keys' values it also reads.
 * @returns The key. It shows nothing of itself when it is logged or serialised.
 * @throws {TypeError} `rawKey` is not a `Uint8Array`, or an option is unknown or has the wrong type. On first use:
 * `rawKey` is empty, as it is where a schema is loaded without secrets; the message says where the key was made.
 * @throws {RangeError} `rawKey` has neither 32 bytes nor none.
 *
 * @example Import a random key
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { importEncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 *
 * const key = importEncryptionKey(crypto.getRandomValues(new Uint8Array(32)));
 *
 * assertEquals(await key.decrypt(await key.encrypt("secret")), "secret");
 * ```
 */
export function importEncryptionKey(
  rawKey: Uint8Array,
  options: ImportEncryptionKeyOptions = {},
): EncryptionKey {
  const attempt = "Importing an encryption key";
  checkNames(attempt, options, ["alsoReads"]);
  if (kindOf(rawKey) !== "Uint8Array") {
    throw new TypeError(`${attempt}: rawKey is not a Uint8Array`);
  }
  const alsoReads = checkedKeys(attempt, options.alsoReads);
  // A variable that is not set, where a schema is loaded without secrets: as with a missing password, the first use says so.
  if (rawKey.length === 0) {
    const message = `${attempt}: rawKey is empty; the key was made ${
      placeOfCall(importEncryptionKey)
    }, and \`npx mitthooks-drizzle keygen --raw --write .env\` makes one`;
    return new AesEncryptionKey(() => Promise.reject(new ConfigurationError(message)), alsoReads);
  }
  if (rawKey.length !== KEY_BYTES) {
    throw new RangeError(`${attempt}: rawKey has ${rawKey.length} bytes instead of ${KEY_BYTES}`);
  }
  const bytes = new Uint8Array(rawKey);
  return new AesEncryptionKey(() => Promise.resolve(bytes), alsoReads);
}

/** Checks for the three methods' presence alone: a key may be anybody's object. */
export function isEncryptionKey(value: unknown): value is EncryptionKey {
  const key = value as Partial<EncryptionKey> | null | undefined;
  return typeof key?.encrypt === "function" && typeof key.decrypt === "function";
}

function whatIsWrong(name: string, value: unknown): string[] {
  if (typeof value === "string" && value !== "") return [];
  return [
    `${name} ${value === "" ? "is empty" : value == null ? "is missing" : "is not a string"}`,
  ];
}

/** The line of the stack that calls a function, where the engine tells it. */
function placeOfCall(callee: (...args: never[]) => unknown): string {
  const holder: { stack?: unknown } = {};
  (Error as { captureStackTrace?(holder: object, callee: unknown): void })
    .captureStackTrace?.(holder, callee);
  const line = typeof holder.stack === "string" ? /^\s*at .+$/m.exec(holder.stack)?.[0] : undefined;
  return line?.trim() ?? "at an unknown place";
}

function derivation(
  attempt: string,
  kdf: KeyDerivation,
): (password: string, salt: string) => Promise<Uint8Array<ArrayBuffer>> {
  const reading = `${attempt}: reading the option kdf`;
  switch (kdf?.name) {
    case "scrypt":
      checkNames(reading, kdf, ["name"]);
      return deriveWithScrypt;
    case "pbkdf2": {
      checkNames(reading, kdf, ["name", "iterations"]);
      const iterations = kdf.iterations ?? DEFAULT_PBKDF2_ITERATIONS;
      if (!Number.isSafeInteger(iterations) || iterations < 1) {
        throw new RangeError(`${attempt}: kdf.iterations is not a positive integer`);
      }
      return (password, salt) => deriveWithPbkdf2(password, salt, iterations);
    }
    default:
      throw new TypeError(`${attempt}: kdf.name is neither "scrypt" nor "pbkdf2"`);
  }
}

function checkedKeys(
  attempt: string,
  keys: readonly EncryptionKey[] | undefined,
): readonly EncryptionKey[] {
  if (keys === undefined) return [];
  if (!Array.isArray(keys) || !keys.every(isEncryptionKey)) {
    throw new TypeError(`${attempt}: alsoReads is not an array of encryption keys`);
  }
  return keys;
}
