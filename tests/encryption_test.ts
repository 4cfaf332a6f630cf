/** Keys and the stored form: the portable cases, and those of this runtime only. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { encodeHex } from "@std/encoding";
import * as nodeCrypto from "node:crypto";
import { setImmediate } from "node:timers";
import { runInNewContext } from "node:vm";
import { decodeBase64, encodeBase64 } from "../internal/base64.ts";
import {
  buildEncryptionKey,
  DecryptionError,
  type EncryptionKey,
  importEncryptionKey,
  InvalidCiphertextError,
  MitthooksDrizzleError,
  plaintext,
} from "../mod.ts";
import { deriveWithPbkdf2, deriveWithScrypt } from "../pg/internal/columns/key_derivation.ts";
import { mapBounded } from "../pg/internal/columns/map_bounded.ts";
import { encryption, replacing } from "./conformance/encryption.ts";

const cases = encryption({
  nativeScrypt: true,
  // Before Deno 2.7, the cipher of node:crypto accepts no Uint8Array.
  nativeAes: !/^2\.[0-6]\./.test(Deno.version.deno),
});
for (const { name, run } of cases) Deno.test(name, async () => void await run());

const raw = (byte: number) => new Uint8Array(32).fill(byte);
const PBKDF2 = { kdf: { name: "pbkdf2", iterations: 10 } } as const;
const { subtle } = crypto;

Deno.test("derivation gives what RFC 7914 and Node give, with node:crypto and without", async () => {
  const vectors = {
    // Section 12: the N, r and p of the original. The first 32 bytes are ours.
    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2": () =>
      deriveWithScrypt("pleaseletmein", "SodiumChloride"),
    "d1456d4c3196066d029244c22b86b09cda899966511f752fbe9fc344191402ff": () =>
      deriveWithScrypt("pässwörd 🔑".repeat(100), "sälz\u0000"),
    // Section 11.
    "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56": () =>
      deriveWithPbkdf2("Password", "NaCl", 80_000),
  };
  for (const [expected, derive] of Object.entries(vectors)) {
    assertEquals(encodeHex(await derive()), expected);
    assertEquals(encodeHex(await replacing(globalThis, "process", undefined, derive)), expected);
  }
});

Deno.test("keys of every kind encrypt and decrypt, and only their own values", async () => {
  const keys = [
    buildEncryptionKey("password", "salt", { kdf: { name: "scrypt" } }),
    buildEncryptionKey("password", "other salt"),
    buildEncryptionKey("other password", "salt"),
    buildEncryptionKey("password", "salt", { kdf: { name: "pbkdf2" } }),
    buildEncryptionKey("password", "salt", PBKDF2),
    importEncryptionKey(raw(1)),
  ];
  const values = await Promise.all(keys.map((key) => key.encrypt("secret")));
  for (const [index, key] of keys.entries()) {
    for (const [other, value] of values.entries()) {
      if (other === index) assertEquals(await key.decrypt(value), "secret");
      else await assertRejects(() => key.decrypt(value), DecryptionError);
      assertEquals(await key.isCurrent!(value), other === index);
    }
  }
});

Deno.test("the stored form: IV of 12 bytes, ciphertext, tag of 16 bytes, never twice the same", async () => {
  const key = importEncryptionKey(raw(1));
  // A leading byte order mark belongs to the value.
  for (const text of ["", "a", "\ufeffsecret", "ü".repeat(1000), "x".repeat(3 << 20)]) {
    const value = await key.encrypt(text);
    const lengths = value.split(":").map((part) => decodeBase64(part)!.length);
    assertEquals(lengths, [12, new TextEncoder().encode(text).length, 16]);
    assertNotEquals(await key.encrypt(text), value);
    assertEquals(await key.decrypt(value), text);
  }
  for (const text of ["\ud800", "a\udfff", "\udc00\ud800", 1 as unknown as string]) {
    await assertRejects(() => key.encrypt(text), TypeError, "Encrypting a value: ");
  }
});

Deno.test("any changed bit is detected", async () => {
  const key = importEncryptionKey(raw(1));
  const parts = (await key.encrypt("secret")).split(":").map((part) => decodeBase64(part)!);
  for (const [index, part] of parts.entries()) {
    for (let bit = 0; bit < part.length * 8; bit++) {
      const changed = part.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const value = parts.with(index, changed).map(encodeBase64).join(":");
      const { code, cause, path, message } = await assertRejects(
        () => key.decrypt(value),
        DecryptionError,
      );
      assertEquals([code, cause, path], ["ERR_DECRYPTION_FAILED", undefined, undefined]);
      assertEquals(
        message,
        "Decrypting a stored value: it was encrypted with another key (another master password or " +
          "salt), or it is damaged",
      );
    }
  }
});

Deno.test("values not in the stored form are refused with their own code", async (t) => {
  const key = importEncryptionKey(raw(1));
  const value = await key.encrypt("secret text");
  const [iv, ciphertext, tag] = value.split(":") as [string, string, string];
  const cut = (part: string, bytes: number) => encodeBase64(decodeBase64(part)!.subarray(0, bytes));
  const invalid: Record<string, string> = {
    "swapped tag and ciphertext": `${iv}:${tag}:${ciphertext}`,
    "no IV": `:${ciphertext}:${tag}`,
    "IV of 11 bytes": `${cut(iv, 11)}:${ciphertext}:${tag}`,
    "IV of 16 bytes": `${tag}:${ciphertext}:${tag}`,
    "tag of 8 bytes": `${iv}:${ciphertext}:${cut(tag, 8)}`,
    "tag of 12 bytes": `${iv}:${ciphertext}:${cut(tag, 12)}`,
    "tag of 17 bytes": `${iv}:${ciphertext}:${
      encodeBase64(Uint8Array.of(...decodeBase64(tag)!, 0))
    }`,
    "space": ` ${value}`,
    "line feed": `${value}\n`,
    "no padding": value.replaceAll("=", ""),
    "padding of one": `${iv}:QQ=:${tag}`,
    "one character": `${iv}:A:${tag}`,
    "base64url": `${iv}:-_-_:${tag}`,
    "bits after the end of two bytes": `${iv}:QUJ=:${tag}`,
    "bits after the end of one byte": `${iv}:QR==:${tag}`,
  };
  const check = async (text: string) => {
    const error = await assertRejects(() => key.decrypt(text), InvalidCiphertextError);
    assertEquals([error.code, error.path], ["ERR_INVALID_CIPHERTEXT", undefined]);
    assert(error instanceof MitthooksDrizzleError);
    assertEquals(await key.isCurrent!(text), false);
  };
  for (const [what, text] of Object.entries(invalid)) {
    await t.step(what, async () => {
      await check(text);
      // On platforms without their own base64 decoder.
      await replacing(Uint8Array, "fromBase64", undefined, () => check(text));
    });
  }
});

Deno.test("alsoReads: other keys, nested ones too, decrypt and never encrypt", async () => {
  class Outage extends Error {}
  const foreign: EncryptionKey = {
    encrypt: (text) => Promise.resolve(`foreign ${text}`),
    decrypt(ciphertext) {
      if (ciphertext === "outage") return Promise.reject(new Outage());
      return ciphertext.startsWith("foreign ")
        ? Promise.resolve(ciphertext.slice(8))
        : Promise.reject(new DecryptionError());
    },
  };
  const oldest = importEncryptionKey(raw(1));
  const old = importEncryptionKey(raw(2), { alsoReads: [oldest] });
  const key = buildEncryptionKey("password", "salt", { alsoReads: [old, foreign] });
  const own = await key.encrypt("secret");
  for (const writer of [oldest, old, foreign]) {
    const value = await writer.encrypt("secret");
    assertEquals([await key.decrypt(value), await key.isCurrent!(value)], ["secret", false]);
    await assertRejects(() => writer.decrypt(own), DecryptionError);
  }
  const unknown = await importEncryptionKey(raw(9)).encrypt("secret");
  const { code } = await assertRejects(() => key.decrypt(unknown), DecryptionError);
  assertEquals(code, "ERR_DECRYPTION_FAILED");
  // An outage of another key, or a key without a password, says nothing about the value.
  await assertRejects(() => key.decrypt("outage"), Outage);
  const broken = importEncryptionKey(raw(1), { alsoReads: [buildEncryptionKey("", "salt")] });
  await assertRejects(() => broken.decrypt(unknown), TypeError, "masterPassword is empty");
});

Deno.test("alsoReads is copied, and so are the raw bytes, also of a subarray", async () => {
  const bytes = new Uint8Array(64).fill(1, 16, 48);
  const alsoReads: EncryptionKey[] = [];
  const key = importEncryptionKey(bytes.subarray(16, 48), { alsoReads });
  bytes.fill(7);
  alsoReads.push(importEncryptionKey(raw(2)));
  assertEquals(await importEncryptionKey(raw(1)).decrypt(await key.encrypt("secret")), "secret");
  const value = await alsoReads[0]!.encrypt("secret");
  await assertRejects(() => key.decrypt(value), DecryptionError);
});

Deno.test("the key is derived once, on first use, for all concurrent calls; a failure is not cached", async () => {
  let calls = 0;
  let works = false;
  const { deriveBits } = subtle;
  const counting: typeof deriveBits = (...args) => {
    calls++;
    return works ? deriveBits.apply(subtle, args) : Promise.reject(new Error("out of memory"));
  };
  await replacing(subtle, "deriveBits", counting, async () => {
    const key = buildEncryptionKey("password", "salt", PBKDF2);
    assertEquals(calls, 0);
    await assertRejects(() => key.encrypt("x"), RangeError);
    works = true;
    const values = await Promise.all(Array.from({ length: 50 }, () => key.encrypt("x")));
    await Promise.all(values.map((value) => key.decrypt(value)));
    assertEquals(calls, 2);
  });
});

Deno.test("keys are not extractable; their derived bytes are overwritten", async () => {
  const seen: Uint8Array[] = [];
  const see = (bytes: unknown) => {
    const view = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes as Uint8Array;
    assert(view.some((byte) => byte !== 0));
    seen.push(view);
  };
  const { importKey, deriveBits } = subtle;
  const spyingImport = async (...args: unknown[]) => {
    see(args[1]);
    const key: CryptoKey = await Reflect.apply(importKey, subtle, args);
    assertEquals(key.extractable, false);
    return key;
  };
  const spyingDerivation: typeof deriveBits = async (...args) => {
    const bits = await deriveBits.apply(subtle, args);
    see(bits);
    return bits;
  };
  type Done = (error: Error | null, key: Uint8Array) => void;
  const spyingScrypt = (
    ...[password, salt, length, cost, done]: [Uint8Array, Uint8Array, number, object, Done]
  ) =>
    nodeCrypto.scrypt(password, salt, length, cost, (error, key) => {
      see(password);
      see(key);
      done(error, key);
    });
  const spyingSecretKey = (bytes: Uint8Array) => {
    see(bytes);
    return nodeCrypto.createSecretKey(bytes);
  };
  const spying = { ...nodeCrypto, scrypt: spyingScrypt, createSecretKey: spyingSecretKey };
  const runtimes = [{ getBuiltinModule: () => spying }, undefined];
  const given = raw(7);
  const spied = () =>
    replacing(subtle, "deriveBits", spyingDerivation, async () => {
      for (const process of runtimes) {
        const key = buildEncryptionKey("password", "salt");
        await replacing(globalThis, "process", process, () => key.encrypt("x"));
      }
      await buildEncryptionKey("p", "s", PBKDF2).encrypt("x");
      await importEncryptionKey(given).encrypt("x");
    });
  await replacing(subtle, "importKey", spyingImport, spied);
  assert(seen.length >= 9);
  for (const bytes of seen) assertEquals([...new Set(bytes)], [0]);
  // The caller's bytes stay unchanged.
  assertEquals(given, raw(7));
});

Deno.test("without the variable of a raw key the schema loads, and the first use says what is missing", async () => {
  const keyOfSchema = () => importEncryptionKey(new Uint8Array(0));
  const { message } = await assertRejects(() => keyOfSchema().encrypt("secret"), TypeError);
  assertMatch(
    message,
    /^Importing an encryption key: rawKey is empty; the key was imported at keyOfSchema .*keygen --raw/,
  );
});

Deno.test("bytes of another realm are a key, as test runners with one hand them over", async () => {
  const foreign: Uint8Array = runInNewContext("new Uint8Array(32).fill(7)");
  assertEquals(foreign instanceof Uint8Array, false);
  const ciphertext = await importEncryptionKey(foreign).encrypt("secret");
  assertEquals(await importEncryptionKey(raw(7)).decrypt(ciphertext), "secret");
});

Deno.test("wrong arguments are named", async (t) => {
  const ofType = <T>(value: unknown) => value as T;
  const build = (options: unknown) => () => buildEncryptionKey("p", "s", ofType(options));
  const rawKey = (bytes: unknown) => () => importEncryptionKey(ofType(bytes));
  const cases: [string, () => unknown][] = [
    [
      'TypeError: Building an encryption key: kdf.name is neither "scrypt" nor "pbkdf2"',
      build({ kdf: {} }),
    ],
    [
      'TypeError: Building an encryption key: kdf.name is neither "scrypt" nor "pbkdf2"',
      build({ kdf: null }),
    ],
    [
      "TypeError: Building an encryption key: alsoReads is not an array of encryption keys",
      build({ alsoReads: ["old"] }),
    ],
    [
      'TypeError: Building an encryption key: there is no option "alsoRead"',
      build({ alsoRead: [] }),
    ],
    [
      'TypeError: Building an encryption key: reading the option kdf: there is no option "rounds"',
      build({ kdf: { name: "pbkdf2", rounds: 600_000 } }),
    ],
    [
      'TypeError: Importing an encryption key: there is no option "kdf"',
      () => importEncryptionKey(raw(1), ofType({ kdf: { name: "scrypt" } })),
    ],
    ["TypeError: Importing an encryption key: rawKey is not a Uint8Array", rawKey("x".repeat(32))],
  ];
  for (const iterations of [0, -1, 1.5, NaN, Infinity]) {
    const found =
      "RangeError: Building an encryption key: kdf.iterations is not a positive integer";
    cases.push([found, build({ kdf: { name: "pbkdf2", iterations } })]);
  }
  for (const bytes of [31, 33]) {
    const found =
      `RangeError: Importing an encryption key: rawKey has ${bytes} bytes instead of 32`;
    cases.push([found, rawKey(new Uint8Array(bytes))]);
  }
  for (const [found, call] of cases) {
    await t.step(found, () => assertEquals(String(assertThrows(call)), found));
  }
});

Deno.test("plaintext() reads values not in the stored form, and never encrypts", async () => {
  const key = importEncryptionKey(raw(1), { alsoReads: [plaintext()] });
  const other = await importEncryptionKey(raw(2)).encrypt("secret");
  const [iv, body, tag] = other.split(":") as [string, string, string];
  for (const stored of ["", "a:b:c", `${iv}:${body}:${iv}`, `${other}:`, ` ${other}`]) {
    assertEquals([await key.decrypt(stored), await key.isCurrent!(stored)], [stored, false]);
  }
  for (const stored of [other, `${iv}::${tag}`]) {
    const { code } = await assertRejects(() => key.decrypt(stored), DecryptionError);
    assertEquals(code, "ERR_DECRYPTION_FAILED");
  }
  assertEquals(await key.isCurrent!(await key.encrypt("secret")), true);
  await assertRejects(() => plaintext().encrypt("secret"), TypeError, "alsoReads: [plaintext()]");
});

Deno.test("many values yield to the event loop after every 256, long ones sooner", async () => {
  let turns = 0;
  let beating = true;
  const beat = () => {
    turns++;
    if (beating) setImmediate(beat);
  };
  setImmediate(beat);
  const inOneTurn = async (text: string, map: (text: string) => string | Promise<string>) => {
    const values = new Map<number, number>();
    await mapBounded(Array.from({ length: 2_000 }, () => text), (value) => {
      values.set(turns, (values.get(turns) ?? 0) + 1);
      return map(value);
    });
    return Math.max(...values.values());
  };
  assertEquals(await inOneTurn("short", (text) => text), 256);
  assertEquals(await inOneTurn("x".repeat(65_536), (text) => text), 16);
  // Work in flight when the turn is due continues.
  assert(await inOneTurn("short", (text) => Promise.resolve(text)) <= 512);
  beating = false;
});
