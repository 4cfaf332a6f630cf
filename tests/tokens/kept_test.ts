/** The cache of tokens. */

import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { InstanceTokenError, UnknownExtensionInstanceError } from "@wais/mitthooks-drizzle/tokens";
import { ahead } from "../support/clock.ts";
import { eachRow } from "../support/each_row.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { type Answer, ID, issued, tokensOf } from "./support.ts";

Deno.test("a token is requested once and cached; the storage is read at every call", async () => {
  const { get, calls, received } = tokensOf();
  assertEquals([await get(), await get()], ["token-1-of-first", "token-1-of-first"]);
  assertEquals([received.length, calls.reads], [1, 2]);
  // The request ends when its answer was read.
  assert(received[0]!.init.signal!.aborted);
});

Deno.test("the request: a POST with the secret in its body, for the encoded id, no redirects", async () => {
  const apiUrl = "http://localhost:8001/base/";
  const { get, secrets, received } = tokensOf(undefined, { apiUrl });
  secrets.set("ä/../1?x#y", "S3CRET");
  await get("ä/../1?x#y");
  const { url, init } = received[0]!;
  assertEquals(url, `${apiUrl}v2/extension-instances/%C3%A4%2F..%2F1%3Fx%23y/tokens`);
  assertEquals([init.method, init.redirect], ["POST", "manual"]);
  assertEquals(JSON.parse(String(init.body)), { extensionInstanceSecret: "S3CRET" });
  assertEquals(new Headers(init.headers).get("content-type"), "application/json");

  const real = tokensOf();
  await real.get();
  const path = "/v2/extension-instances/instance-1/tokens";
  assertEquals(real.received[0]!.url, `https://api.mittwald.de${path}`);
});

Deno.test("2,000 concurrent calls make one request and one read; each instance has its own token", async () => {
  const answered = Promise.withResolvers<void>();
  const { get, secrets, calls, received } = tokensOf(async ({ secret }) => {
    await answered.promise;
    return issued(`token-of-${secret}`);
  });
  secrets.set("instance-2", "second");
  const all = Array.from({ length: 1_000 }, () => get());
  const other = get("instance-2");
  await poll(() => received.length === 2);
  assertEquals(calls.reads, 2);
  // Calls during the request share a read as well.
  all.push(...Array.from({ length: 1_000 }, () => get()));
  await poll(() => calls.reads === 3);
  answered.resolve();
  assertEquals(new Set(await Promise.all(all)), new Set(["token-of-first"]));
  assertEquals([await other, received.length, calls.reads], ["token-of-second", 2, 3]);
});

Deno.test("refresh drops the cached token; concurrent calls with refresh share the new one", async () => {
  const { get, received } = tokensOf();
  assertEquals([await get(), await get()], ["token-1-of-first", "token-1-of-first"]);
  const all = await Promise.all(Array.from({ length: 50 }, () => get(ID, { refresh: true })));
  assertEquals(new Set(all), new Set(["token-2-of-first"]));
  assertEquals([await get(), received.length], ["token-2-of-first", 2]);
  assertEquals(await get(ID, { refresh: false }), "token-2-of-first");
  const wrong = [{ refresh: 1 }, { renew: true }, null];
  for (const options of wrong) await assertRejects(() => get(ID, options as never), TypeError);
});

Deno.test("refresh ignores the answer to an earlier request", async () => {
  const answers: ((response: Response) => void)[] = [];
  const { get, received } = tokensOf(() => new Promise((resolve) => answers.push(resolve)));
  const early = get();
  await poll(() => received.length === 1);
  const renewed = Array.from({ length: 10 }, () => get(ID, { refresh: true }));
  answers[0]!(issued("of-the-old-scopes"));
  assertEquals(await early, "of-the-old-scopes");
  await poll(() => received.length === 2);
  answers[1]!(issued("of-the-new-scopes"));
  assertEquals(new Set(await Promise.all(renewed)), new Set(["of-the-new-scopes"]));
  assertEquals([await get(), received.length], ["of-the-new-scopes", 2]);
});

