import { assert, assertEquals } from "@std/assert";
import { decodeHex, encodeBase64, encodeBase64Url, encodeHex } from "@std/encoding";
import {
  assertAnswer,
  createSigner,
  encode,
  KINDS,
  payload,
  Receiver,
  signatureHeaders,
} from "./support.ts";

const BODY = encode(payload("ExtensionAddedToContext"));

/** The group order of Ed25519: RFC 8032, section 5.1. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

function withByte(bytes: Uint8Array, index: number, change: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  copy[index] = (copy[index] ?? 0) ^ change;
  return copy;
}

/** The same signature with its scalar S replaced by S + L: equal modulo the group order, and forbidden. */
function malleated(signature: Uint8Array): Uint8Array {
  let s = 0n;
  for (let i = 63; i >= 32; i--) s = (s << 8n) | BigInt(signature[i] ?? 0);
  s += L;
  const copy = new Uint8Array(signature);
  for (let i = 32; i < 64; i++, s >>= 8n) copy[i] = Number(s & 255n);
  return copy;
}

Deno.test("forged signatures are refused and nothing is stored", async (t) => {
  const receiver = await Receiver.create();
  const other = await createSigner("serial-2");
  const signature = await receiver.signer.sign(BODY);
  const text = encodeBase64(signature);
  // Two characters that base64url writes differently, so that the two forms cannot be the same by chance.
  let body = BODY;
  while (!/[+/]/.test(encodeBase64(await receiver.signer.sign(body)))) {
    body = encode(payload("ExtensionAddedToContext", { more: crypto.randomUUID() }));
  }
  const urlText = encodeBase64Url(await receiver.signer.sign(body));

  const cases: [string, string, number, string, Uint8Array<ArrayBuffer>?][] = [
    ["of another key", encodeBase64(await other.sign(BODY)), 401, "ERR_SIGNATURE_INVALID"],
    ["all zeros", encodeBase64(new Uint8Array(64)), 401, "ERR_SIGNATURE_INVALID"],
    ["S + L", encodeBase64(malleated(signature)), 401, "ERR_SIGNATURE_INVALID"],
    ["empty", "", 400, "ERR_SIGNATURE_MALFORMED"],
    ["short", encodeBase64(signature.subarray(1)), 400, "ERR_SIGNATURE_MALFORMED"],
    ["long", encodeBase64(new Uint8Array([...signature, 0])), 400, "ERR_SIGNATURE_MALFORMED"],
    ["not base64", "!".repeat(88), 400, "ERR_SIGNATURE_MALFORMED"],
    ["unpadded", text.replace(/=+$/, ""), 400, "ERR_SIGNATURE_MALFORMED"],
    ["space within", `${text.slice(0, 8)} ${text.slice(8)}`, 400, "ERR_SIGNATURE_MALFORMED"],
    ["stray bits", text.replace(/.==$/, "B=="), 400, "ERR_SIGNATURE_MALFORMED"],
    ["base64url", urlText, 400, "ERR_SIGNATURE_MALFORMED", body],
    ["base64url, padded", `${urlText}==`, 400, "ERR_SIGNATURE_MALFORMED", body],
    ["hex", encodeHex(signature), 400, "ERR_SIGNATURE_MALFORMED"],
  ];
  for (const [name, forged, status, code, ofBody = BODY] of cases) {
    await t.step(name, async () => {
      assertAnswer(
        await receiver.send(ofBody, signatureHeaders("serial-1", forged)),
        status,
        code,
      );
    });
  }
  assertEquals(receiver.storage.callCount, 0);
  assertEquals(receiver.errors, []);
});

