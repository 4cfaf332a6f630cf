/** How long a token is kept, and for whom. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnknownExtensionInstanceError } from "@wais/mitthooks-drizzle/tokens";
import { eachRow } from "../support/each_row.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { type Answer, ID, issued, tokensOf } from "./support.ts";

Deno.test("a token is asked for once and kept; the storage is read at every call", async () => {
  const { get, calls, received } = tokensOf();
  assertEquals([await get(), await get()], ["token-1-of-first", "token-1-of-first"]);
  assertEquals([received.length, calls.reads], [1, 2]);
  // The request is ended once its answer was read.
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

Deno.test("100 callers at once make one request, instances have tokens of their own", async () => {
  const answered = Promise.withResolvers<void>();
  const { get, secrets, calls, received } = tokensOf(async ({ secret }) => {
    await answered.promise;
    return issued(`token-of-${secret}`);
  });
  secrets.set("instance-2", "second");
  const all = Array.from({ length: 100 }, () => get());
  const other = get("instance-2");
  await poll(() => calls.reads === 101 && received.length === 2);
  answered.resolve();
  assertEquals(new Set(await Promise.all(all)), new Set(["token-of-first"]));
  assertEquals([await other, received.length], ["token-of-second", 2]);
});

Deno.test("a token whose secret was rotated is not used again", async () => {
  const { get, secrets, received } = tokensOf();
  await get();
  secrets.set(ID, "second");
  assertEquals([await get(), await get()], ["token-2-of-second", "token-2-of-second"]);
  // Not even where an old secret comes back.
  secrets.set(ID, "first");
  assertEquals([await get(), received.length], ["token-3-of-first", 3]);
});

Deno.test("a rotation while a request is under way: who comes later gets a token of the new secret", async () => {
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
  // The answer that came last does not replace the token of the secret that is stored.
  assertEquals([await get(), received.length], ["token-2-of-second", 2]);
});

Deno.test("a removed instance has no token, and one that is added anew a new one", async () => {
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
  /** Answers with tokens of a lifetime, by a clock that is ahead of ours, or by ours where it has none. */
  const lasting = (lifetimeMs: number, aheadMs?: number): Answer => (_, count) =>
    issued(`${count}`, lifetimeMs, aheadMs === undefined ? undefined : clock.nowMs + aheadMs);
  const withoutZone: Answer = (_, count) => {
    const expiry = new Date(clock.nowMs + 600_000).toISOString().replace("Z", "");
    return Response.json({ publicToken: `${count}`, expiry }, { status: 201 });
  };
  // The answer, when the token is used still, and when no longer.
  const cases: Record<string, [Answer, number, number]> = {
    "a minute": [lasting(3_600_000), 3_600_000 - 60_001, 3_600_000 - 60_000],
    "of a short lifetime, a tenth": [lasting(10_000), 8_999, 9_000],
    "by the API's clock, which is behind": [lasting(600_000, -86_400_000), 500_000, 590_000],
    "by the API's clock, which is ahead": [lasting(600_000, 86_400_000), 500_000, 590_000],
    "a time without a zone is UTC": [withoutZone, 539_000, 540_000],
    "a clock that is set back does not prolong it": [lasting(3_600_000), 0, -1],
    "one that has expired already is good for one call": [lasting(-1), -1, 0],
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

Deno.test("no more tokens are kept than maxTokens: those that were used last", async () => {
  const { get, secrets, received } = tokensOf(undefined, { maxTokens: 2 });
  for (const id of ["a", "b", "c"]) secrets.set(id, id);
  for (const id of ["a", "b", "a", "c", "a"]) await get(id);
  assertEquals(received.map(({ secret }) => secret), ["a", "b", "c"]);
  await get("b");
  assertEquals(received.length, 4);
});
