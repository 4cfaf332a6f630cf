/** Keys of encrypted columns. */

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

/** How a key is derived from a master password. */
export type KeyDerivation =
  /** scrypt with N = 16384, r = 8, p = 1 (RFC 7914), as in the original package. */
  | { readonly name: "scrypt" }
  /** PBKDF2 with HMAC-SHA-256 (RFC 8018). Default: 600,000 iterations. */
  | { readonly name: "pbkdf2"; readonly iterations?: number | undefined };

/** Options of {@linkcode importEncryptionKey}. */
export interface ImportEncryptionKeyOptions {
  /** Keys that decrypt but never encrypt, including their own `alsoReads`. Default: none. */
  readonly alsoReads?: readonly EncryptionKey[] | undefined;
}

/** Options of {@linkcode buildEncryptionKey}. */
export interface BuildEncryptionKeyOptions extends ImportEncryptionKeyOptions {
  /** How the key is derived. Default: scrypt, which data of the original package needs. */
  readonly kdf?: KeyDerivation | undefined;
}

class AesEncryptionKey implements EncryptionKey {
  /** Dropped on success, together with the password. */
  #derive: (() => Promise<Uint8Array<ArrayBuffer>>) | undefined;
  #imported: Promise<AesGcm> | undefined;
  /** The imported key, for synchronous use. */
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
    // Trying further keys in turn takes a promise.
    return key.#alsoReads[0] && this.decryptNow(key.#alsoReads[0], ciphertext);
  }

  /** See {@linkcode decryptsNow}. */
  static decryptsNow(key: EncryptionKey): boolean {
    return this.#isOwn(key, "decrypt") && key.#ready?.node !== undefined;
  }

  /** Whether a method is this class's, not one that an application has substituted. */
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
      // Only now: after a failure, raw bytes are needed again.
      bytes.fill(0);
      this.#derive = undefined;
      this.#ready = key;
      return key;
    } catch (error) {
      // The next use retries: the failure may be temporary, a lack of memory for example.
      this.#imported = undefined;
      throw error;
    }
  }
}

/** `encrypt` of a key, if it can be done synchronously; otherwise `undefined`. */
export function encryptNow(key: EncryptionKey, plaintext: string): string | undefined {
  return AesEncryptionKey.encryptNow(key, plaintext);
}

/** `decrypt` of a key, if it can be done synchronously; otherwise, and on failure, `undefined`. */
export function decryptNow(key: EncryptionKey, ciphertext: string): string | undefined {
  return AesEncryptionKey.decryptNow(key, ciphertext);
}

/** Whether {@linkcode decryptNow} can decrypt most values of a key. */
export function decryptsNow(key: EncryptionKey): boolean {
  return AesEncryptionKey.decryptsNow(key);
}

/**
 * Builds the key of an encrypted column from a master password and a salt. Exported by
 * `@wais/mitthooks-drizzle/pg/encryption`.
 *
 * The key is derived once, on first use, without blocking the event loop where the runtime has its
 * own scrypt (Node.js from 20.16, Deno, Bun). A missing password or salt is reported on first use,
 * too, and by the storage's `verify`: drizzle-kit and bundlers load schema modules without secrets.
 * With the defaults, the key is the one that `@weissaufschwarz/mitthooks-drizzle` derives from the
 * same two strings.
 *
 * @param masterPassword The secret from which the key is derived, as UTF-8. scrypt at this cost
 *   does not protect a password that a person made up: use at least 32 random bytes, for example in
 *   base64.
 * @param salt A second value, as UTF-8. It must stay the same as long as the stored data.
 * @param options How the key is derived, and which other keys also decrypt.
 * @returns The key. Logging or serialising it reveals nothing.
 * @throws {TypeError} When an option is invalid or unknown. On first use: when the password or the
 *   salt is missing or empty; the message shows where the key was built.
 * @throws {RangeError} When the number of PBKDF2 iterations is not a positive integer, or, on first
 *   use, exceeds the runtime's limit.
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
 * @example Also read values of an older password
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
  const message = `${attempt}: ${mistakes.join(", ")}; the key was built ${
    placeOfCall(buildEncryptionKey)
  }, and \`npx mitthooks-drizzle keygen --write .env\` generates both`;
  return new AesEncryptionKey(() => Promise.reject(new ConfigurationError(message)), alsoReads);
}

/**
 * Imports 32 raw bytes as the key of an encrypted column. Exported by
 * `@wais/mitthooks-drizzle/pg/encryption`.
 *
 * @param rawKey Exactly 32 bytes from a cryptographically secure random source; they are copied.
 * @param options Which other keys also decrypt.
 * @returns The key. Logging or serialising it reveals nothing.
 * @throws {TypeError} When `rawKey` is not a `Uint8Array`, or an option is invalid or unknown. On
 *   first use: when `rawKey` is empty, because the schema was loaded without secrets; the message
 *   shows where the key was imported.
 * @throws {RangeError} When `rawKey` has neither 32 nor 0 bytes.
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
  // A variable that is not set, where a schema is loaded without secrets: as with a missing
  // password, the first use says so.
  if (rawKey.length === 0) {
    const message = `${attempt}: rawKey is empty; the key was imported ${
      placeOfCall(importEncryptionKey)
    }, and \`npx mitthooks-drizzle keygen --raw --write .env\` generates one`;
    return new AesEncryptionKey(() => Promise.reject(new ConfigurationError(message)), alsoReads);
  }
  if (rawKey.length !== KEY_BYTES) {
    throw new RangeError(`${attempt}: rawKey has ${rawKey.length} bytes instead of ${KEY_BYTES}`);
  }
  const bytes = new Uint8Array(rawKey);
  return new AesEncryptionKey(() => Promise.resolve(bytes), alsoReads);
}

/** Checks only for the methods: any object may be a key. */
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

/** The stack line that calls a function, if the engine provides it. */
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