Deno.test("a changed body is refused and nothing is stored", async (t) => {
  const receiver = await Receiver.create();
  const headers = await receiver.signer.headers(BODY);
  const reserialised = encode(JSON.stringify(payload("ExtensionAddedToContext"), null, 1));
  const bodies: [string, Uint8Array<ArrayBuffer>][] = [
    ["one byte", withByte(BODY, BODY.length - 3, 1)],
    ["re-serialised", reserialised],
    ["a byte more", new Uint8Array([...BODY, 0x20])],
    ["a byte less", BODY.slice(0, -1)],
    ["a byte order mark", new Uint8Array([0xef, 0xbb, 0xbf, ...BODY])],
    ["empty", new Uint8Array()],
  ];
  for (const [name, body] of bodies) {
    await t.step(name, async () => {
      assertAnswer(await receiver.send(body, headers), 401, "ERR_SIGNATURE_INVALID");
    });
  }
  assertAnswer(await receiver.send(null, headers), 401, "ERR_SIGNATURE_INVALID");
  assertEquals(receiver.storage.callCount, 0);
});

Deno.test("serials and algorithms that do not belong to the signature are refused", async (t) => {
  const other = await createSigner("serial-2");
  const receiver = await Receiver.create({
    publicKeys: {
      getPublicKey: (serial) => {
        const key = { "serial-1": receiver.signer.publicKey, "serial-2": other.publicKey }[serial];
        if (key === undefined) throw new Error(`unknown serial ${serial}`);
        return key;
      },
    },
  });
  const headers = await receiver.signer.headers(BODY);
  const serial = "X-Marketplace-Signature-Serial";
  const algorithm = "X-Marketplace-Signature-Algorithm";
  const cases: [string, Record<string, string>, number, string][] = [
    ["swapped serial", { [serial]: "serial-2" }, 401, "ERR_SIGNATURE_INVALID"],
    ["provider fails", { [serial]: "serial-3" }, 502, "ERR_PUBLIC_KEY_UNAVAILABLE"],
    ["no serial", { [serial]: "" }, 400, "ERR_SIGNATURE_MALFORMED"],
    ["two serials", { [serial]: "serial-1, serial-1" }, 400, "ERR_SIGNATURE_MALFORMED"],
    ["no algorithm", { [algorithm]: "" }, 400, "ERR_SIGNATURE_MALFORMED"],
    ["none", { [algorithm]: "none" }, 400, "ERR_SIGNATURE_MALFORMED"],
    ["HS256", { [algorithm]: "HS256" }, 400, "ERR_SIGNATURE_MALFORMED"],
    ["Ed25519ph", { [algorithm]: "Ed25519ph" }, 400, "ERR_SIGNATURE_MALFORMED"],
  ];
  for (const [name, change, status, code] of cases) {
    await t.step(name, async () => {
      assertAnswer(await receiver.send(BODY, { ...headers, ...change }), status, code);
    });
  }
  for (const missing of Object.keys(headers)) {
    await t.step(`without ${missing}`, async () => {
      const rest = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== missing));
      assertAnswer(await receiver.send(BODY, rest), 400, "ERR_SIGNATURE_MALFORMED");
    });
    await t.step(`${missing} twice`, async () => {
      const twice: [string, string][] = [
        ...Object.entries(headers),
        [missing.toLowerCase(), headers[missing] ?? ""],
      ];
      assertAnswer(await receiver.send(BODY, twice), 400, "ERR_SIGNATURE_MALFORMED");
    });
  }
  assertEquals(receiver.storage.callCount, 0);
});

Deno.test("neither the case of header names nor that of the algorithm matters", async () => {
  const receiver = await Receiver.create();
  const headers = await receiver.signer.headers(BODY);
  const upper = Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]);
  assertAnswer(await receiver.send(BODY, upper as [string, string][]), 200, "STORED");
  const lower = { ...headers, "X-Marketplace-Signature-Algorithm": "ed25519" };
  assertAnswer(await receiver.send(BODY, lower), 200, "STORED");
});

