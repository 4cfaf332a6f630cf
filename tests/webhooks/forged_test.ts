/** Forgeries: refused by the handler, by verifyWebhook, and before mitthooks' handlers. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { decodeHex, encodeBase64, encodeBase64Url, encodeHex } from "@std/encoding";
import { HttpWebhookHandler } from "@weissaufschwarz/mitthooks/bootstrapping/http-wrapper";
import { CombinedWebhookHandlerFactory } from "@weissaufschwarz/mitthooks/factory/combined";
import { SignatureVerificationHandler } from "../../mitthooks/mod.ts";
import { MitthooksDrizzleError, verifyWebhook } from "../../webhooks/mod.ts";
import { eachRow } from "../support/each_row.ts";
import {
  ADDED,
  ALGORITHM,
  createSigner,
  encode,
  EXTENSION_ID,
  fail,
  payload,
  Receiver,
  REMOVED,
  SECRET,
  SERIAL,
  signatureHeaders,
  URL_OF_WEBHOOK,
} from "./support.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const BODY = encode(payload(ADDED));
const INVALID = "401 ERR_SIGNATURE_INVALID";
const MALFORMED = "400 ERR_SIGNATURE_MALFORMED";
const UNREADABLE = "400 ERR_BODY_INVALID";

/** mitthooks' wiring with our check before its handlers. */
async function throughMitthooks(
  { storage, options: { publicKeys } }: Receiver,
  request: Request,
): Promise<string> {
  const wrapper = new HttpWebhookHandler(
    new CombinedWebhookHandlerFactory(storage, EXTENSION_ID)
      .withoutLogging()
      .withoutWebhookSignatureVerification()
      .withWebhookHandlerPrefix(new SignatureVerificationHandler({ publicKeys }))
      .build(),
  );
  const response = await wrapper.handleWebhook(request);
  return `${response.status} ${await response.text()}`;
}

/** Asserts the outcome of a request in each of the three ways, and that nothing is stored. */
async function assertRefused(
  receiver: Receiver,
  expected: string,
  body: Bytes | null,
  headers: HeadersInit,
): Promise<void> {
  await receiver.expectSent(expected, body, headers);
  const request = () => new Request(URL_OF_WEBHOOK, { method: "POST", headers, body });
  const { publicKeys } = receiver.options;
  const options = { extensionId: EXTENSION_ID, publicKeys };
  const error = await assertRejects(() => verifyWebhook(request(), options), MitthooksDrizzleError);
  assertEquals(error.code, expected.slice(4));
  const answer = await throughMitthooks(receiver, request());
  assertEquals(answer.slice(0, 4), expected.startsWith("5") ? "500 " : "400 ", answer);
  assert(!(answer + receiver.said).includes(SECRET));
  assertEquals(receiver.storage.callCount, 0);
}

Deno.test("genuine webhooks pass the check before mitthooks' handlers", async () => {
  const receiver = await Receiver.create();
  const headers = await receiver.signer.headers(BODY);
  const request = new Request(URL_OF_WEBHOOK, { method: "POST", headers, body: BODY });
  assertEquals((await throughMitthooks(receiver, request)).slice(0, 4), "200 ");
  assertEquals(receiver.storage.rows.get("instance-1")?.secret, SECRET);
});

function withByte(bytes: Bytes, index: number, change: number): Bytes {
  const copy = bytes.slice();
  copy[index]! ^= change;
  return copy;
}

/** The group order of Ed25519: RFC 8032, section 5.1. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

/** A signature with its scalar S replaced by S + L: equal modulo the group order, but forbidden. */
function malleated(signature: Bytes): Bytes {
  let s = L;
  for (let i = 63; i >= 32; i--) s += BigInt(signature[i]!) << BigInt(8 * (i - 32));
  const copy = signature.slice();
  for (let i = 32; i < 64; i++, s >>= 8n) copy[i] = Number(s & 255n);
  return copy;
}

