/** How long a token is kept, and for whom. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnknownExtensionInstanceError } from "@wais/mitthooks-drizzle/tokens";
import { gate, ID, issued, tokensOf, until } from "./support.ts";

/** Runs with a clock that can be moved. */
async function withClock(run: (clock: { nowMs: number }) => Promise<void>): Promise<void> {
  const { now } = Date;
  const clock = { nowMs: now() };
  Date.now = () => clock.nowMs;
  try {
    await run(clock);
  } finally {
    Date.now = now;
  }
}

Deno.test("a token is asked for once and kept; the storage is read at every call", async () => {
  const { tokens, secrets, received } = tokensOf();
  assertEquals(await tokens.get(ID), "token-1-of-first");
  assertEquals(await tokens.get(ID), "token-1-of-first");
  assertEquals([received.length, secrets.reads], [1, 2]);
});

Deno.test("the request: a POST with the secret in its body, for the encoded id, no redirects", async () => {
  const { tokens, secrets, received } = tokensOf(undefined, {
    apiUrl: "http://localhost:8001/base/",
  });
  secrets.set("S3CRET", "ä/../1?x#y");
  await tokens.get("ä/../1?x#y");
  const [{ url, init }] = received as [typeof received[number]];
  assertEquals(
    url,
    "http://localhost:8001/base/v2/extension-instances/%C3%A4%2F..%2F1%3Fx%23y/tokens",
  );
  assertEquals([init.method, init.redirect], ["POST", "manual"]);
  assertEquals(JSON.parse(String(init.body)), { extensionInstanceSecret: "S3CRET" });
  assertEquals(new Headers(init.headers).get("content-type"), "application/json");

  const { tokens: real, received: there } = tokensOf();
  await real.get(ID);
  assertEquals(there[0]!.url, "https://api.mittwald.de/v2/extension-instances/instance-1/tokens");
});

Deno.test("100 callers at once make one request", async () => {
  const answered = gate();
  const { tokens, secrets, received } = tokensOf(async () => {
    await answered.opened;
    return issued("the-token");
  });
  const all = Array.from({ length: 100 }, () => tokens.get(ID));
  await until(() => secrets.reads === 100 && received.length > 0);
  answered.open();
  assertEquals(new Set(await Promise.all(all)), new Set(["the-token"]));
  assertEquals(received.length, 1);
});

Deno.test("instances have tokens of their own", async () => {
  const { tokens, secrets, received } = tokensOf(({ url }) => issued(url.split("/").at(-2)!));
  secrets.set("second", "instance-2");
  const all = await Promise.all([tokens.get(ID), tokens.get("instance-2"), tokens.get(ID)]);
  assertEquals(all, [ID, "instance-2", ID]);
  assertEquals(received.map(({ secret }) => secret).sort(), ["first", "second"]);
});

Deno.test("a token whose secret was rotated is not used again", async () => {
  const { tokens, secrets, received } = tokensOf();
  await tokens.get(ID);
  secrets.set("second");
  assertEquals(await tokens.get(ID), "token-2-of-second");
  assertEquals(await tokens.get(ID), "token-2-of-second");
  // Not even where an old secret comes back.
  secrets.set("first");
  assertEquals(await tokens.get(ID), "token-3-of-first");
  assertEquals(received.length, 3);
});

Deno.test("a rotation while a request is under way: who comes later gets a token of the new secret", async () => {
  const answered = gate();
  const { tokens, secrets, received } = tokensOf(async ({ secret }, count) => {
    if (secret === "first") await answered.opened;
    return issued(`token-${count}-of-${secret}`);
  });
  const early = tokens.get(ID);
  await until(() => received.length === 1);
  secrets.set("second");
  assertEquals(await tokens.get(ID), "token-2-of-second");
  answered.open();
  assertEquals(await early, "token-1-of-first");
  // The answer that came last does not replace the token of the secret that is stored.
  assertEquals(await tokens.get(ID), "token-2-of-second");
  assertEquals(received.length, 2);
});