Deno.test("a disabled instance has no token, and a new one when it is enabled again", async () => {
  const { get, more, received } = tokensOf();
  assertEquals(await get(), "token-1-of-first");
  for (const [refresh, next] of [[false, 2], [true, 3]] as const) {
    more.active = false;
    const error = await assertRejects(() => get(ID, { refresh }), InstanceTokenError);
    assertEquals([error.code, error.extensionInstanceId], ["ERR_INSTANCE_INACTIVE", ID]);
    more.active = true;
    assertEquals([await get(), received.length], [`token-${next}-of-first`, next]);
  }
});

Deno.test("getWithExpiry returns the expiry by the local clock", async () => {
  const { now } = Date;
  const skewMs = 86_400_000;
  // The API's clock is a day ahead.
  const { tokens } = tokensOf(() => issued("it", 600_000, now() + skewMs));
  const before = now();
  const first = await tokens.getWithExpiry(ID);
  const lifetimeMs = first.expiresAt.getTime() - before;
  assertEquals(first.token, "it");
  assert(lifetimeMs > 590_000 && lifetimeMs < 620_000, `${lifetimeMs}`);
  // The remaining time stays right after the local clock was moved.
  const left = await ahead(400_000, async () => {
    const { token, expiresAt } = await tokens.getWithExpiry(ID);
    assertEquals(token, "it");
    return expiresAt.getTime() - now();
  });
  assert(left > 180_000 && left < 220_000, `${left}`);
});

Deno.test("a token whose secret was rotated is not used again", async () => {
  const { get, secrets, received } = tokensOf();
  await get();
  secrets.set(ID, "second");
  assertEquals([await get(), await get()], ["token-2-of-second", "token-2-of-second"]);
  // Not even if an old secret returns.
  secrets.set(ID, "first");
  assertEquals([await get(), received.length], ["token-3-of-first", 3]);
});

Deno.test("a rotation during a request: later calls get a token of the new secret", async () => {
  const answered = Promise.withResolvers<void>();
  const { get, secrets, received } = tokensOf(async ({ secret }, count) => {
    if (secret === "first") await answered.promise;
    return issued(`token-${count}-of-${secret}`);
  });
  const early = get();
  await poll(() => received.length === 1);
  secrets.set(ID, "second");
  assertEquals(await get(), "token-2-of-second");
  answered.resolve();
  assertEquals(await early, "token-1-of-first");
  // The late answer does not replace the token of the stored secret.
  assertEquals([await get(), received.length], ["token-2-of-second", 2]);
});

Deno.test("a removed instance has no token, and gets a new one when it is added again", async () => {
  const { get, secrets, received } = tokensOf();
  await get();
  secrets.delete(ID);
  const error = await assertRejects(get, UnknownExtensionInstanceError);
  assertEquals(error.extensionInstanceId, ID);
  secrets.set(ID, "first");
  assertEquals(await get(), "token-2-of-first");
  for (const nothing of [null, ""]) {
    secrets.set(ID, nothing);
    await assertRejects(get, UnknownExtensionInstanceError);
  }
  assertEquals(received.length, 2);
});

