/**
 * What `verify` remembers, waits for and passes on; see `tests/conformance/sessions.ts` for
 * refusals.
 */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { encodeBase64 } from "@std/encoding";
import process from "node:process";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { PublicKeyUnavailableError } from "../../errors.ts";
import { sha256 } from "../../internal/sha256.ts";
import {
  DeadlineExceededError,
  MittwaldPublicKeys,
  MstudioSessions,
  type MstudioSessionsOptions,
  SessionError,
  type SessionInstance,
} from "../../sessions/mod.ts";
import { generateSigningKey, SimulatedMstudio } from "../../testing/mod.ts";
import {
  assertRefused,
  claims,
  EXTENSION_ID,
  openSessions,
  requestWith,
  tokenOf,
} from "./support.ts";
import { ahead, atTime } from "../support/clock.ts";

/** Counts the signatures that the platform checks while something runs. */
async function signaturesChecked(run: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const { subtle } = crypto;
  const verify: typeof subtle.verify = (...args) => {
    count++;
    return SubtleCrypto.prototype.verify.apply(subtle, args);
  };
  Object.defineProperty(subtle, "verify", { value: verify, configurable: true });
  try {
    await run();
  } finally {
    Reflect.deleteProperty(subtle, "verify");
  }
  return count;
}

/** The heap's size in bytes without garbage. */
function usedHeap(): number {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  for (let count = 0; count < 3; count++) collect();
  return getHeapStatistics().used_heap_size;
}

Deno.test("a valid token is not checked again until it expires", async () => {
  const { sessions, token } = await openSessions();
  const good = await token();
  const verify = () => sessions.verify(good);
  assertEquals([await signaturesChecked(verify), await signaturesChecked(verify)], [1, 0]);
  const { expiresAt } = await verify();
  const at = (ms: number) => atTime(expiresAt.getTime() + ms, verify);
  assertEquals((await at(4_000)).userId, "user-1");
  await assertRefused("ERR_SESSION_EXPIRED", () => at(6_000));
  // After the clock was set back the token is valid again, and is checked anew.
  assertEquals([await signaturesChecked(verify), await signaturesChecked(verify)], [1, 0]);
});

Deno.test("the key of a genuine token is requested again after a minute", async () => {
  const { sessions, token, asked, key } = await openSessions();
  const forged = await tokenOf(await generateSigningKey(), claims());
  for (let count = 0; count < 2; count++) {
    await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(forged));
  }
  // No genuine token has arrived yet.
  assertEquals(asked.length, 2);
  const verify = async () => await sessions.verify(await token({ sessionId: crypto.randomUUID() }));
  for (let count = 0; count < 3; count++) await verify();
  await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(forged));
  assertEquals(asked.length, 3);
  await ahead(59_000, verify);
  assertEquals(asked.length, 3);
  await ahead(61_000, verify);
  assertEquals([asked.length, asked.at(-1)], [4, key.serial]);
});

Deno.test("tokens have the same digest on every runtime", async () => {
  const { getBuiltinModule } = process;
  const { createHash } = getBuiltinModule("node:crypto");
  const text = `a.b-_c.ä€ ${"x".repeat(1_000)}`;
  const digests = [await sha256(text)];
  try {
    for (const module of [undefined, { createHash }]) {
      Object.assign(process, { getBuiltinModule: () => module });
      digests.push(await sha256(text));
    }
  } finally {
    Object.assign(process, { getBuiltinModule });
  }
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  assertEquals(digests, Array(3).fill(encodeBase64(bytes)));
});

Deno.test("a refused token is not remembered as valid, nor a valid one as refused", async () => {
  const { sessions, token } = await openSessions();
  const foreign = await token({ extensionId: "another" });
  for (let count = 0; count < 2; count++) {
    await assertRefused("ERR_WRONG_EXTENSION", () => sessions.verify(foreign));
  }
  const { sessions: another, token: anothers } = await openSessions({ extensionId: "another" });
  const theirs = await anothers({ extensionId: "another" });
  assertEquals((await another.verify(theirs)).userId, "user-1");
  await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(theirs));
});

