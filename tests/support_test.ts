/**
 * The assertions and codecs that all tests rest on: the same cases hold for `@std` from JSR and for the
 * stand-ins. And the databases for tests.
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
import { connect } from "./runtimes/drivers/node_postgres.ts";
import { createDatabase } from "../tools/postgres/databases.ts";

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
  [{ a: 1, b: [2, { c: 3n }] }, { b: [2, { c: 3n }], a: 1 }],
  [Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
  [{ [Symbol.for("s")]: 1 }, { [Symbol.for("s")]: 1 }],
  [new Date(5), new Date(5)],
  [new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  [new Uint8Array([1, 2]).buffer, new Uint8Array([1, 2]).buffer],
  [new Map([["a", { x: 1 }], ["b", { x: 2 }]]), new Map([["b", { x: 2 }], ["a", { x: 1 }]])],
  [new Map([[{ k: 1 }, "v"]]), new Map([[{ k: 1 }, "v"]])],
  [new Set([1, { a: 2 }]), new Set([{ a: 2 }, 1])],
  [/a/g, /a/g],
  [new Point(1), new Point(1)],
  [circle(1), circle(1)],
];

const DIFFERENT: readonly (readonly [unknown, unknown])[] = [
  [undefined, null],
  [1, "1"],
  [1, 1n],
  [{ a: undefined }, {}],
  [{ [Symbol.for("s")]: 1 }, { [Symbol.for("s")]: 2 }],
  [[1, 2], [2, 1]],
  [[1], [1, undefined]],
  [[], {}],
  [new Date(5), new Date(6)],
  [new Uint8Array([1, 2]), new Uint8Array([1, 3])],
  [new Uint8Array([1]), new Uint8Array([1, 0])],
  [new Uint8Array([1]), new Int8Array([1])],
  [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
  [new Map([["a", undefined]]), new Map([["b", undefined]])],
  [new Map([[{ k: 1 }, "v"]]), new Map([[{ k: 2 }, "v"]])],
  [new Set([1, { a: 2 }]), new Set([1, { a: 3 }])],
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

Deno.test("the simple assertions accept and refuse, and show the message or the values", () => {
  const accepted: (() => void)[] = [
    () => assertStrictEquals(NaN, NaN),
    () => assert("x"),
    () => assertFalse(0),
    () => assertInstanceOf(new OtherPoint(1), Point),
    () => assertMatch("abc", /b/),
    () => assertNotMatch("abc", /d/),
    () => assertStringIncludes("abc", "bc"),
    () => assertGreater(2, 1),
    () => assertGreaterOrEqual(1, 1),
    () => assertLess(1n, 2n),
    () => assertLessOrEqual("a", "a"),
  ];
  for (const assertion of accepted) assertion();
  const refusals: [assertion: () => void, message: string][] = [
    [() => assertEquals([1, 2], [1, 4], "the lists"), "the lists"],
    [() => assertEquals([1, 2], [1, 4]), "4"],
    [() => assertStrictEquals({}, {}), ""],
    [() => assertStrictEquals(0, -0), ""],
    [() => assert("", "what was wrong"), "what was wrong"],
    [() => assertFalse("x"), ""],
    [() => assertInstanceOf(new Point(1), OtherPoint), "OtherPoint"],
    [() => assertInstanceOf(null, Object), ""],
    [() => assertMatch("abc", /d/), ""],
    [() => assertNotMatch("abc", /b/), ""],
    [() => assertStringIncludes("abc", "cb"), ""],
    [() => assertGreater(1, 1), ""],
    [() => assertGreaterOrEqual(0, 1), ""],
    [() => assertLess(1, 1), ""],
    [() => assertLessOrEqual("b", "a"), ""],
  ];
  for (const [assertion, message] of refusals) text(refused(assertion), message);
});

Deno.test("assertThrows and assertRejects look at class and message, and return the error", async () => {
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
  // What is thrown before there is a promise does not count.
  await refusedLater(() => assertRejects(throws(error), RangeError));
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

Deno.test("node-postgres: no connection is left when the driver is closed, however slow the server", async () => {
  await using database = await createDatabase();
  const others =
    "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
  const { drizzle, close } = await connect(database.url);
  await (drizzle({}) as { execute(query: string): Promise<unknown> }).execute("select 1");
  const [{ pid } = {}] = await query<{ pid: number }>(database.url, others);
  Deno.kill(pid!, "SIGSTOP");
  setTimeout(() => Deno.kill(pid!, "SIGCONT"), 500);
  await close?.();
  assertEquals(await query(database.url, others), []);
});
