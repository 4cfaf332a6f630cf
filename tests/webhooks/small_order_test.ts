import { assertEquals } from "@std/assert";
import { encodeBase64, encodeHex } from "@std/encoding";
import { assertAnswer, encode, payload, Receiver, signatureHeaders } from "./support.ts";

// RFC 8032, section 5.1: the field, the curve and its addition, written as they stand there.
const P = 2n ** 255n - 19n;
const mod = (a: bigint) => ((a % P) + P) % P;
function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = mod(b * b)) {
    if (e & 1n) result = mod(result * b);
  }
  return result;
}
const inverse = (a: bigint) => power(a, P - 2n);
const D = mod(-121665n * inverse(121666n));
const SQRT_MINUS_1 = power(2n, (P - 1n) / 4n);
type Point = readonly [bigint, bigint];
const B_Y = mod(4n * inverse(5n));

function xOf(y: bigint): bigint | undefined {
  const squared = mod((y * y - 1n) * inverse(D * y * y + 1n));
  const root = power(squared, (P + 3n) / 8n);
  for (const x of [root, mod(root * SQRT_MINUS_1)]) if (mod(x * x) === squared) return x;
  return undefined;
}
function add([x1, y1]: Point, [x2, y2]: Point): Point {
  const t = mod(D * x1 * x2 * y1 * y2);
  return [
    mod((x1 * y2 + x2 * y1) * inverse(1n + t)),
    mod((y1 * y2 + x1 * x2) * inverse(1n - t)),
  ];
}
function multiply(point: Point, times: bigint): Point {
  let result: Point = [0n, 1n];
  for (let p = point, n = times; n > 0n; n >>= 1n, p = add(p, p)) {
    if (n & 1n) result = add(result, p);
  }
  return result;
}
function toBytes(y: bigint, sign: 0 | 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(32);
  for (let index = 0, rest = y; index < 32; index++, rest >>= 8n) {
    bytes[index] = Number(rest & 255n);
  }
  bytes[31]! |= sign << 7;
  return bytes;
}

const L = 2n ** 252n + 27742317777372353535851937790883648493n;

/** The y coordinates of all points whose order divides 8: the multiples of L times any point outside the subgroup. */
function smallOrderYs(): Set<bigint> {
  for (let y = 2n;; y++) {
    const x = xOf(y);
    if (x === undefined) continue;
    const generator = multiply([x, y], L);
    const ys = new Set<bigint>();
    let point: Point = [0n, 1n];
    for (let n = 0; n < 8; n++, point = add(point, generator)) ys.add(point[1]);
    if (ys.size === 5) return ys;
  }
}

Deno.test("keys of small order and in other than canonical form are refused, whatever the signature", async (t) => {
  const encodings = [...smallOrderYs()].flatMap((y) => y + P < 2n ** 255n ? [y, y + P] : [y]);
  // 0 and 1 have a second encoding.
  assertEquals(encodings.length, 7);
  encodings.push(P + 2n, 2n ** 255n - 1n);
  const body = encode(payload("ExtensionAddedToContext"));
  for (const y of encodings) {
    for (const sign of [0, 1] as const) {
      const key = toBytes(y, sign);
      await t.step(encodeHex(key), async () => {
        const receiver = await Receiver.create({
          publicKeys: { getPublicKey: () => encodeBase64(key) },
        });
        // R = A and S = 0 verify for such a key with about every eighth body.
        for (const r of [key, toBytes(1n, 0)]) {
          const signature = new Uint8Array(64);
          signature.set(r);
          const headers = signatureHeaders("serial-1", encodeBase64(signature));
          assertAnswer(await receiver.send(body, headers), 502, "ERR_PUBLIC_KEY_UNAVAILABLE");
        }
        assertEquals(receiver.storage.callCount, 0);
      });
    }
  }
});

Deno.test("keys of full order are not refused for their form", async () => {
  for (const y of [B_Y, multiply([xOf(B_Y)!, B_Y], 12345n)[1]]) {
    const receiver = await Receiver.create({
      publicKeys: { getPublicKey: () => encodeBase64(toBytes(y, 0)) },
    });
    const headers = signatureHeaders("serial-1", encodeBase64(new Uint8Array(64)));
    assertAnswer(await receiver.send(encode("{}"), headers), 401, "ERR_SIGNATURE_INVALID");
  }
});
