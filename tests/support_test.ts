/**
 * The assertions and codecs behind all tests: the same cases for `@std` from JSR and for the
 * stand-ins. Also, the test databases.
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

Deno.test("the simple assertions pass and fail, with the message or the values", () => {
  const pairs: [accepted: () => void, refusal: () => void, message: string][] = [
    [() => assert("x"), () => assert("", "what was wrong"), "what was wrong"],
    [() => assertFalse(0), () => assertFalse("x"), ""],
    [() => assertStrictEquals(NaN, NaN), () => assertStrictEquals({}, {}), ""],
    [() => assertInstanceOf([], Array), () => assertInstanceOf({}, Map), "Map"],
    [() => assertMatch("abc", /b/), () => assertMatch("abc", /d/), ""],
    [() => assertNotMatch("abc", /d/), () => assertNotMatch("abc", /b/), ""],
    [() => assertStringIncludes("abc", "bc"), () => assertStringIncludes("abc", "cb"), ""],
    [() => assertGreater(2, 1), () => assertGreater(1, 1), ""],
    [() => assertGreaterOrEqual(1, 1), () => assertGreaterOrEqual(0, 1), ""],
    [() => assertLess(1, 2), () => assertLess(1, 1), ""],
    [() => assertLessOrEqual(1, 1), () => assertLessOrEqual(2, 1), ""],
  ];
  for (const [accepted, refusal, message] of pairs) {
    accepted();
    text(refused(refusal), message);
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

async function query<T extends object>(url: string, statement: string): Promise<T[]> {
  const sql = postgres(url, { max: 1 });
  try {
    return Array.from(await sql.unsafe<T[]>(statement));
  } finally {
    await sql.end();
  }
}

Deno.test("every test database is empty, separate, and gone when dropped", async () => {
  await using first = await createDatabase();
  await query(first.url, "create table t (n int)");
  let url: string;
  {
    await using second = await createDatabase();
    url = second.url;
    await assertRejects(() => query(second.url, "select * from t"), Error, "does not exist");
    // A client is still connected; the database is dropped nevertheless.
    const open = postgres(second.url, { max: 1, onclose: () => {} });
    await open`select 1`;
    await second.drop();
    await second.drop();
    await open.end();
  }
  await assertRejects(() => query(url, "select 1"), Error, "does not exist");
  assertEquals(await query(first.url, "select count(*)::int as n from t"), [{ n: 0 }]);
});

Deno.test("node-postgres: closing the driver leaves no connection, however slow the server", async () => {
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
