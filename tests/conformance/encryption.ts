/**
 * Keys and the stored form, on any runtime.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { getTableName } from "drizzle-orm";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  DecryptionError,
  type EncryptionKey,
  importEncryptionKey,
  InvalidCiphertextError,
  PgExtensionStorage,
  withEncryption,
} from "../../pg/mod.ts";
import type { PlatformCase } from "./platform.ts";

/** Written by the original package, 0.1.0, under the password "master password" and the salt "salt". */
const OF_THE_ORIGINAL = {
  ciphertext: "+2sRKKzd8sSVkdM7:oahmkcEshc5CSRSIWBwacqdBMWox:1AMhihNCt06iNIJ2pH0yYg==",
  plaintext: "written by 0.1.0 🔑",
};

const raw = (byte: number) => new Uint8Array(32).fill(byte);
const TEXTS = ["", "a", "s3cr3t", "äöü €", "🔑 \u0000 \ufeff", "x".repeat(100_000)];

async function assertRoundTrip(key: EncryptionKey): Promise<void> {
  for (const text of TEXTS) {
    const ciphertext = await key.encrypt(text);
    assertEquals(ciphertext.split(":").length, 3);
    assertEquals(await key.decrypt(ciphertext), text);
    assertEquals(await key.isCurrent!(ciphertext), true);
  }
}