Deno.test("a token is renewed shortly before it expires", async (t) => {
  const { now } = Date;
  const clock = { nowMs: now() };
  /** Answers with tokens of a lifetime, by a clock ahead of ours, or without a clock. */
  const lasting = (lifetimeMs: number, aheadMs?: number): Answer => (_, count) =>
    issued(`${count}`, lifetimeMs, aheadMs === undefined ? undefined : clock.nowMs + aheadMs);
  const withoutZone: Answer = (_, count) => {
    const expiry = new Date(clock.nowMs + 600_000).toISOString().replace("Z", "");
    return Response.json({ publicToken: `${count}`, expiry }, { status: 201 });
  };
  // The answer, a time at which the token is still used, and one at which it is not.
  const cases: Record<string, [Answer, number, number]> = {
    "a minute": [lasting(3_600_000), 3_600_000 - 60_001, 3_600_000 - 60_000],
    "of a short lifetime, a tenth": [lasting(10_000), 8_999, 9_000],
    "by the API's clock, which is behind": [lasting(600_000, -86_400_000), 500_000, 590_000],
    "by the API's clock, which is ahead": [lasting(600_000, 86_400_000), 500_000, 590_000],
    "a time without a zone is UTC": [withoutZone, 539_000, 540_000],
    "a clock that is set back does not prolong it": [lasting(3_600_000), 0, -1],
    "by our clock where the API's Date is a day behind": [
      (_, count) => {
        const date = new Date(clock.nowMs - 86_400_000).toUTCString();
        const expiry = new Date(clock.nowMs + 600_000).toISOString();
        const init = { status: 201, headers: { date } };
        return Response.json({ publicToken: `${count}`, expiry }, init);
      },
      539_000,
      540_000,
    ],
    "by our clock where the API's Date is a day ahead": [
      (_, count) => {
        const date = new Date(clock.nowMs + 86_400_000).toUTCString();
        const expiry = new Date(clock.nowMs + 600_000).toISOString();
        const init = { status: 201, headers: { date } };
        return Response.json({ publicToken: `${count}`, expiry }, init);
      },
      539_000,
      540_000,
    ],
    "one that has expired by every clock is good for a second": [lasting(-1), 800, 1_000],
  };
  const zone = Deno.env.get("TZ");
  Deno.env.set("TZ", "America/New_York");
  Date.now = () => clock.nowMs;
  try {
    await eachRow(t, cases, async ([answer, used, renewed]) => {
      const { get } = tokensOf(answer);
      const begun = clock.nowMs;
      assertEquals(await get(), "1");
      if (used >= 0) {
        clock.nowMs = begun + used;
        assertEquals(await get(), "1");
      }
      clock.nowMs = begun + renewed;
      assertEquals(await get(), "2");
    });
  } finally {
    Date.now = now;
    if (zone === undefined) Deno.env.delete("TZ");
    else Deno.env.set("TZ", zone);
  }
});

Deno.test("a clock that is set back after a while does not prolong it", async () => {
  const { now } = Date;
  const { get } = tokensOf((_, count) => issued(`${count}`, 600_000));
  assertEquals(await get(), "1");
  // Ten minutes have passed, and the clock was set back by eight.
  Date.now = () => now() + 120_000;
  try {
    assertEquals(await ahead(600_000, () => get()), "2");
    // After sleep: the monotonic clock stood still.
    Date.now = () => now() + 120_000 + 600_000;
    assertEquals(await get(), "3");
  } finally {
    Date.now = now;
  }
});

Deno.test("few requests are made while the API returns the same token, even an expired one", async () => {
  const { now } = Date;
  let passedMs = 0;
  const expiry = new Date(now() + 600_000).toISOString();
  const { get, received } = tokensOf(() =>
    Response.json({ publicToken: "the-same", expiry }, {
      status: 201,
      headers: { date: new Date(Date.now()).toUTCString() },
    })
  );
  Date.now = () => now() + passedMs;
  try {
    // A hundred calls per second during the last tenth of the lifetime, and for ten seconds after
    // it.
    for (passedMs = 540_000; passedMs < 610_000; passedMs += 10) await get();
  } finally {
    Date.now = now;
  }
  assertLess(received.length, 20);
});

Deno.test("the maxTokens most recently used tokens are cached", async () => {
  const { get, secrets, received } = tokensOf(undefined, { maxTokens: 2 });
  for (const id of ["a", "b", "c"]) secrets.set(id, id);
  for (const id of ["a", "b", "a", "c", "a"]) await get(id);
  assertEquals(received.map(({ secret }) => secret), ["a", "b", "c"]);
  await get("b");
  assertEquals(received.length, 4);
});
