/** The types that an application implements or passes in: a key and a database. */

/**
 * A key of an encrypted column. {@linkcode buildEncryptionKey} and {@linkcode importEncryptionKey}
 * create one; implement it yourself to use a key management service or one key per tenant. Exported
 * by `@wais/mitthooks-drizzle/pg/encryption`.
 *
 * @example A key in a key management service
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { DecryptionError } from "@wais/mitthooks-drizzle/pg";
 * import type { EncryptionKey } from "@wais/mitthooks-drizzle/pg/encryption";
 *
 * interface KeyService {
 *   seal(keyId: string, text: string): Promise<string>;
 *   open(sealed: string): Promise<{ keyId: string; text: string } | undefined>;
 * }
 *
 * class ServiceKey implements EncryptionKey {
 *   constructor(readonly service: KeyService, readonly keyId: string) {}
 *
 *   encrypt(plaintext: string): Promise<string> {
 *     return this.service.seal(this.keyId, plaintext);
 *   }
 *
 *   // An outage rejects with the service's own error, which reaches the caller of the query.
 *   async decrypt(ciphertext: string): Promise<string> {
 *     const opened = await this.service.open(ciphertext);
 *     if (!opened) throw new DecryptionError();
 *     return opened.text;
 *   }
 *
 *   async isCurrent(ciphertext: string): Promise<boolean> {
 *     return (await this.service.open(ciphertext))?.keyId === this.keyId;
 *   }
 * }
 *
 * const values = new Map<string, { keyId: string; text: string }>(); // stands for the service
 * const service: KeyService = {
 *   seal(keyId, text) {
 *     const sealed = crypto.randomUUID();
 *     values.set(sealed, { keyId, text });
 *     return Promise.resolve(sealed);
 *   },
 *   open: (sealed) => Promise.resolve(values.get(sealed)),
 * };
 * const key = new ServiceKey(service, "instances");
 * assertEquals(await key.decrypt(await key.encrypt("secret")), "secret");
 * ```
 */
export interface EncryptionKey {
  /**
   * Encrypts a value. Called once for each written value, often concurrently.
   *
   * @param plaintext Well-formed Unicode, of any length.
   * @returns The ciphertext to store; two calls must never return the same one.
   */
  encrypt(plaintext: string): Promise<string>;

  /**
   * Decrypts a value. Called once for each read value, often concurrently.
   *
   * @param ciphertext The stored ciphertext.
   * @returns The plaintext.
   * @throws {DecryptionError} When the value was encrypted with another key, or is damaged. Any
   *   other error counts as an outage and reaches the caller of the query unchanged.
   */
  decrypt(ciphertext: string): Promise<string>;

  /**
   * Tells whether a value was encrypted with the key that
   * {@linkcode EncryptionKey.encrypt | encrypt} uses. Only re-encryption needs it.
   *
   * @param ciphertext The stored ciphertext.
   * @returns Whether it was; `false` for damaged values.
   */
  isCurrent?(ciphertext: string): Promise<boolean>;
}

/**
 * The part of a Drizzle PostgreSQL database that this package uses. Every driver's database has it
 * in each supported version of Drizzle, and so does a transaction.
 */
export interface EncryptableDatabase {
  /** Starts a SELECT. */
  select(...args: never[]): unknown;
  /** Starts an INSERT. */
  insert(...args: never[]): unknown;
  /** Starts an UPDATE. */
  update(...args: never[]): unknown;
  /** Starts a DELETE. */
  delete(...args: never[]): unknown;
  /** Runs a raw statement. */
  execute(...args: never[]): unknown;
  /** Runs a function in a transaction. */
  transaction(...args: never[]): unknown;
}
