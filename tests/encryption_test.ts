import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { encodeHex } from "@std/encoding";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  DecryptionError,
  type EncryptionKey,
  importEncryptionKey,
  InvalidCiphertextError,
  MitthooksDrizzleError,
  plaintext,
} from "../mod.ts";
import { decodeBase64, encodeBase64 } from "../internal/base64.ts";
import { deriveWithPbkdf2, deriveWithScrypt } from "../pg/internal/key_derivation.ts";

const raw = (byte: number) => new Uint8Array(32).fill(byte);

/** Runs as on a platform without a scrypt of its own, or without the newer base64 methods. */
async function without<T>(target: object, property: string, run: () => T | Promise<T>): Promise<T> {
  const descriptor = Object.getOwnPropertyDescriptor(target, property)!;
  Object.defineProperty(target, property, { configurable: true, value: undefined });
  try {
    return await run();
  } finally {
    Object.defineProperty(target, property, descriptor);
  }
}

/** Both ways to a key: the runtime's own scrypt, and scrypt-js. */
const ways: Record<string, <T>(run: () => Promise<T>) => Promise<T>> = {
  "the runtime's scrypt": (run) => run(),
  "scrypt-js": (run) => without(globalThis, "process", run),
};

for (const [way, using] of Object.entries(ways)) {
  Deno.test(`${way} derives the original's key`, async () => {
    const bytes = await using(() => deriveWithScrypt("pw", "salt"));
    assertEquals(
      encodeHex(bytes),
      "c0b515908e61334cae6d6003c00be60e2e675878c9ac8ba282e1d70c335d3012",
    );
  });

  Deno.test(`${way} derives what RFC 7914, section 12, gives`, async () => {
    // The third vector has the N and r of the original, and its p and length; its first 32 bytes are ours.
    const bytes = await using(() => deriveWithScrypt("pleaseletmein", "SodiumChloride"));
    assertEquals(
      encodeHex(bytes),
      "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2",
    );
  });

  Deno.test(`${way} takes password and salt as UTF-8, of any length`, async () => {
    const [one, other] = await using(() =>
      Promise.all([
        deriveWithScrypt("pässwörd 🔑".repeat(100), "sälz"),
        deriveWithScrypt("p\u0000w", "s"),
      ])
    );
    const { scryptSync } = await import("node:crypto");
    assertEquals(
      encodeHex(one!),
      scryptSync("pässwörd 🔑".repeat(100), "sälz", 32).toString("hex"),
    );
    assertEquals(encodeHex(other!), scryptSync("p\u0000w", "s", 32).toString("hex"));
  });
}

Deno.test("PBKDF2 with HMAC-SHA-256 derives what RFC 7914, section 11, gives", async () => {
  const bytes = await deriveWithPbkdf2("Password", "NaCl", 80_000);
  assertEquals(
    encodeHex(bytes),
    "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56",
  );
});

