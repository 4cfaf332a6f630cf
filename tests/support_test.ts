/**
 * The assertions and codecs behind all tests: the same cases for `@std` from JSR and for the
 * stand-ins.
 */
import {
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { decodeBase64, decodeHex, encodeBase64, encodeBase64Url, encodeHex } from "@std/encoding";

/** The message of a failed assertion. These tests cannot rely on the assertions themselves. */
function refused(assertion: () => void): string {
  try {
    assertion();
  } catch (error) {
    if (error instanceof Error && error.name === "AssertionError") return error.message;
    throw error;
  }
  throw new Error(`Not refused: ${assertion}`);
}

async function refusedLater(assertion: () => Promise<unknown>): Promise<string> {
  let outcome = () => {};
  await assertion().catch((error) => {
    outcome = () => {
      throw error;
    };
  });
  return refused(outcome);
}

function text(actual: string, expected: string) {
  if (!actual.includes(expected)) throw new Error(`No ${JSON.stringify(expected)} in: ${actual}`);
}

Deno.test("equal and different values are told apart", () => {
  const first = { bytes: new Uint8Array([1]), date: new Date(5), map: new Map([["a", [1]]]) };
  const same = () => ({ ...first, zero: -0, none: NaN, set: new Set([1, 2]), pattern: /a/g });
  assertEquals(same(), { ...same(), zero: 0, set: new Set([2, 1]) });
  refused(() => assertNotEquals(same(), same()));
  for (
    const other of [
      { zero: 1 },
      { none: undefined },
      { more: undefined },
      { bytes: new Int8Array([1]) },
      { bytes: new Uint8Array([2]) },
      { date: new Date(6) },
      { map: new Map([["a", [2]]]) },
      { set: new Set([1]) },
      { pattern: /a/i },
    ]
  ) {
    assertNotEquals<object>(same(), { ...same(), ...other });
    text(refused(() => assertEquals<object>(same(), { ...same(), ...other }, "why")), "why");
  }
});

Deno.test("assertThrows and assertRejects check class and message, and return the error", async () => {
  const error = new RangeError("too far: 7");
  const throws = (value: unknown) => () => {
    throw value;
  };
  for (const expected of [[], [Error], [RangeError, "far: 7"]] as [typeof Error, string][]) {
    assertStrictEquals(assertThrows(throws(error), ...expected), error);
    assertStrictEquals(await assertRejects(() => Promise.reject(error), ...expected), error);
  }
  for (
    const [thrown, ...expected] of [
      [error, TypeError],
      [error, RangeError, "far: 8"],
      ["text", Error],
    ] as [unknown, typeof Error, string][]
  ) {
    refused(() => assertThrows(throws(thrown), ...expected));
    await refusedLater(() => assertRejects(() => Promise.reject(thrown), ...expected));
  }
  assertEquals(assertThrows(throws("text")), "text");
  text(refused(() => assertThrows(() => {}, "nothing was thrown")), "nothing was thrown");
  await refusedLater(() => assertRejects(() => Promise.resolve(1), Error));
  // An error thrown before there is a promise does not count.
  await refusedLater(() => assertRejects(throws(error), RangeError));
});

Deno.test("hexadecimal and base64 are read and written", () => {
  const bytes = new Uint8Array([0, 15, 251, 255]);
  assertEquals([encodeHex(bytes), encodeHex("ä")], ["000ffbff", "c3a4"]);
  assertEquals(decodeHex("000FfbfF"), bytes);
  assertEquals([encodeBase64(bytes), encodeBase64Url(bytes)], ["AA/7/w==", "AA_7_w"]);
  assertEquals(decodeBase64("AA/7/w"), bytes);
  assertThrows(() => decodeHex("0g"));
  assertThrows(() => decodeBase64("AA_7_w=="));
});
