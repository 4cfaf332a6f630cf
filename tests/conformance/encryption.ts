/** Keys and the stored form, where they depend on the runtime. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { getTableName } from "drizzle-orm";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  DecryptionError,
  type EncryptionKey,
  importEncryptionKey,
  InvalidCiphertextError,
} from "../../pg/mod.ts";
import type { PortableJob } from "./portable_cases.ts";
import type { BoundCase } from "./tap.ts";

/**
 * A key of each kind, with values written elsewhere: by the original package, and by this one on
 * Deno.
 */
const WRITTEN_ELSEWHERE: readonly (readonly [
  build: () => EncryptionKey,
  stored: string,
  plaintext: string,
])[] = [
  [
    () => buildEncryptionKey("master password", "salt"),
    "+2sRKKzd8sSVkdM7:oahmkcEshc5CSRSIWBwacqdBMWox:1AMhihNCt06iNIJ2pH0yYg==",
    "written by 0.1.0 🔑",
  ],
  [
    () =>
      buildEncryptionKey("master password", "salt", {
        kdf: { name: "pbkdf2", iterations: 100_000 },
      }),
    "QP5wYRPzqoxyUxRH:HRJBtMwmx7J9p+M9McSgdvfXbGQ=:hMA/wkCH6GiE9hf73dLmAw==",
    "written on Deno 🔑",
  ],
  [
    () => importEncryptionKey(Uint8Array.from({ length: 32 }, (_, index) => index)),
    "6gVFVZABYY1J6G7+:rJ6Bkuh8hTahy2/0Cl02p9j3D/Q=:3/VSY3SAa6QQH4VIRt/ttw==",
    "written on Deno 🔑",
  ],
];

/** Web Crypto always handles values above this length in bytes. */
const LONGEST_AT_ONCE = 65_536;

const TEXTS = [
  ...["", "a", "s3cr3t", "äöü €", "🔑 \u0000 \ufeff", "x".repeat(100_000)],
  ...["x".repeat(LONGEST_AT_ONCE), "x".repeat(LONGEST_AT_ONCE + 1), "€".repeat(LONGEST_AT_ONCE)],
];

const raw = (byte: number) => importEncryptionKey(new Uint8Array(32).fill(byte));
const scrypt = () => buildEncryptionKey("pässwörd", "sälz");
const pbkdf2 = (iterations?: number) =>
  buildEncryptionKey("password", "salt", {
    kdf: { name: "pbkdf2", ...iterations !== undefined && { iterations } },
  });

async function assertRoundTrip(key: EncryptionKey): Promise<void> {
  for (const text of TEXTS) {
    const ciphertext = await key.encrypt(text);
    assertEquals(ciphertext.split(":").length, 3);
    assertEquals(await key.decrypt(ciphertext), text);
    assertEquals(await key.isCurrent!(ciphertext), true);
  }
}

/** Replaces a property while a function runs. */
export async function replacing<T>(
  target: object,
  property: string,
  value: unknown,
  run: () => Promise<T>,
): Promise<T> {
  const own = Object.getOwnPropertyDescriptor(target, property);
  Object.defineProperty(target, property, { configurable: true, writable: true, value });
  try {
    return await run();
  } finally {
    if (own) Object.defineProperty(target, property, own);
    else Reflect.deleteProperty(target, property);
  }
}

/** A key that always uses Web Crypto's AES. */
async function withWebCryptoAlone(build: () => EncryptionKey): Promise<EncryptionKey> {
  const key = build();
  await replacing(globalThis, "process", undefined, () => key.encrypt("first use"));
  return key;
}

/** Counts calls of Web Crypto's AES while a function runs. */
async function countWebCrypto(run: () => Promise<unknown>): Promise<number> {
  const { subtle } = crypto;
  let calls = 0;
  const counting = (name: "encrypt" | "decrypt") => (...args: unknown[]) => {
    calls++;
    return Reflect.apply(subtle[name], subtle, args);
  };
  const replaced = Object.create(subtle, {
    encrypt: { value: counting("encrypt") },
    decrypt: { value: counting("decrypt") },
  });
  await replacing(crypto, "subtle", replaced, run);
  return calls;
}