Deno.test("keys of every kind encrypt and decrypt, and only their own values", async () => {
  const keys = [
    buildEncryptionKey("password", "salt"),
    buildEncryptionKey("password", "other salt"),
    buildEncryptionKey("other password", "salt"),
    buildEncryptionKey("password", "salt", { kdf: { name: "pbkdf2" } }),
    buildEncryptionKey("password", "salt", { kdf: { name: "pbkdf2", iterations: 1_000 } }),
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

Deno.test("equal arguments make equal keys", async () => {
  const value = await buildEncryptionKey("password", "salt").encrypt("secret");
  const same = buildEncryptionKey("password", "salt", { kdf: { name: "scrypt" } });
  assertEquals(await same.decrypt(value), "secret");
});

Deno.test("the stored form: IV of 12 bytes, ciphertext, tag of 16 bytes, never twice the same", async () => {
  const key = importEncryptionKey(raw(1));
  for (const plaintext of ["", "a", "secret", "ü".repeat(1000), "x".repeat(3 << 20)]) {
    const value = await key.encrypt(plaintext);
    const [iv, ciphertext, tag] = value.split(":").map((part) => decodeBase64(part)!.length);
    assertEquals([iv, ciphertext, tag], [12, new TextEncoder().encode(plaintext).length, 16]);
    assertNotEquals(await key.encrypt(plaintext), value);
    assertEquals(await key.decrypt(value), plaintext);
  }
});

Deno.test("a byte order mark at the start belongs to the value", async () => {
  const key = importEncryptionKey(raw(1));
  assertEquals(await key.decrypt(await key.encrypt("\ufeffsecret")), "\ufeffsecret");
});

Deno.test("any changed bit is noticed", async () => {
  const key = importEncryptionKey(raw(1));
  const parts = (await key.encrypt("secret")).split(":").map((part) => decodeBase64(part)!);
  for (const [index, part] of parts.entries()) {
    for (let bit = 0; bit < part.length * 8; bit++) {
      const changed = part.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const value = parts.with(index, changed).map(encodeBase64).join(":");
      const error = await assertRejects(() => key.decrypt(value), DecryptionError);
      assertEquals([error.code, error.name], ["ERR_DECRYPTION_FAILED", "DecryptionError"]);
    }
  }
});

Deno.test("what does not have the stored form is refused with a code of its own", async () => {
  const key = importEncryptionKey(raw(1));
  const value = await key.encrypt("secret text");
  const [iv, ciphertext, tag] = value.split(":") as [string, string, string];
  const bytes = (part: string) => decodeBase64(part)!;
  const invalid: Record<string, string> = {
    "empty": "",
    "plaintext": "secret text",
    "two parts": `${iv}:${ciphertext}`,
    "four parts": `${value}:${tag}`,
    "swapped IV and tag": `${tag}:${ciphertext}:${iv}`,
    "swapped tag and ciphertext": `${iv}:${tag}:${ciphertext}`,
    "no IV": `:${ciphertext}:${tag}`,
    "no tag": `${iv}:${ciphertext}:`,
    "IV of 11 bytes": `${encodeBase64(bytes(iv).subarray(1))}:${ciphertext}:${tag}`,
    "IV of 16 bytes": `${tag}:${ciphertext}:${tag}`,
    "tag of 4 bytes": `${iv}:${ciphertext}:${encodeBase64(bytes(tag).subarray(0, 4))}`,
    "tag of 8 bytes": `${iv}:${ciphertext}:${encodeBase64(bytes(tag).subarray(0, 8))}`,
    "tag of 12 bytes": `${iv}:${ciphertext}:${encodeBase64(bytes(tag).subarray(0, 12))}`,
    "tag of 17 bytes": `${iv}:${ciphertext}:${encodeBase64(Uint8Array.of(...bytes(tag), 0))}`,
    "space": ` ${value}`,
    "line feed": `${value}\n`,
    "line feed inside": `${iv}:\n${ciphertext}:${tag}`,
    "no padding": value.replaceAll("=", ""),
    "base64url": `${iv}:-_-_:${tag}`,
    "not base64": `${iv}:!!!!:${tag}`,
    "bits after the end": `${iv}:QQ==:${tag.replace(/.==$/, "/==")}`,
  };
  for (const [what, text] of Object.entries(invalid)) {
    const error = await assertRejects(
      () => key.decrypt(text),
      InvalidCiphertextError,
      undefined,
      what,
    );
    assertEquals([error.code, error.path], ["ERR_INVALID_CIPHERTEXT", undefined], what);
    assertEquals(await key.isCurrent!(text), false, what);
  }
});

Deno.test("a failed decryption says always the same, without a cause", async () => {
  const key = importEncryptionKey(raw(1));
  const value = await importEncryptionKey(raw(2)).encrypt("secret");
  const error = await assertRejects(() => key.decrypt(value), DecryptionError);
  assertEquals(
    error.message,
    "Decrypting a stored value: it was written under another key (another master password or salt), " +
      "or it is damaged",
  );
  assertEquals([error.cause, error.path], [undefined, undefined]);
  assertInstanceOf(error, MitthooksDrizzleError);
});

Deno.test("alsoReads: other keys' values are read, nested ones too, and never written", async () => {
  const oldest = importEncryptionKey(raw(1));
  const old = importEncryptionKey(raw(2), { alsoReads: [oldest] });
  const foreign: EncryptionKey = {
    encrypt: (plaintext) => Promise.resolve(`foreign ${plaintext}`),
    decrypt: (ciphertext) =>
      ciphertext.startsWith("foreign ")
        ? Promise.resolve(ciphertext.slice(8))
        : Promise.reject(new DecryptionError()),
  };
  const key = buildEncryptionKey("password", "salt", { alsoReads: [old, foreign] });
  for (const writer of [oldest, old, foreign, key]) {
    const value = await writer.encrypt("secret");
    assertEquals(await key.decrypt(value), "secret");
    assertEquals(await key.isCurrent!(value), writer === key);
  }
  const value = await key.encrypt("secret");
  for (const other of [oldest, old, foreign]) {
    await assertRejects(() => other.decrypt(value), DecryptionError);
  }
  const unknown = await importEncryptionKey(raw(9)).encrypt("secret");
  assertEquals(
    (await assertRejects(() => key.decrypt(unknown), DecryptionError)).code,
    "ERR_DECRYPTION_FAILED",
  );
});

Deno.test("alsoReads: an outage of another key is no wrong key", async () => {
  class Outage extends Error {}
  const unreachable: EncryptionKey = {
    encrypt: () => Promise.reject(new Outage()),
    decrypt: () => Promise.reject(new Outage()),
  };
  const key = importEncryptionKey(raw(1), { alsoReads: [unreachable] });
  assertEquals(await key.decrypt(await key.encrypt("own")), "own");
  const value = await importEncryptionKey(raw(2)).encrypt("foreign");
  await assertRejects(() => key.decrypt(value), Outage);
});

Deno.test("alsoReads is copied, and so are the raw bytes", async () => {
  const bytes = raw(1);
  const alsoReads: EncryptionKey[] = [];
  const key = importEncryptionKey(bytes, { alsoReads });
  bytes.fill(7);
  alsoReads.push(importEncryptionKey(raw(2)));
  assertEquals(await importEncryptionKey(raw(1)).decrypt(await key.encrypt("secret")), "secret");
  const value = await alsoReads[0]!.encrypt("secret");
  await assertRejects(() => key.decrypt(value), DecryptionError);
});

Deno.test("a subarray's bytes are the key, not those of its buffer", async () => {
  const key = importEncryptionKey(new Uint8Array(64).fill(3, 16, 48).subarray(16, 48));
  assertEquals(await importEncryptionKey(raw(3)).decrypt(await key.encrypt("s")), "s");
});

Deno.test("the key is derived once, on first use, however many ask at once", async () => {
  const { deriveBits } = crypto.subtle;
  let calls = 0;
  crypto.subtle.deriveBits = (...args) => {
    calls++;
    return deriveBits.apply(crypto.subtle, args);
  };
  try {
    const key = buildEncryptionKey("password", "salt", { kdf: { name: "pbkdf2", iterations: 10 } });
    assertEquals(calls, 0);
    const values = await Promise.all(Array.from({ length: 50 }, () => key.encrypt("x")));
    await Promise.all(values.map((value) => key.decrypt(value)));
    assertEquals(calls, 1);
  } finally {
    crypto.subtle.deriveBits = deriveBits;
  }
});

Deno.test("a failed derivation is not remembered, and says what can be done", async () => {
  const { deriveBits } = crypto.subtle;
  const key = buildEncryptionKey("password", "salt", { kdf: { name: "pbkdf2" } });
  crypto.subtle.deriveBits = () =>
    Promise.reject(new DOMException("iteration counts above 100000 are not supported"));
  try {
    const error = await assertRejects(() => key.encrypt("x"), RangeError);
    assertEquals(
      error.message,
      "Deriving an encryption key: this runtime refuses PBKDF2 with 600000 iterations; use scrypt, " +
        "importEncryptionKey, or no more iterations than it allows (100000 on Cloudflare Workers)",
    );
    assertInstanceOf(error.cause, DOMException);
  } finally {
    crypto.subtle.deriveBits = deriveBits;
  }
  assertEquals(await key.decrypt(await key.encrypt("x")), "x");
});

Deno.test("the imported CryptoKey is not extractable", async () => {
  const { importKey } = crypto.subtle;
  const imported: CryptoKey[] = [];
  crypto.subtle.importKey = async (...args: unknown[]) => {
    const key = await Reflect.apply(importKey, crypto.subtle, args);
    imported.push(key);
    return key;
  };
  try {
    await buildEncryptionKey("password", "salt").encrypt("x");
    await buildEncryptionKey("p", "s", { kdf: { name: "pbkdf2", iterations: 1 } }).encrypt("x");
    await importEncryptionKey(raw(1)).encrypt("x");
  } finally {
    crypto.subtle.importKey = importKey;
  }
  assertEquals(imported.map(({ extractable }) => extractable), [false, false, false, false]);
});

Deno.test("what a key was derived from, and the derived bytes, are overwritten", async () => {
  const { getBuiltinModule } = globalThis.process;
  const { importKey, deriveBits } = crypto.subtle;
  const seen: Record<string, Uint8Array[]> = { password: [], derived: [], imported: [] };
  const see = (name: string, bytes: unknown) => {
    const view = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes;
    assertInstanceOf(view, Uint8Array);
    assert(view.some((byte) => byte !== 0));
    seen[name]!.push(view);
  };
  globalThis.process.getBuiltinModule = ((name: string) => {
    const module = getBuiltinModule(name) as unknown as typeof import("node:crypto");
    return {
      scrypt(password: Uint8Array, ...rest: [Uint8Array, number, object, Callback]) {
        const callback = rest.pop() as Callback;
        module.scrypt(
          password,
          ...rest as unknown as [Uint8Array, number, object],
          (error, key) => {
            see("password", password);
            see("derived", key);
            callback(error, key);
          },
        );
      },
    };
  }) as typeof getBuiltinModule;
  crypto.subtle.deriveBits = async (...args) => {
    const bits = await deriveBits.apply(crypto.subtle, args);
    see("derived", bits);
    return bits;
  };
  crypto.subtle.importKey = async (...args: unknown[]) => {
    see(args[2] === "PBKDF2" ? "password" : "imported", args[1]);
    return await Reflect.apply(importKey, crypto.subtle, args);
  };
  const given = raw(7);
  try {
    await buildEncryptionKey("password", "salt").encrypt("x");
    await without(
      globalThis,
      "process",
      () => buildEncryptionKey("password", "salt").encrypt("x"),
    );
    await buildEncryptionKey("p", "s", { kdf: { name: "pbkdf2", iterations: 1 } }).encrypt("x");
    await importEncryptionKey(given).encrypt("x");
  } finally {
    globalThis.process.getBuiltinModule = getBuiltinModule;
    crypto.subtle.deriveBits = deriveBits;
    crypto.subtle.importKey = importKey;
  }
  assertEquals(Object.values(seen).map(({ length }) => length), [2, 2, 4]);
  for (const [name, buffers] of Object.entries(seen)) {
    for (const bytes of buffers) assertEquals([name, [...new Set(bytes)]], [name, [0]]);
  }
  // The caller's own bytes are the caller's.
  assertEquals(given, raw(7));
});

type Callback = (error: Error | null, key: Uint8Array) => void;

Deno.test("wrong arguments are named", () => {
  const attempt = "Building an encryption key: ";
  const cases: [string, () => unknown][] = [
    [
      'kdf.name is neither "scrypt" nor "pbkdf2"',
      () => buildEncryptionKey("p", "s", { kdf: { name: "md5" as "scrypt" } }),
    ],
    [
      "alsoReads is not an array of encryption keys",
      () => buildEncryptionKey("p", "s", { alsoReads: ["old"] as unknown as EncryptionKey[] }),
    ],
  ];
  for (const [message, build] of cases) {
    assertEquals(assertThrows(build, TypeError).message, attempt + message);
  }
  for (const iterations of [0, -1, 1.5, NaN, Infinity]) {
    const kdf = { name: "pbkdf2", iterations } as const;
    assertThrows(() => buildEncryptionKey("p", "s", { kdf }), RangeError);
  }
  for (const length of [0, 16, 31, 33]) {
    const error = assertThrows(() => importEncryptionKey(new Uint8Array(length)), RangeError);
    assertEquals(
      error.message,
      `Importing an encryption key: rawKey has ${length} bytes instead of 32`,
    );
  }
  assertThrows(() => importEncryptionKey("x".repeat(32) as unknown as Uint8Array), TypeError);
  const buffer = assertThrows(
    () => buildEncryptedTextColumn(raw(1) as unknown as EncryptionKey),
    TypeError,
  );
  assertEquals(
    buffer.message,
    "Building an encrypted column: encryptionKey is not an encryption key, " +
      "pass its bytes to importEncryptionKey",
  );
});

Deno.test("strings that are not well-formed are refused by the key as well", async () => {
  const key = importEncryptionKey(raw(1));
  for (const text of ["\ud800", "a\udfff", "\udc00\ud800", 1 as unknown as string]) {
    await assertRejects(() => key.encrypt(text), TypeError);
  }
  assertEquals(await key.decrypt(await key.encrypt("🔑")), "🔑");
});

Deno.test("base64, with the platform's methods and without", async () => {
  const all = Uint8Array.from({ length: 100_000 }, (_, index) => index * 7);
  const check = () => {
    for (const length of [0, 1, 2, 3, 4, 8191, 8192, 8193, 100_000]) {
      const text = encodeBase64(all.subarray(0, length));
      assertMatch(text, /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/);
      assertEquals(decodeBase64(text), all.slice(0, length));
    }
    for (
      const text of ["A", "AA", "AA=", "AB==", " AA==", "AA==\n", "A A==", "A-_A", "AAA=A", "é"]
    ) {
      assertStrictEquals(decodeBase64(text), undefined, text);
    }
    assertEquals(encodeBase64(all.subarray(1, 4)), "Bw4V");
  };
  check();
  await without(
    Uint8Array,
    "fromBase64",
    () => without(Uint8Array.prototype, "toBase64", check),
  );
});

Deno.test("a key tells nothing about itself", async () => {
  const key = buildEncryptionKey("hunter2hunter2", "salt salt");
  for (let run = 0; run < 2; run++) {
    const shown = Deno.inspect(key, { depth: Infinity, showHidden: true }) + JSON.stringify(key) +
      JSON.stringify(Reflect.ownKeys(key)) + String(key);
    assert(!shown.includes("hunter2") && !shown.includes("salt"));
    await key.encrypt("x");
  }
});

Deno.test("a missing or empty password or salt is told on first use, with the place where the key was made", async () => {
  const cases: [unknown, unknown, string][] = [
    [undefined, "salt", "masterPassword is missing"],
    [null, "salt", "masterPassword is missing"],
    ["", "salt", "masterPassword is empty"],
    [raw(1), "salt", "masterPassword is not a string"],
    ["hunter2", undefined, "salt is missing"],
    ["hunter2", "", "salt is empty"],
    [undefined, undefined, "masterPassword is missing, salt is missing"],
  ];
  for (const [password, salt, found] of cases) {
    const key = buildEncryptionKey(password as string, salt as string);
    for (const use of ["encrypt", "decrypt", "isCurrent"] as const) {
      const { message } = await assertRejects(
        () => key[use]!("x") as Promise<unknown>,
        TypeError,
      );
      assert(
        message.startsWith(`Building an encryption key: ${found}; the key was made at `),
        message,
      );
      assertMatch(
        message,
        /made at \S*encryption_test\.ts:\d+:\d+, and `npx mitthooks-drizzle keygen/,
      );
      assert(!message.includes("hunter2"));
    }
    // Of another key, too, before its values are taken for damaged.
    const reader = buildEncryptionKey("p", "s", { alsoReads: [key] });
    await assertRejects(() => reader.decrypt("not readable"), TypeError, found);
  }
});

Deno.test("plaintext() reads what has not the stored form, and never writes", async () => {
  const key = importEncryptionKey(raw(1), { alsoReads: [plaintext()] });
  const other = await importEncryptionKey(raw(2)).encrypt("secret");
  const [iv, body, tag] = other.split(":") as [string, string, string];
  for (
    const stored of [
      "",
      "t0k3n",
      "a:b:c",
      "::",
      `${iv}:${body}`,
      `${iv}:${body}:${iv}`,
      `${other}:`,
      ` ${other}`,
    ]
  ) {
    assertEquals([stored, await key.decrypt(stored)], [stored, stored]);
    assertEquals(await key.isCurrent!(stored), false);
  }
  for (const stored of [other, `${iv}::${tag}`]) {
    assertEquals(
      (await assertRejects(() => key.decrypt(stored), DecryptionError)).code,
      "ERR_DECRYPTION_FAILED",
    );
    await assertRejects(() => plaintext().decrypt(stored), DecryptionError);
  }
  const own = await key.encrypt("secret");
  assertEquals([await key.decrypt(own), await key.isCurrent!(own)], ["secret", true]);
  await assertRejects(() => plaintext().encrypt("secret"), TypeError, "alsoReads: [plaintext()]");
});