Deno.test("a removed instance has no token, and one that is added anew a new one", async () => {
  const { tokens, secrets, received } = tokensOf();
  await tokens.get(ID);
  secrets.rows.delete(ID);
  const error = await assertRejects(() => tokens.get(ID), UnknownExtensionInstanceError);
  assertEquals(error.extensionInstanceId, ID);
  secrets.set("first");
  assertEquals(await tokens.get(ID), "token-2-of-first");
  secrets.set(null);
  await assertRejects(() => tokens.get(ID), UnknownExtensionInstanceError);
  secrets.set("");
  await assertRejects(() => tokens.get(ID), UnknownExtensionInstanceError);
  assertEquals(received.length, 2);
});

Deno.test("a token is renewed shortly before it expires", async () => {
  await withClock(async (clock) => {
    const HOUR_MS = 3_600_000;
    const { tokens, received } = tokensOf((_, count) =>
      issued(`token-${count}`, { lifetimeMs: HOUR_MS })
    );
    await tokens.get(ID);
    clock.nowMs += HOUR_MS - 60_001;
    assertEquals(await tokens.get(ID), "token-1");
    clock.nowMs += 1;
    assertEquals(await tokens.get(ID), "token-2");
    assertEquals(received.length, 2);
  });
});

Deno.test("of a short lifetime, a tenth is left", async () => {
  await withClock(async (clock) => {
    const { tokens } = tokensOf((_, count) => issued(`token-${count}`, { lifetimeMs: 10_000 }));
    await tokens.get(ID);
    clock.nowMs += 8_999;
    assertEquals(await tokens.get(ID), "token-1");
    clock.nowMs += 1;
    assertEquals(await tokens.get(ID), "token-2");
  });
});

Deno.test("clocks may differ: the lifetime is taken by the API's own", async () => {
  for (const offMs of [-86_400_000, 86_400_000]) {
    await withClock(async (clock) => {
      const { tokens } = tokensOf((_, count) =>
        issued(`token-${count}`, { lifetimeMs: 600_000, clock: clock.nowMs + offMs })
      );
      await tokens.get(ID);
      clock.nowMs += 500_000;
      assertEquals(await tokens.get(ID), "token-1");
      clock.nowMs += 90_000;
      assertEquals(await tokens.get(ID), "token-2");
    });
  }
});

Deno.test("a token that seems to have expired already is good for the call that asked for it", async () => {
  const { tokens } = tokensOf((_, count) => issued(`token-${count}`, { lifetimeMs: -1 }));
  assertEquals([await tokens.get(ID), await tokens.get(ID)], ["token-1", "token-2"]);
});

Deno.test("a clock that is set back does not prolong a token", async () => {
  await withClock(async (clock) => {
    const { tokens } = tokensOf();
    await tokens.get(ID);
    clock.nowMs -= 1;
    assertEquals(await tokens.get(ID), "token-2-of-first");
  });
});

Deno.test("a time without a zone is UTC", async () => {
  const zone = Deno.env.get("TZ");
  Deno.env.set("TZ", "America/New_York");
  try {
    await withClock(async (clock) => {
      const { tokens } = tokensOf((_, count) =>
        Response.json({
          publicToken: `token-${count}`,
          expiry: new Date(clock.nowMs + 600_000).toISOString().replace("Z", ""),
        }, { status: 201 })
      );
      await tokens.get(ID);
      clock.nowMs += 539_000;
      assertEquals(await tokens.get(ID), "token-1");
      clock.nowMs += 1_000;
      assertEquals(await tokens.get(ID), "token-2");
    });
  } finally {
    if (zone === undefined) Deno.env.delete("TZ");
    else Deno.env.set("TZ", zone);
  }
});

Deno.test("no more tokens are kept than maxTokens: those that were used last", async () => {
  const { tokens, secrets, received } = tokensOf(undefined, { maxTokens: 2 });
  for (const id of ["a", "b", "c"]) secrets.set(id, id);
  for (const id of ["a", "b", "a", "c", "a"]) await tokens.get(id);
  assertEquals(received.map(({ secret }) => secret), ["a", "b", "c"]);
  await tokens.get("b");
  assertEquals(received.length, 4);
});

Deno.test("the request is ended once its answer was read", async () => {
  const { tokens, received } = tokensOf();
  await tokens.get(ID);
  assert(received[0]!.init.signal!.aborted);
});