/** A small generator with a fixed seed: every run mutates the same way (xorshift32, Marsaglia 2003). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

Deno.test("1,000 random mutations of valid deliveries are refused and nothing is stored", async () => {
  const receiver = await Receiver.create();
  const below = random(8032);
  const originals = await Promise.all(KINDS.map(async (kind) => {
    const body = encode(payload(kind));
    return { body, signature: await receiver.signer.sign(body) };
  }));
  for (let round = 0; round < 1_000; round++) {
    const original = originals[round % originals.length];
    assert(original !== undefined);
    let { body, signature } = original;
    let serial = "serial-1";
    switch (below(6)) {
      case 0:
        body = withByte(body, below(body.length), 1 << below(8));
        break;
      case 1:
        body = body.slice(below(body.length - 1) + 1);
        break;
      case 2: {
        const at = below(body.length);
        body = new Uint8Array([...body.subarray(0, at), below(256), ...body.subarray(at)]);
        break;
      }
      case 3:
        signature = withByte(signature, below(64), 1 << below(8));
        break;
      case 4: {
        const other = originals[(round + 1 + below(originals.length - 1)) % originals.length];
        assert(other !== undefined && other !== original);
        signature = other.signature;
        break;
      }
      case 5:
        serial = `${String.fromCharCode(97 + below(26))}${serial}`;
        break;
    }
    const { status, answer } = await receiver.send(
      body,
      signatureHeaders(serial, encodeBase64(signature)),
    );
    assertEquals(`${status} ${answer.code}`, "401 ERR_SIGNATURE_INVALID", `round ${round}`);
  }
  assertEquals(receiver.storage.callCount, 0);
});

// RFC 8032, section 7.1: public key, message, signature.
const RFC_8032_VECTORS: Record<string, [string, string, string]> = {
  "TEST 1": [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac" +
    "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  "TEST 2": [
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e" +
    "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  "TEST 3": [
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290" +
    "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
  "TEST 1024": [
    "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
    "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12" +
    "ee50f8f54e9f77b1e355f6c50544e23fb1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe57" +
    "38829adb26c81b37c93a1b270b20329d658675fc6ea534e0810a4432826bf58c941efb65d57a338b" +
    "bd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4fe" +
    "ba15452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e06203b33890cc9b8" +
    "32f79ef80560ccb9a39ce767967ed628c6ad573cb116dbefefd75499da96bd68a8a97b928a8bbc10" +
    "3b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53" +
    "f1d8ac70bdcb7ed185ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2" +
    "d17ba70eb6248e594e1a2297acbbb39d502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6" +
    "079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f27088d78b7e883c8759d2c4f5c65adb7553" +
    "878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2" +
    "cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128ba" +
    "b27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae078" +
    "4504df543af8969be3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8" +
    "fcffead94f3c7ca495e056a9b47acdb751fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301" +
    "651339e22904cc8c42f58c30c04aafdb038dda0847dd988dcda6f3bfd15c4b4c4525004aa06eeff8" +
    "ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34dff7310fdc82aebfd9" +
    "04b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7" +
    "984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a" +
    "3ca8e1b939ae49e488acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a3" +
    "2ef5b52a1ecc820e308aa342721aac0943bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a4" +
    "3dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5fb93246f6b1116398a346f1a641f3b041" +
    "e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d9" +
    "0d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380d" +
    "b2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef" +
    "68d3a101e8a3b8cac60c905c15fc910840b94c00a0b9d0",
    "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f45" +
    "28ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03",
  ],
  "TEST SHA(abc)": [
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a8" +
    "36ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ec" +
    "fdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
  ],
};

Deno.test("RFC 8032's test vectors verify, and no longer with one bit changed", async (t) => {
  for (const [name, [publicKey, message, signature]] of Object.entries(RFC_8032_VECTORS)) {
    await t.step(name, async () => {
      const receiver = await Receiver.create({
        publicKeys: { getPublicKey: () => encodeBase64(decodeHex(publicKey)) },
      });
      const send = (body: Uint8Array<ArrayBuffer>, bytes: Uint8Array) =>
        receiver.send(body, signatureHeaders("rfc", encodeBase64(bytes)));
      const body = new Uint8Array(decodeHex(message));
      const valid = decodeHex(signature);
      // Verified: what is wrong with the message is only that it is not JSON.
      assertAnswer(await send(body, valid), 400, "ERR_BODY_INVALID");
      assertAnswer(await send(body, withByte(valid, 40, 4)), 401, "ERR_SIGNATURE_INVALID");
      const changed = body.length === 0 ? new Uint8Array(1) : withByte(body, 0, 128);
      assertAnswer(await send(changed, valid), 401, "ERR_SIGNATURE_INVALID");
    });
  }
});
