/**
 * AES-256-GCM (NIST SP 800-38D) with a 96-bit IV, the length that its section 8.2 recommends, and
 * the full 128-bit tag. Two implementations produce the same bytes: Web Crypto, which every runtime
 * has but which hands each call to another thread, at a higher cost than encrypting a short value;
 * and `node:crypto`, which is synchronous.
 */

import { builtinModule } from "../../../internal/builtin_module.ts";

/** Length of the initialization vector in bytes. */
export const IV_BYTES = 12;
/** Length of the authentication tag in bytes. */
export const TAG_BYTES = 16;

type Bytes = Uint8Array<ArrayBuffer>;

/** An encrypted value. */
export interface Sealed {
  /** {@linkcode IV_BYTES} long. */
  readonly iv: Bytes;
  readonly ciphertext: Bytes;
  /** {@linkcode TAG_BYTES} long. */
  readonly tag: Bytes;
}

/** One key in both implementations. */
export interface AesGcm {
  /** Uses Web Crypto. */
  readonly web: {
    /** Encrypts. Never use an IV twice. */
    seal(iv: Bytes, plaintext: Bytes): Promise<Sealed>;
    /** Decrypts; `undefined` if the tag does not match. */
    open(sealed: Sealed): Promise<Bytes | undefined>;
  };
  /** Uses `node:crypto`, if the runtime has it. */
  readonly node: {
    seal(iv: Bytes, plaintext: Bytes): Sealed;
    open(sealed: Sealed): Bytes | undefined;
  } | undefined;
}

/** Imports the 32 bytes of a key, without changing them. */
export async function importAesKey(bytes: Bytes): Promise<AesGcm> {
  return { web: await importWebKey(bytes), node: await importNodeKey(bytes) };
}

async function importWebKey(bytes: Bytes): Promise<AesGcm["web"]> {
  const name = "AES-GCM";
  const key = await crypto.subtle.importKey("raw", bytes, name, false, ["encrypt", "decrypt"]);
  const parameters = (iv: Bytes) => ({ name, iv, tagLength: TAG_BYTES * 8 });
  // Web Crypto appends the tag to the ciphertext.
  return {
    async seal(iv: Bytes, plaintext: Bytes): Promise<Sealed> {
      const both = new Uint8Array(await crypto.subtle.encrypt(parameters(iv), key, plaintext));
      const end = both.length - TAG_BYTES;
      return { iv, ciphertext: both.subarray(0, end), tag: both.subarray(end) };
    },
    async open({ iv, ciphertext, tag }: Sealed): Promise<Bytes | undefined> {
      const both = new Uint8Array(ciphertext.length + TAG_BYTES);
      both.set(ciphertext);
      both.set(tag, ciphertext.length);
      try {
        return new Uint8Array(await crypto.subtle.decrypt(parameters(iv), key, both));
      } catch {
        return undefined;
      }
    },
  };
}

/** The part of `node:crypto` used here. */
interface NodeCrypto {
  createSecretKey(bytes: Bytes): object;
  createCipheriv(name: string, key: object, iv: Bytes, options: object): NodeCipher;
  createDecipheriv(name: string, key: object, iv: Bytes, options: object): NodeDecipher;
}

interface NodeCipher {
  update(plaintext: Bytes): Bytes;
  final(): unknown;
  getAuthTag(): Bytes;
}

interface NodeDecipher {
  setAuthTag(tag: Bytes): unknown;
  update(ciphertext: Bytes): Bytes;
  final(): unknown;
}

/** `undefined` if the runtime lacks this cipher or implements it incorrectly. */
async function importNodeKey(bytes: Bytes): Promise<AesGcm["node"]> {
  // Tested with a throwaway key: the test reuses an IV.
  const throwaway = crypto.getRandomValues(new Uint8Array(32));
  const web = await importWebKey(throwaway);
  try {
    const node = createNodeCipher(throwaway);
    const iv = new Uint8Array(IV_BYTES);
    for (const plaintext of [new Uint8Array(), Uint8Array.of(1)]) {
      const sealed = node.seal(iv, plaintext);
      const forged = { ...sealed, tag: sealed.tag.map((byte) => ~byte) };
      const opened = [node.open(sealed), await web.open(sealed)].map((bytes) => bytes?.join());
      if (opened.some((text) => text !== plaintext.join()) || node.open(forged)) return undefined;
    }
    return createNodeCipher(bytes);
  } catch {
    return undefined;
  } finally {
    throwaway.fill(0);
  }
}

function createNodeCipher(bytes: Bytes) {
  const { createSecretKey, createCipheriv, createDecipheriv } = builtinModule<NodeCrypto>(
    "node:crypto",
  )!;
  const name = "aes-256-gcm";
  const key = createSecretKey(bytes);
  const options = { authTagLength: TAG_BYTES };
  // GCM has no padding: `update` returns the entire output, `final` adds nothing.
  return {
    seal(iv: Bytes, plaintext: Bytes): Sealed {
      const cipher = createCipheriv(name, key, iv, options);
      const ciphertext = cipher.update(plaintext);
      cipher.final();
      return { iv, ciphertext, tag: cipher.getAuthTag() };
    },
    open({ iv, ciphertext, tag }: Sealed): Bytes | undefined {
      const decipher = createDecipheriv(name, key, iv, options);
      decipher.setAuthTag(tag);
      const plaintext = decipher.update(ciphertext);
      try {
        decipher.final();
        return plaintext;
      } catch {
        return undefined;
      }
    },
  };
}