Deno.test("forged signatures are refused and nothing is stored", async (t) => {
  const receiver = await Receiver.create();
  const other = await createSigner("serial-2");
  // Has a character that base64url writes differently, so that the two forms differ.
  let body = BODY;
  while (!/[+/]/.test(encodeBase64(await receiver.signer.sign(body)))) {
    body = encode(payload(ADDED, { more: crypto.randomUUID() }));
  }
  const signature = await receiver.signer.sign(body);
  const text = encodeBase64(signature);
  const forged: Record<string, [string, string]> = {
    "of another key": [INVALID, encodeBase64(await other.sign(body))],
    "all zeros": [INVALID, encodeBase64(new Uint8Array(64))],
    "S + L": [INVALID, encodeBase64(malleated(signature))],
    "empty": [MALFORMED, ""],
    "short": [MALFORMED, encodeBase64(signature.subarray(1))],
    "long": [MALFORMED, encodeBase64(new Uint8Array([...signature, 0]))],
    "not base64": [MALFORMED, "!".repeat(88)],
    "unpadded": [MALFORMED, text.replace(/=+$/, "")],
    "space within": [MALFORMED, `${text.slice(0, 8)} ${text.slice(8)}`],
    "stray bits": [MALFORMED, text.replace(/.==$/, "B==")],
    "base64url": [MALFORMED, encodeBase64Url(signature)],
    "base64url, padded": [MALFORMED, `${encodeBase64Url(signature)}==`],
    "hex": [MALFORMED, encodeHex(signature)],
  };
  await eachRow(t, forged, async ([expected, signature]) => {
    await assertRefused(receiver, expected, body, signatureHeaders("serial-1", signature));
  });
  assertEquals(receiver.errors, []);
});

Deno.test("a changed body is refused and nothing is stored", async (t) => {
  const receiver = await Receiver.create();
  const headers = await receiver.signer.headers(BODY);
  const bodies: Record<string, Bytes | null> = {
    "one byte": withByte(BODY, BODY.length - 3, 1),
    "re-serialised": encode(JSON.stringify(payload(ADDED), null, 1)),
    "a byte more": new Uint8Array([...BODY, 0x20]),
    "a byte less": BODY.slice(0, -1),
    "of another event": encode(payload(REMOVED)),
    "empty": new Uint8Array(),
    "none": null,
  };
  await eachRow(t, bodies, (body) => assertRefused(receiver, INVALID, body, headers));
  // Not before mitthooks' handlers: its wrapper strips the mark before it passes the body on.
  const marked = new Uint8Array([0xef, 0xbb, 0xbf, ...BODY]);
  await receiver.expectSent(INVALID, marked, headers);
});

Deno.test("a body that is not UTF-8 without a mark is refused, though signed", async (t) => {
  const receiver = await Receiver.create();
  const bodies: Record<string, Bytes> = {
    "Latin-1": new Uint8Array([...BODY.slice(0, -2), 0xe4, 0x22, 0x7d]),
    "byte order mark": new Uint8Array([0xef, 0xbb, 0xbf, ...BODY]),
  };
  await eachRow(t, bodies, async (body) => {
    await assertRefused(receiver, UNREADABLE, body, await receiver.signer.headers(body));
  });
});