Deno.test("no caller can change another caller's session", async () => {
  const { sessions, token } = await openSessions();
  const good = await token();
  const first = await sessions.verify(good);
  first.expiresAt.setTime(0);
  assertThrows(() => (first.scopes as string[]).push("admin"), TypeError);
  assertThrows(() => Object.assign(first.context, { id: "p-2" }), TypeError);
  Object.assign(first, { userId: "admin" });
  const second = await sessions.verify(good);
  assertEquals([second.userId, second.scopes, second.context.id], [
    "user-1",
    ["project:read"],
    "p-1",
  ]);
  assert(second.expiresAt.getTime() > Date.now());
});

Deno.test("the 1,000 most recently used tokens are remembered", async () => {
  const { sessions, token } = await openSessions();
  const first = await token({ sessionId: "first" });
  const second = await token({ sessionId: "second" });
  await sessions.verify(first);
  await sessions.verify(second);
  for (let count = 0; count < 999; count++) {
    await sessions.verify(await token({ sessionId: `s-${count}` }));
    if (count === 500) await sessions.verify(first);
  }
  assertEquals(await signaturesChecked(() => sessions.verify(first)), 0);
  assertEquals(await signaturesChecked(() => sessions.verify(second)), 1);
});

Deno.test("the storage is read once per call, by the token's instance only", async () => {
  const asked: string[] = [];
  let row: SessionInstance | null | undefined = { contextId: "p-1", active: true };
  const { sessions, token } = await openSessions<SessionInstance>({
    storage: {
      getInstance(id) {
        asked.push(id);
        return Promise.resolve(row);
      },
    },
  });
  const good = await token();
  assertStrictEquals((await sessions.verify(requestWith(good))).instance, row);
  assertEquals(asked, ["instance-1"]);
  const refused = [
    ["ERR_UNKNOWN_INSTANCE", undefined],
    ["ERR_UNKNOWN_INSTANCE", null],
    ["ERR_UNKNOWN_INSTANCE", { contextId: "p-2", active: true }],
    ["ERR_UNKNOWN_INSTANCE", { active: true }],
    ["ERR_INSTANCE_INACTIVE", { contextId: "p-1", active: false }],
    ["ERR_INSTANCE_INACTIVE", { contextId: "p-1" }],
    ["ERR_INSTANCE_INACTIVE", { contextId: "p-1", active: "true" }],
  ] as const;
  for (const [code, stored] of refused) {
    row = stored as SessionInstance;
    const error = await assertRefused(code, () => sessions.verify(good));
    assertEquals(error.status, 403);
  }
  assertEquals(asked.length, 1 + refused.length);
  await assertRefused("ERR_SESSION_MISSING", () => sessions.verify(null));
  assertEquals(asked.length, 1 + refused.length);
});

Deno.test("errors of the storage are passed on, and a hanging one ends in time", async () => {
  const outage = new Error("the database is away");
  const { sessions, token } = await openSessions<SessionInstance>({
    storage: { getInstance: () => Promise.reject(outage) },
  });
  const good = await token();
  assertStrictEquals(await assertRejects(() => sessions.verify(good)), outage);
  const { sessions: slow, token: anothers } = await openSessions<SessionInstance>({
    storage: { getInstance: () => new Promise(() => {}) },
    timeoutMs: 20,
  });
  const waiting = await anothers();
  await assertRejects(() => slow.verify(waiting), DeadlineExceededError);
});