interface Runtime {
  process?: { getBuiltinModule?(name: string): NodeCrypto | undefined };
}

interface NodeCrypto {
  scrypt?(...args: unknown[]): void;
  createSecretKey?(...args: unknown[]): unknown;
  createDecipheriv?(...args: unknown[]): object;
}

function refuse(): never {
  throw new Error("Calling a method: it is not implemented");
}

export const encryption = (
  { nativeScrypt, nativeAes }: Pick<PortableJob, "nativeScrypt" | "nativeAes">,
): readonly BoundCase[] => [
  {
    // Reading both implies writing what others read: key, IV and text determine the ciphertext.
    name: "reads values written elsewhere and its own",
    async run() {
      for (const [build, stored, plaintext] of WRITTEN_ELSEWHERE) {
        const keys = [build(), await withWebCryptoAlone(build)];
        for (const key of keys) {
          assertEquals(await key.decrypt(stored), plaintext);
          await assertRoundTrip(key);
        }
        for (const text of TEXTS) {
          const values = await Promise.all(keys.map((key) => key.encrypt(text)));
          const read = keys.map((key, index) => key.decrypt(values.at(index - 1)!));
          assertEquals(await Promise.all(read), [text, text]);
        }
      }
    },
  },
  {
    name: nativeAes
      ? "AES: the runtime's own for short values, Web Crypto for long ones"
      : "AES: Web Crypto encrypts, as the runtime has no cipher",
    async run() {
      const own = raw(1);
      await own.encrypt("first use");
      const texts = [["x".repeat(LONGEST_AT_ONCE), nativeAes], [
        "€".repeat(22_000),
        false,
      ]] as const;
      for (const [text, isOwn] of texts) {
        for (const key of [own, await withWebCryptoAlone(() => raw(1))]) {
          const calls = await countWebCrypto(async () => {
            assertEquals(await key.decrypt(await key.encrypt(text)), text);
          });
          assertEquals(calls, isOwn && key === own ? 0 : 2);
        }
      }
    },
  },
  {
    name: "AES: a broken one of the runtime is not used",
    async run() {
      const { process } = globalThis as unknown as Runtime;
      const native = process?.getBuiltinModule?.("node:crypto");
      const changed = {
        "it is missing": undefined,
        "methods are missing": {},
        "methods throw": {
          createSecretKey: refuse,
          createCipheriv: refuse,
          createDecipheriv: refuse,
        },
        "the tag is not checked": native && {
          ...native,
          createDecipheriv: (...args: unknown[]) =>
            Object.assign(native.createDecipheriv!(...args), { final: () => new Uint8Array() }),
        },
        "it encrypts otherwise": native && {
          ...native,
          createSecretKey: () => native.createSecretKey!(new Uint8Array(32)),
        },
      };
      const stored = await raw(1).encrypt("s3cr3t");
      for (const [what, module] of Object.entries(changed)) {
        const key = raw(1);
        await replacing(globalThis, "process", { getBuiltinModule: () => module }, async () => {
          assertEquals(await key.decrypt(stored), "s3cr3t", what);
        });
        assertEquals(await countWebCrypto(() => key.decrypt(stored)), 1, what);
      }
    },
  },
  {
    name: nativeScrypt
      ? "scrypt: the runtime's own and scrypt-js derive the same key"
      : "scrypt: scrypt-js derives, as the runtime has no scrypt",
    async run() {
      const { process } = globalThis as unknown as Runtime;
      const native = process?.getBuiltinModule?.("node:crypto")?.scrypt;
      assertEquals(typeof native === "function", nativeScrypt);
      const ciphertext = await scrypt().encrypt("same key");
      const derive = (found?: (...args: unknown[]) => void) =>
        replacing(globalThis, "process", {
          getBuiltinModule(name: string) {
            assertEquals(name, "node:crypto");
            return found && { scrypt: found };
          },
        }, async () => assertEquals(await scrypt().decrypt(ciphertext), "same key"));
      await derive();
      if (native === undefined) return;
      let calls = 0;
      await derive((...args) => {
        calls++;
        native(...args);
      });
      assertEquals(calls, 1);
    },
  },
  {
    name: "PBKDF2: 600,000 iterations by default, and fewer",
    async run() {
      assertEquals(await pbkdf2(600_000).decrypt(await pbkdf2().encrypt("s3cr3t")), "s3cr3t");
      await assertRoundTrip(pbkdf2(100_000));
    },
  },
  {
    // Cloudflare's production refuses more than 100,000 iterations. A local workerd does not, so
    // this `subtle` simulates the refusal.
    name: "PBKDF2: a simulated platform that refuses the iterations: the error names the remedies",
    async run() {
      const { subtle } = crypto;
      const refusing = Object.create(subtle, {
        importKey: { value: subtle.importKey.bind(subtle) },
        encrypt: { value: subtle.encrypt.bind(subtle) },
        decrypt: { value: subtle.decrypt.bind(subtle) },
        deriveBits: {
          value: (algorithm: Pbkdf2Params, base: CryptoKey, length: number) => {
            if (algorithm.iterations <= 100_000) return subtle.deriveBits(algorithm, base, length);
            const message = "Pbkdf2 failed: iteration counts above 100000 are not supported";
            return Promise.reject(new DOMException(message, "NotSupportedError"));
          },
        },
      });
      await replacing(crypto, "subtle", refusing, async () => {
        const error = await assertRejects(() => pbkdf2().encrypt("s3cr3t"), RangeError);
        assertEquals(
          error.message,
          "Deriving an encryption key: this runtime refuses PBKDF2 with 600000 iterations; use " +
            "scrypt, importEncryptionKey, or no more iterations than it allows (100000 on " +
            "Cloudflare Workers)",
        );
        assert(error.cause !== undefined);
        await assertRoundTrip(pbkdf2(100_000));
        await assertRoundTrip(buildEncryptionKey("password", "salt"));
      });
    },
  },
  {
    name: "imported keys, and keys that also read other keys' values",
    async run() {
      const key = importEncryptionKey(new Uint8Array(32).fill(2), { alsoReads: [raw(1)] });
      await assertRoundTrip(key);
      const ciphertext = await raw(1).encrypt("old");
      assertEquals(await key.decrypt(ciphertext), "old");
      assertEquals(await key.isCurrent!(ciphertext), false);
    },
  },
  {
    name: "base64, with the platform's methods and without",
    async run() {
      const written = await Promise.all(TEXTS.map((text) => raw(1).encrypt(text)));
      const { prototype } = Uint8Array;
      const withoutBoth = () =>
        replacing(prototype, "toBase64", undefined, async () => {
          for (const [index, ciphertext] of written.entries()) {
            assertEquals(await raw(1).decrypt(ciphertext), TEXTS[index]);
          }
          await assertRoundTrip(raw(1));
        });
      await replacing(Uint8Array, "fromBase64", undefined, withoutBoth);
    },
  },
  {
    name: "the stored form is checked before anything is decrypted, and then the tag",
    async run() {
      const [iv, ciphertext, tag] = (await raw(1).encrypt("secret text")).split(":");
      const damaged = [
        "secret text",
        `${iv}:${ciphertext}:AAAAAA==`,
        `${tag}:${ciphertext}:${iv}`,
        `${iv}:${ciphertext}\n:${tag}`,
        `${iv}:!!!!:${tag}`,
      ];
      for (const stored of damaged) {
        const error = await assertRejects(() => raw(1).decrypt(stored), InvalidCiphertextError);
        assertEquals(error.code, "ERR_INVALID_CIPHERTEXT");
      }
      const other = await raw(9).encrypt("secret text");
      const error = await assertRejects(() => raw(1).decrypt(other), DecryptionError);
      assertEquals([error.code, error.cause], ["ERR_DECRYPTION_FAILED", undefined]);
    },
  },
  {
    name: "the table can be built",
    async run() {
      const table = buildExtensionInstanceTable(buildEncryptedTextColumn(raw(1)));
      assertEquals(getTableName(table), "extension_instance");
      await Promise.resolve();
    },
  },
];