export const encryption: readonly PlatformCase[] = [
  {
    name: "scrypt: reads what the original wrote, and writes what it reads itself",
    async run() {
      const key = buildEncryptionKey("master password", "salt");
      assertEquals(await key.decrypt(OF_THE_ORIGINAL.ciphertext), OF_THE_ORIGINAL.plaintext);
      await assertRoundTrip(key);
    },
  },
  {
    name: "scrypt: the runtime's own and scrypt-js derive the same key",
    async run({ nativeScrypt, replacing }) {
      const first = await buildEncryptionKey("pässwörd", "sälz").encrypt("same key");
      let asked = false;
      const hidden = {
        getBuiltinModule() {
          asked = true;
          return undefined;
        },
      };
      await replacing(globalThis, "process", hidden, async () => {
        assertEquals(await buildEncryptionKey("pässwörd", "sälz").decrypt(first), "same key");
      });
      // So both were in use where there are two.
      assertEquals(asked, true);
      if (!nativeScrypt) return;
      const { process } = globalThis as unknown as {
        process: { getBuiltinModule(name: string): object };
      };
      let calls = 0;
      const native = process.getBuiltinModule("node:crypto") as {
        scrypt: (...args: unknown[]) => void;
      };
      const counting = {
        getBuiltinModule: () => ({
          scrypt: (...args: unknown[]) => {
            calls++;
            native.scrypt(...args);
          },
        }),
      };
      await replacing(globalThis, "process", counting, async () => {
        assertEquals(await buildEncryptionKey("pässwörd", "sälz").decrypt(first), "same key");
      });
      assertEquals(calls, 1);
    },
  },
  {
    name: "PBKDF2: 600,000 iterations by default, and fewer",
    async run() {
      const ciphertext = await buildEncryptionKey("password", "salt", { kdf: { name: "pbkdf2" } })
        .encrypt("s3cr3t");
      const same = buildEncryptionKey("password", "salt", {
        kdf: { name: "pbkdf2", iterations: 600_000 },
      });
      assertEquals(await same.decrypt(ciphertext), "s3cr3t");
      await assertRoundTrip(
        buildEncryptionKey("password", "salt", { kdf: { name: "pbkdf2", iterations: 100_000 } }),
      );
    },
  },
  {
    // Cloudflare's production refuses more than 100,000 iterations. A local workerd does not, so the
    // refusal is simulated: this `subtle` refuses as production does.
    name: "PBKDF2: a platform that refuses the iterations, simulated: the error names the ways out",
    async run({ replacing }) {
      const { subtle } = crypto;
      const refusing = Object.create(subtle, {
        importKey: { value: subtle.importKey.bind(subtle) },
        encrypt: { value: subtle.encrypt.bind(subtle) },
        decrypt: { value: subtle.decrypt.bind(subtle) },
        deriveBits: {
          value: (algorithm: { iterations: number }, base: CryptoKey, length: number) =>
            algorithm.iterations > 100_000
              ? Promise.reject(
                new DOMException(
                  "Pbkdf2 failed: iteration counts above 100000 are not supported",
                  "NotSupportedError",
                ),
              )
              : subtle.deriveBits(algorithm as unknown as Pbkdf2Params, base, length),
        },
      });
      await replacing(crypto, "subtle", refusing, async () => {
        const key = buildEncryptionKey("password", "salt", { kdf: { name: "pbkdf2" } });
        const error = await assertRejects(() => key.encrypt("s3cr3t"), RangeError);
        assertEquals(
          error.message,
          "Deriving an encryption key: this runtime refuses PBKDF2 with 600000 iterations; use " +
            "scrypt, importEncryptionKey, or no more iterations than it allows (100000 on " +
            "Cloudflare Workers)",
        );
        assert(error.cause !== undefined);
        await assertRoundTrip(
          buildEncryptionKey("password", "salt", { kdf: { name: "pbkdf2", iterations: 100_000 } }),
        );
        await assertRoundTrip(buildEncryptionKey("password", "salt"));
      });
    },
  },
  {
    name: "imported keys, and keys that read other keys' values",
    async run() {
      const old = importEncryptionKey(raw(1));
      const key = importEncryptionKey(raw(2), { alsoReads: [old] });
      await assertRoundTrip(key);
      const ciphertext = await old.encrypt("old");
      assertEquals(await key.decrypt(ciphertext), "old");
      assertEquals(await key.isCurrent!(ciphertext), false);
      await assertRejects(() => importEncryptionKey(raw(3)).decrypt(ciphertext), DecryptionError);
    },
  },
  {
    name: "base64, with the platform's methods and without",
    async run({ replacing }) {
      const key = importEncryptionKey(raw(1));
      const written = await Promise.all(TEXTS.map((text) => key.encrypt(text)));
      await replacing(
        Uint8Array,
        "fromBase64",
        undefined,
        () =>
          replacing(Uint8Array.prototype, "toBase64", undefined, async () => {
            for (const [index, ciphertext] of written.entries()) {
              assertEquals(await key.decrypt(ciphertext), TEXTS[index]);
            }
            await assertRoundTrip(key);
          }),
      );
    },
  },
  {
    name: "the stored form is checked before anything is decrypted",
    async run() {
      const key = importEncryptionKey(raw(1));
      const [iv, ciphertext, tag] = (await key.encrypt("secret text")).split(":");
      for (
        const damaged of [
          "",
          "secret text",
          `${iv}:${ciphertext}`,
          `${iv}:${ciphertext}:`,
          `${iv}:${ciphertext}:AAAAAA==`,
          `${tag}:${ciphertext}:${iv}`,
          `${iv}:${ciphertext}\n:${tag}`,
          `${iv}:!!!!:${tag}`,
          `${iv}:${ciphertext}:${tag}:`,
        ]
      ) {
        const error = await assertRejects(() => key.decrypt(damaged), InvalidCiphertextError);
        assertEquals(error.code, "ERR_INVALID_CIPHERTEXT");
      }
      const other = await importEncryptionKey(raw(9)).encrypt("secret text");
      const error = await assertRejects(() => key.decrypt(other), DecryptionError);
      assertEquals([error.code, error.cause], ["ERR_DECRYPTION_FAILED", undefined]);
      assertInstanceOf(error, Error);
    },
  },
  {
    name: "caller's mistakes are named",
    async run() {
      // Where schema modules are loaded, there need not be a secret.
      const keys = [
        [buildEncryptionKey("", "salt"), "masterPassword is empty"],
        [buildEncryptionKey("password", undefined as unknown as string), "salt is missing"],
      ] as const;
      for (const [key, message] of keys) {
        await assertRejects(() => key.encrypt("x"), TypeError, message);
        await assertRejects(() => key.decrypt("x"), TypeError, "keygen");
      }
      assertThrows(() => importEncryptionKey(new Uint8Array(16)), RangeError, "16 bytes");
      assertThrows(
        () => buildEncryptedTextColumn(raw(1) as unknown as EncryptionKey),
        TypeError,
        "importEncryptionKey",
      );
      assertThrows(
        () => withEncryption({} as Parameters<typeof withEncryption>[0]),
        TypeError,
        "not a PostgreSQL database of Drizzle",
      );
      return Promise.resolve();
    },
  },
  {
    name: "the table and a storage can be built",
    run() {
      const table = buildExtensionInstanceTable(
        buildEncryptedTextColumn(importEncryptionKey(raw(1))),
      );
      assertEquals(getTableName(table), "extension_instance");
      assertThrows(
        () => new PgExtensionStorage({} as Parameters<typeof withEncryption>[0], table),
        TypeError,
      );
      return Promise.resolve();
    },
  },
];