Deno.test("keys that cannot be fetched: 502 with the cause, in time", async () => {
  const outage = new PublicKeyUnavailableError("the API answered with status 500");
  const wrong = [
    [() => Promise.reject(outage), outage],
    [() => Promise.reject(new TypeError("no network")), undefined],
    [() => new Promise<string>(() => {}), undefined],
    [() => "no key", undefined],
    // A point of small order, under which anybody can sign.
    [() => "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", undefined],
  ] as const;
  for (const [getPublicKey, cause] of wrong) {
    const { sessions, token } = await openSessions({ publicKeys: { getPublicKey }, timeoutMs: 50 });
    const good = await token();
    const error = await assertRefused("ERR_PUBLIC_KEY_UNAVAILABLE", () => sessions.verify(good));
    assertEquals(error.status, 502);
    if (cause) assertStrictEquals(error.cause, cause);
    else assert(error.cause instanceof Error);
  }
});

Deno.test("a cached key whose signatures fail is requested again, and the token passes", async () => {
  const right = await generateSigningKey("serial-1");
  const wrong = await generateSigningKey("serial-1");
  const asked: [string, string][] = [];
  const sessions = new MstudioSessions({
    extensionId: EXTENSION_ID,
    publicKeys: Object.assign({ getPublicKey: () => wrong.publicKey }, {
      askAgain(serial: string, failed: string) {
        asked.push([serial, failed]);
        return Promise.resolve(right.publicKey);
      },
    }),
  });
  assertEquals((await sessions.verify(await tokenOf(right, claims()))).userId, "user-1");
  assertEquals(asked, [["serial-1", wrong.publicKey]]);
  const forger = await generateSigningKey("serial-1");
  const forged = await tokenOf(forger, claims());
  await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(forged), "does not match");
});

Deno.test("mStudio signs with a new key: no session is refused", async () => {
  await using mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: () => new Response(),
  });
  const instance = await mstudio.addInstance();
  const fetch = (input: RequestInfo | URL, init?: RequestInit) =>
    mstudio.api(new Request(input, init));
  const publicKeys = new MittwaldPublicKeys({ fetch, purpose: "session_token" });
  const sessions = new MstudioSessions({ extensionId: EXTENSION_ID, publicKeys });
  const old = await instance.sessionToken();
  await sessions.verify(old);
  await mstudio.rotateSigningKey("next", "session_token");
  await sessions.verify(await instance.sessionToken());
  await sessions.verify(old);
});

Deno.test("5,000 forged tokens: no request beyond the rate limit, no memory kept, pages answered", async () => {
  await using mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: () => new Response(),
  });
  const instance = await mstudio.addInstance();
  const { publicKeySerial } = JSON.parse(atob((await instance.sessionToken()).split(".")[1]!));
  let requests = 0;
  const sessions = new MstudioSessions({
    extensionId: EXTENSION_ID,
    fetch(input, init) {
      requests++;
      return mstudio.api(new Request(input, init));
    },
  });
  const forger = await generateSigningKey();
  const send = async (from: number, to: number) => {
    for (let count = from; count < to; count++) {
      // Every other one has the serial of mStudio's key.
      const serial = count % 2 ? publicKeySerial : `s-${count}`;
      const changes = { sessionId: `session-${count}`, publicKeySerial: serial };
      const token = await tokenOf(forger, claims(changes));
      await assertRejects(() => sessions.verify(token), SessionError);
      if (count % 500 === 0) await sessions.verify(await instance.sessionToken());
    }
  };
  const startedAt = performance.now();
  await send(0, 1_000);
  const before = usedHeap();
  await send(1_000, 5_000);
  const grown = usedHeap() - before;
  const seconds = (performance.now() - startedAt) / 1_000;
  // The latest key and one other serial per second, plus a burst of eight.
  assert(requests <= 10 + 2 * seconds, `${requests} requests in ${seconds} s`);
  // Less than 100 bytes per token: one digest takes more.
  assert(grown < 4_000 * 100, `${grown} bytes`);
});

