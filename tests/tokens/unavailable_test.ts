/** An API that is down, slow, or not mittwald's; and caller mistakes. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  InstanceTokenError,
  InstanceTokens,
  type InstanceTokensOptions,
} from "@wais/mitthooks-drizzle/tokens";
import { ahead } from "../support/clock.ts";
import { eachRow } from "../support/each_row.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { type Answer, ID, issued, tokensOf } from "./support.ts";

const SECRET = "S3CRET-of-the-instance";
const TOKEN = "T0K3N"; // short, because errors of JSON.parse quote only some characters

async function assertUnavailable(
  answer: Answer,
  found: string,
  options: Partial<InstanceTokensOptions> = {},
): Promise<InstanceTokenError> {
  const { tokens, get, secrets, received } = tokensOf(answer, options);
  secrets.set(ID, SECRET);
  const error = await assertRejects(get, InstanceTokenError);
  assertEquals(error.code, "ERR_TOKEN_UNAVAILABLE");
  assertEquals(error.message, `Getting an access token of instance "instance-1": ${found}`);
  assertEquals(received.length, 1);
  const shown = Deno.inspect([error, tokens], { depth: 20 }) +
    JSON.stringify([error, tokens]) + error.stack;
  for (const secret of [SECRET, TOKEN]) assert(!shown.includes(secret), shown);
  return error;
}

Deno.test("a status that does not refuse the secret is not retried", async () => {
  const headers = { location: "https://elsewhere.example" };
  for (const status of [204, 301, 307, 405, 408, 418, 500, 503]) {
    const answer = () => new Response(null, { status, headers });
    await assertUnavailable(answer, `the API answered with status ${status}`);
  }
});

Deno.test("429 and Retry-After: a call waits within its time limit, and otherwise fails at once", async () => {
  const busy = (seconds: string) =>
    new Response(null, { status: 429, headers: { "retry-after": seconds } });
  const waits = tokensOf((_, count) => count === 1 ? busy("1") : issued("it"));
  const begun = performance.now();
  assertEquals(await Promise.all([waits.get(), waits.get()]), ["it", "it"]);
  assert(performance.now() - begun > 990);
  assertEquals(waits.received.length, 2);

  const { get, secrets, received } = tokensOf(() =>
    received.length < 2 ? busy("60") : issued("it")
  );
  secrets.set("instance-2", "second");
  const error = await assertRejects(get, InstanceTokenError);
  assertEquals([error.code, received.length], ["ERR_TOKEN_UNAVAILABLE", 1]);
  // Other instances make no requests in the meantime, either.
  for (const id of [ID, "instance-2"]) {
    const failed = () => assertRejects(() => get(id), InstanceTokenError, "asked for a pause");
    await ahead(40_000, () => Promise.all(Array.from({ length: 50 }, failed)));
  }
  assertEquals(received.length, 1);
  assertEquals(await ahead(61_000, () => get("instance-2")), "it");
});

Deno.test("an API that cannot be reached", async () => {
  const cause = new TypeError("connection refused");
  const answer = () => Promise.reject(cause);
  assertEquals((await assertUnavailable(answer, "the API could not be reached")).cause, cause);
});

const MALFORMED: Record<string, unknown> = {
  "nothing": undefined,
  "not JSON": `<html>${TOKEN}`,
  "the bare token": TOKEN,
  "half of it": `{"publicToken":"${TOKEN}`,
  "null": "null",
  "a list": `["${TOKEN}"]`,
  "no token": { expiry: "2100-01-01T00:00:00Z" },
  "an empty token": { publicToken: "", expiry: "2100-01-01T00:00:00Z" },
  "a token that is not a header's value": {
    publicToken: `${TOKEN}\r\nx: y`,
    expiry: "2100-01-01T00:00:00Z",
  },
  "a token that is a number": { publicToken: 1, expiry: "2100-01-01T00:00:00Z" },
  "no expiry": { publicToken: TOKEN },
  "an expiry that is not a time": { publicToken: TOKEN, expiry: "soon" },
  "an expiry that is a number": { publicToken: TOKEN, expiry: 4e12 },
};

Deno.test("an answer that is malformed", async (t) => {
  await eachRow(t, MALFORMED, async (body) => {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const answer = () => new Response(text ?? null, { status: 201 });
    await assertUnavailable(answer, "the API's answer has no usable token");
  });
});

Deno.test("an endless answer is read up to a limit", async () => {
  let cancelled = false;
  const endless = () =>
    new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(16_384)),
      cancel: () => void (cancelled = true),
    });
  const answer = () => new Response(endless(), { status: 201 });
  const found = "reading the API's answer, it is larger than 65536 bytes";
  assert((await assertUnavailable(answer, found)).cause instanceof Error);
  assert(cancelled);
});

Deno.test("an API or a storage that does not answer or does not finish", async () => {
  const never = () => new Promise<never>(() => {});
  for (const answer of [never, () => new Response(new ReadableStream(), { status: 201 })]) {
    await assertUnavailable(answer, "no answer within 200 ms", { timeoutMs: 200 });
  }
  const tokens = new InstanceTokens({ storage: { getExtension: never }, timeoutMs: 50 });
  const error = await assertRejects(() => tokens.get(ID), InstanceTokenError);
  assertEquals(error.code, "ERR_TOKEN_UNAVAILABLE");
});

Deno.test("errors of the storage are passed on", async () => {
  const cause = new Error("no database");
  const tokens = new InstanceTokens({ storage: { getExtension: () => Promise.reject(cause) } });
  assertEquals(await tokens.get(ID).catch((error) => error), cause);
});

Deno.test("a failure is not cached, and reaches all waiting calls", async () => {
  let down = true;
  const { get, received } = tokensOf(() =>
    down ? new Response(null, { status: 500 }) : issued("the-token")
  );
  const all = Array.from({ length: 10 }, () => get().catch((error) => error.code));
  assertEquals(new Set(await Promise.all(all)), new Set(["ERR_TOKEN_UNAVAILABLE"]));
  down = false;
  const requests = received.length;
  assertEquals([await get(), received.length], ["the-token", requests + 1]);
});

Deno.test("a request that never ends does not block later calls", async () => {
  const { get, received } = tokensOf(
    (_, count) => count === 1 ? new Promise<Response>(() => {}) : issued("the-token"),
    { timeoutMs: 200 },
  );
  await assertRejects(get, InstanceTokenError);
  await poll(() => received[0]!.init.signal!.aborted);
  assertEquals(await get(), "the-token");
});

Deno.test("inspecting tokens shows nothing", async () => {
  const { tokens, get, secrets } = tokensOf(() => issued(TOKEN));
  secrets.set(ID, SECRET);
  assertEquals(await get(), TOKEN);
  const shown = Deno.inspect(tokens, { depth: 20, showHidden: true }) + JSON.stringify(tokens);
  assert(!shown.includes(TOKEN));
});

Deno.test("ids that cannot be part of a path are refused", async () => {
  const { tokens, secrets, received } = tokensOf();
  for (const id of ["", ".", "..", "\ud800", undefined, null, 1]) {
    secrets.set(id as string, "secret");
    await assertRejects(() => tokens.get(id as string), TypeError, "Getting an access token");
  }
  assertEquals(received.length, 0);
});

Deno.test("options are checked", () => {
  const storage = { getExtension: () => Promise.resolve(undefined) };
  const create = (options: Record<string, unknown>) => () =>
    new InstanceTokens({ storage, ...options } as unknown as InstanceTokensOptions);
  const cases: [Record<string, unknown>, string][] = [
    [{ storage: undefined }, "Reading the option storage: it has no method getExtension"],
    [{ storage: {} }, "Reading the option storage: it has no method getExtension"],
    [{ fetch: "fetch" }, "Reading the option fetch: it is not a function"],
    [{ apiUrl: "api" }, "Reading the option apiUrl: it is not an absolute URL"],
    [{ apiUrl: "ftp://api" }, "Reading the option apiUrl: its protocol is ftp:"],
    [{ apiUrl: "https://api/?a=b" }, "Reading the option apiUrl: it has a query"],
    [{ timeout: 1 }, 'Creating InstanceTokens: there is no option "timeout"'],
  ];
  for (const [options, message] of cases) assertThrows(create(options), TypeError, message);
  for (const options of [{ timeoutMs: 0 }, { timeoutMs: 2 ** 31 }, { maxTokens: 0 }]) {
    assertThrows(create(options), RangeError, "Reading the option");
  }
  const nothing = undefined as unknown as InstanceTokensOptions;
  assertThrows(() => new InstanceTokens(nothing), TypeError, "not an object");
});
