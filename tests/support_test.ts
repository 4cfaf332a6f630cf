/**
 * The assertions and codecs that all tests rest on: the same cases hold for `@std` from JSR and for the
 * stand-ins. And the databases and servers for tests.
 */
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { decodeBase64, decodeHex, encodeBase64, encodeBase64Url, encodeHex } from "@std/encoding";
import postgres from "postgres";
import { createDatabase, poll, startServer } from "./support/postgres.ts";

/** The message of the failed assertion. Nothing here can rely on the assertions themselves. */
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

class Point {
  #x: number;
  constructor(x: number) {
    this.#x = x;
  }
  get x(): number {
    return this.#x;
  }
}

class OtherPoint extends Point {}

function circle(value: number): object {
  const object: Record<string, unknown> = { value };
  object["self"] = object;
  return object;
}

const EQUAL: readonly (readonly [unknown, unknown])[] = [
  [undefined, undefined],
  [NaN, NaN],
  [0, -0],
  ["ä", "\u00e4"],
  [{ a: 1, b: [2, { c: 3n }] }, { b: [2, { c: 3n }], a: 1 }],
  [Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
  [{ [Symbol.for("s")]: 1 }, { [Symbol.for("s")]: 1 }],
  [new Date(5), new Date(5)],
  [new Date(NaN), new Date(NaN)],
  [new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  [new Uint8Array([1, 2]).buffer, new Uint8Array([1, 2]).buffer],
  [new Map([["a", { x: 1 }], ["b", { x: 2 }]]), new Map([["b", { x: 2 }], ["a", { x: 1 }]])],
  [new Map([[{ k: 1 }, "v"]]), new Map([[{ k: 1 }, "v"]])],
  [new Set([1, { a: 2 }]), new Set([{ a: 2 }, 1])],
  [new URL("https://example.com/a"), new URL("https://example.com/a")],
  [/a/g, /a/g],
  [new Point(1), new Point(1)],
  [circle(1), circle(1)],
];

const DIFFERENT: readonly (readonly [unknown, unknown])[] = [
  [undefined, null],
  [1, "1"],
  [1, 1n],
  [0, false],
  [{ a: undefined }, {}],
  [{ a: undefined }, { b: undefined }],
  [{ a: 1 }, { a: 1, b: 2 }],
  [{ [Symbol.for("s")]: 1 }, { [Symbol.for("s")]: 2 }],
  [[1, 2], [2, 1]],
  [[1], [1, undefined]],
  [[], {}],
  [new Date(5), new Date(6)],
  [new Date(5), 5],
  [new Date(NaN), new Date(5)],
  [new Uint8Array([1, 2]), new Uint8Array([1, 3])],
  [new Uint8Array([1]), new Uint8Array([1, 0])],
  [new Uint8Array([1]), new Int8Array([1])],
  [new Uint8Array([1]), [1]],
  [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
  [new Map([["a", 1]]), new Map([["a", 2]])],
  [new Map([["a", undefined]]), new Map([["b", undefined]])],
  [new Map([[{ k: 1 }, "v"]]), new Map([[{ k: 2 }, "v"]])],
  [new Set([1, { a: 2 }]), new Set([1, { a: 3 }])],
  [new Set([1]), new Set([1, 2])],
  [new URL("https://example.com/a"), new URL("https://example.com/b")],
  [/a/g, /a/i],
  [new Point(1), new Point(2)],
  [new Point(1), new OtherPoint(1)],
  [new Point(1), { x: 1 }],
  [circle(1), circle(2)],
  [() => {}, () => {}],
];

Deno.test("assertEquals and assertNotEquals agree on what is equal", () => {
  for (const [a, b] of EQUAL) {
    assertEquals(a, b);
    assertEquals(b, a);
    refused(() => assertNotEquals(a, b));
  }
  for (const [a, b] of DIFFERENT) {
    assertNotEquals(a, b);
    assertNotEquals(b, a);
    refused(() => assertEquals(a, b));
  }
});

Deno.test("assertEquals shows where the values differ", () => {
  const message = refused(() =>
    assertEquals({ name: "x", list: [1, 2, 3] }, { name: "x", list: [1, 4, 3] }, "the lists")
  );
  text(message, "the lists");
  text(message, "2");
  text(message, "4");
});

Deno.test("assertStrictEquals wants the very same value", () => {
  const object = {};
  assertStrictEquals(object, object);
  assertStrictEquals(NaN, NaN);
  refused(() => assertStrictEquals({}, {}));
  refused(() => assertStrictEquals(0, -0));
  text(refused(() => assertStrictEquals("a", "b", "the letter")), "the letter");
});

Deno.test("the simple assertions accept and refuse", () => {
  assert("x");
  text(refused(() => assert("", "what was wrong")), "what was wrong");
  assertFalse(0);
  refused(() => assertFalse("x"));
  assertInstanceOf(new OtherPoint(1), Point);
  text(refused(() => assertInstanceOf(new Point(1), OtherPoint)), "OtherPoint");
  refused(() => assertInstanceOf(null, Object));
  assertMatch("abc", /b/);
  refused(() => assertMatch("abc", /d/));
  assertNotMatch("abc", /d/);
  refused(() => assertNotMatch("abc", /b/));
  assertStringIncludes("abc", "bc");
  refused(() => assertStringIncludes("abc", "cb"));
  assertGreater(2, 1);
  refused(() => assertGreater(1, 1));
  assertGreaterOrEqual(1, 1);
  refused(() => assertGreaterOrEqual(0, 1));
  assertLess(1n, 2n);
  refused(() => assertLess(1, 1));
  assertLessOrEqual("a", "a");
  refused(() => assertLessOrEqual("b", "a"));
});

Deno.test("assertThrows looks at class and message, and returns the error", () => {
  const error = new RangeError("too far: 7");
  const thrower = () => {
    throw error;
  };
  assertStrictEquals(assertThrows(thrower), error);
  assertStrictEquals(assertThrows(thrower, Error), error);
  assertStrictEquals(assertThrows(thrower, RangeError, "far: 7"), error);
  text(refused(() => assertThrows(thrower, TypeError)), "TypeError");
  text(refused(() => assertThrows(thrower, RangeError, "far: 8")), "far: 8");
  text(refused(() => assertThrows(() => {}, "nothing was thrown")), "nothing was thrown");
  refused(() => assertThrows(() => {}, Error));
  const throwsText = () => {
    throw "text";
  };
  assertEquals(assertThrows(throwsText), "text");
  refused(() => assertThrows(throwsText, Error));
});

Deno.test("assertRejects looks at class and message, and wants a promise", async () => {
  const error = new RangeError("too far: 7");
  const rejecter = () => Promise.reject(error);
  assertStrictEquals(await assertRejects(rejecter), error);
  assertStrictEquals(await assertRejects(rejecter, RangeError, "far: 7"), error);
  await refusedLater(() => assertRejects(rejecter, TypeError));
  await refusedLater(() => assertRejects(rejecter, RangeError, "far: 8"));
  await refusedLater(() => assertRejects(() => Promise.resolve(1), Error));
  await refusedLater(() => assertRejects(() => Promise.reject("text"), Error));
  const notAsync = () => {
    throw error;
  };
  await refusedLater(() => assertRejects(notAsync, RangeError));
});

Deno.test("hexadecimal and base64 are read and written", () => {
  const bytes = new Uint8Array([0, 15, 251, 255]);
  assertEquals(encodeHex(bytes), "000ffbff");
  assertEquals(encodeHex(bytes.buffer), "000ffbff");
  assertEquals(encodeHex("ä"), "c3a4");
  assertEquals(decodeHex("000FfbfF"), bytes);
  assertEquals(decodeHex(""), new Uint8Array());
  assertThrows(() => decodeHex("0g"), TypeError);
  assertThrows(() => decodeHex("000"), RangeError);
  assertEquals(encodeBase64(bytes), "AA/7/w==");
  assertEquals(encodeBase64("ä"), "w6Q=");
  assertEquals(encodeBase64Url(bytes), "AA_7_w");
  assertEquals(decodeBase64("AA/7/w=="), bytes);
  assertEquals(decodeBase64("AA/7/w"), bytes);
  assertEquals(decodeBase64(""), new Uint8Array());
  assertThrows(() => decodeBase64("AA_7_w=="), TypeError);
  assertThrows(() => decodeBase64("AA /7/w"), TypeError);
  assertThrows(() => decodeBase64("A"), RangeError);
});

async function query<T extends object>(url: string, statement: string): Promise<T[]> {
  const sql = postgres(url, { max: 1 });
  try {
    return Array.from(await sql.unsafe<T[]>(statement));
  } finally {
    await sql.end();
  }
}

Deno.test("every test database is empty, on its own, and gone when dropped", async () => {
  await using first = await createDatabase();
  await query(first.url, "create table t (n int)");
  let url: string;
  {
    await using second = await createDatabase();
    url = second.url;
    await assertRejects(() => query(second.url, "select * from t"), Error, "does not exist");
    // Somebody is still connected: it is dropped nevertheless.
    const open = postgres(second.url, { max: 1, onclose: () => {} });
    await open`select 1`;
    await second.drop();
    await second.drop();
    await open.end();
  }
  await assertRejects(() => query(url, "select 1"), Error, "does not exist");
  assertEquals(await query(first.url, "select count(*)::int as n from t"), [{ n: 0 }]);
});

Deno.test("a private server has its own settings, and keeps its data over a restart", async () => {
  await using server = await startServer({ settings: { timezone: "America/New_York" } });
  assertEquals(await query(server.url, "show timezone"), [{ TimeZone: "America/New_York" }]);
  await using database = await createDatabase({ server: server.url });
  await query(database.url, "create table t as select 7 as n");
  await server.stop();
  const refusal = await assertRejects(() => query(database.url, "select n from t"));
  assertEquals((refusal as { code?: string }).code, "ECONNREFUSED");
  await server.start();
  assertEquals(await query(database.url, "select n from t"), [{ n: 7 }]);
});

Deno.test("poll returns what was waited for, and gives up with the reason", async () => {
  let calls = 0;
  assertEquals(await poll(() => ++calls === 3 ? "third" : undefined, { intervalMs: 1 }), "third");
  assertEquals(await poll(() => 0, { timeoutMs: 0 }), 0);
  const cause = new Error("not there");
  const error = await assertRejects(
    () => poll(() => Promise.reject(cause), { timeoutMs: 20, intervalMs: 5 }),
    Error,
    "nothing after 20 ms",
  );
  assertStrictEquals(error.cause, cause);
});