Deno.test("anything from a stranger is refused with a SessionError", async () => {
  const { sessions, token } = await openSessions();
  const good = await token();
  // A seeded generator, so that a failure can be reproduced: Park and Miller's minimal standard.
  let seed = 42;
  const random = (below: number) => (seed = seed * 48_271 % 2_147_483_647) % below;
  const alphabet = "ABab019-_.,= %\0é{}";
  for (let count = 0; count < 3_000; count++) {
    const at = random(good.length);
    const piece = Array.from({ length: random(4) }, () => alphabet[random(alphabet.length)]);
    const changed = good.slice(0, at) + piece.join("") + good.slice(at + random(3));
    if (changed === good) continue;
    const error = await assertRejects(() => sessions.verify(changed));
    assert(error instanceof SessionError, `${changed}: ${error}`);
  }
});

Deno.test("an invalid source is a TypeError", async () => {
  const { sessions } = await openSessions();
  const incoming = { headers: { "x-session-token": "a.b.c" } };
  for (const source of [incoming, 7, {}, ["a.b.c"], true, Symbol("a.b.c")]) {
    await assertRejects(
      () => sessions.verify(source as string),
      TypeError,
      "neither a Request nor a header's value",
    );
  }
});

Deno.test("another header", async () => {
  const { sessions, token } = await openSessions({ header: "X-Page" });
  const good = await token();
  assertEquals((await sessions.verify(requestWith(good, "x-page"))).userId, "user-1");
  await assertRefused("ERR_SESSION_MISSING", () => sessions.verify(requestWith(good)));
});

Deno.test("invalid options are refused", () => {
  const webhooks = new MittwaldPublicKeys();
  const refused: [unknown, string][] = [
    [undefined, "Creating MstudioSessions: the options are not an object"],
    [{}, "Reading the option extensionId: it is missing, empty or not a string"],
    [{ extensionId: "" }, "Reading the option extensionId: it is missing, empty or not a string"],
    [{ secret: "x" }, 'Creating MstudioSessions: there is no option "secret"'],
    [{ storage: undefined }, "Reading the option storage: it has no method getInstance"],
    [{ storage: { getExtension() {} } }, "Reading the option storage: it has no method"],
    [{ extensionSecret: 7 }, "Reading the option extensionSecret: it is not a string"],
    [{ publicKeys: {} }, "Reading the option publicKeys: it has no method getPublicKey"],
    [
      { publicKeys: webhooks },
      'Reading the option publicKeys: their purpose is "webhook", not "session_token"',
    ],
    [{ apiUrl: "https://api.example/v2" }, "Reading the option apiUrl: it ends in /v2"],
    [{ fetch: "fetch" }, "Reading the option fetch: it is not a function"],
    [{ timeoutMs: "1" }, "Reading the option timeoutMs: it is not a number"],
    [{ header: "" }, "Reading the option header: it is not the name of a header"],
    [{ header: "a b" }, "Reading the option header: it is not the name of a header"],
  ];
  for (const [options, message] of refused) {
    const given = options instanceof Object && Object.keys(options).length > 0
      ? { extensionId: EXTENSION_ID, ...options }
      : options;
    assertThrows(() => new MstudioSessions(given as MstudioSessionsOptions), TypeError, message);
  }
  assertThrows(
    () => new MstudioSessions({ extensionId: EXTENSION_ID, timeoutMs: 0 }),
    RangeError,
  );
  new MstudioSessions({ extensionId: EXTENSION_ID, extensionSecret: undefined, apiUrl: undefined });
});

Deno.test("the responses to a page: JSON with the code, not cacheable", async () => {
  const { sessions, token } = await openSessions();
  const answered = new Map<number, Response>();
  for (const source of ["", "x", await token({ extensionId: "another" })]) {
    const error = await assertRejects(() => sessions.verify(source), SessionError);
    const response = error.toResponse();
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(response.headers.get("content-type"), "application/json");
    assertEquals(await response.json(), { code: error.code, message: error.message });
    answered.set(response.status, response);
  }
  assertEquals([...answered.keys()], [401, 403]);
});