Deno.test("serials and algorithms that do not belong to the signature are refused", async (t) => {
  const other = await createSigner("serial-2");
  const receiver: Receiver = await Receiver.create({
    publicKeys: {
      getPublicKey: (serial) => {
        const key = { "serial-1": receiver.signer.publicKey, "serial-2": other.publicKey }[serial];
        if (key === undefined) throw new Error(`unknown serial ${serial}`);
        return key;
      },
    },
  });
  const headers = await receiver.signer.headers(BODY);
  const cases: Record<string, [string, string, string]> = {
    "swapped serial": [INVALID, SERIAL, "serial-2"],
    "provider fails": ["502 ERR_PUBLIC_KEY_UNAVAILABLE", SERIAL, "serial-3"],
    "no serial": [MALFORMED, SERIAL, ""],
    "two serials": [MALFORMED, SERIAL, "serial-1, serial-1"],
    "no algorithm": [MALFORMED, ALGORITHM, ""],
    "none": [MALFORMED, ALGORITHM, "none"],
    "HS256": [MALFORMED, ALGORITHM, "HS256"],
    "Ed25519ph": [MALFORMED, ALGORITHM, "Ed25519ph"],
  };
  await eachRow(t, cases, async ([expected, name, value]) => {
    await assertRefused(receiver, expected, BODY, { ...headers, [name]: value });
  });
  await eachRow(t, headers, async (value, name) => {
    const rest = Object.entries(headers).filter((header) => header[0] !== name);
    await assertRefused(receiver, MALFORMED, BODY, rest);
    const twice: [string, string][] = [...Object.entries(headers), [name.toLowerCase(), value]];
    await assertRefused(receiver, MALFORMED, BODY, twice);
  });
});

Deno.test("errors of a provider from another copy of the package count", async (t) => {
  const codes = {
    ERR_SIGNATURE_INVALID: INVALID,
    ERR_BUSY: "503 ERR_BUSY",
    ERR_OTHER: "502 ERR_PUBLIC_KEY_UNAVAILABLE",
  };
  await eachRow(t, codes, async (expected, code) => {
    const getPublicKey = fail(Object.assign(new Error(SECRET), { code }));
    const receiver = await Receiver.create({ publicKeys: { getPublicKey } });
    await assertRefused(receiver, expected, BODY, await receiver.signer.headers(BODY));
  });
});

Deno.test("header names and algorithm are case-insensitive", async () => {
  const receiver = await Receiver.create();
  const headers = await receiver.signer.headers(BODY);
  const upper = Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]);
  await receiver.expectSent("200 STORED", BODY, Object.fromEntries(upper));
  await receiver.expectSent("200 STORED", BODY, { ...headers, [ALGORITHM]: "ed25519" });
});

Deno.test("one byte changed anywhere is refused and nothing is stored", async () => {
  const receiver = await Receiver.create();
  const signature = await receiver.signer.sign(BODY);
  const changed = [
    ...[...BODY.keys()].map((at) => [withByte(BODY, at, 1), signature] as const),
    ...[...signature.keys()].map((at) => [BODY, withByte(signature, at, 1)] as const),
  ];
  for (const [body, bytes] of changed) {
    await receiver.expectSent(INVALID, body, signatureHeaders("serial-1", encodeBase64(bytes)));
  }
  assertEquals(receiver.storage.callCount, 0);
});

// The y coordinates of the points whose order divides 8; the top bit is the sign of x.
const SMALL_ORDER = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];
// Not allowed by RFC 8032, section 5.1.3, because they are at least p: 0 and 1 again, 2, and the
// largest.
const NOT_CANONICAL = ["ed", "ee", "ef", "ff"].map((least) => `${least}${"ff".repeat(30)}7f`);

Deno.test("keys of small order or not in canonical form are refused, whatever the signature", async (t) => {
  const keys = [...SMALL_ORDER, ...NOT_CANONICAL].flatMap((hex) => {
    const key = new Uint8Array(decodeHex(hex));
    return [key, withByte(key, 31, 0x80)].map((signed) => [encodeHex(signed), signed]);
  });
  const neutral = new Uint8Array(decodeHex(SMALL_ORDER[0]!));
  await eachRow(t, Object.fromEntries(keys) as Record<string, Bytes>, async (key) => {
    const publicKeys = { getPublicKey: () => encodeBase64(key) };
    const receiver = await Receiver.create({ publicKeys });
    // With such a key, R = A and S = 0 verify for about every eighth body.
    for (const r of [key, neutral]) {
      const signature = encodeBase64(new Uint8Array([...r, ...new Uint8Array(32)]));
      const headers = signatureHeaders("serial-1", signature);
      await assertRefused(receiver, "502 ERR_PUBLIC_KEY_UNAVAILABLE", BODY, headers);
    }
  });
});
