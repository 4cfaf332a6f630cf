/** Secrets that the API refuses for some seconds, or for good. */

import { assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { InstanceTokenError, UnknownExtensionInstanceError } from "@wais/mitthooks-drizzle/tokens";
import { poll } from "../../tools/postgres/databases.ts";
import { ID, issued, refuse, tokensOf } from "./support.ts";

async function assertRefused(promise: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => promise, InstanceTokenError);
  assertEquals([error.code, error.extensionInstanceId], ["ERR_SECRET_REFUSED", ID]);
  return error.message;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("a refused new secret is retried", async () => {
  await Promise.all([400, 401, 403, 409, 422].map(async (status) => {
    const { get, received } = tokensOf((_, count) => count < 3 ? refuse(status) : issued("it"));
    assertEquals([status, await get(), received.length], [status, "it", 3]);
  }));
});

Deno.test("an instance that mStudio does not have is reported at once, and not requested again meanwhile", async () => {
  for (const status of [404, 410]) {
    const { get, more, received } = tokensOf(() => refuse(status));
    // A stale row.
    for (const createdAt of [undefined, new Date(0), new Date(Date.now() - 30_000)]) {
      if (createdAt !== undefined) more.createdAt = createdAt;
      const count = received.length;
      const error = await assertRejects(get, UnknownExtensionInstanceError);
      assertEquals(error.extensionInstanceId, ID);
      assertEquals(
        error.message,
        'Getting an access token: the API has no instance "instance-1", ' +
          `it answered with status ${status}`,
      );
      assertEquals(received.length, count + 1);
    }
  }
});

Deno.test("an instance stored just now is retried if mStudio does not have it yet", async () => {
  const { get, more, received } = tokensOf((_, count) => count < 3 ? refuse(404) : issued("it"));
  more.createdAt = new Date();
  assertEquals([await get(), received.length], ["it", 3]);
  const gone = tokensOf(() => refuse(404), { timeoutMs: 1_000 });
  gone.more.createdAt = new Date();
  await assertRejects(gone.get, UnknownExtensionInstanceError, "status 404");
  assertGreater(gone.received.length, 1);
});

Deno.test("100 concurrent calls wait together", async () => {
  const { get, calls, received } = tokensOf((_, count) => count < 3 ? refuse() : issued("it"));
  const callers = Array.from({ length: 50 }, () => get());
  await poll(() => received.length >= 1);
  callers.push(...Array.from({ length: 50 }, () => get()));
  assertEquals(new Set(await Promise.all(callers)), new Set(["it"]));
  assertEquals(received.length, 3);
  assertLess(calls.reads, 10);
});

Deno.test("a secret that stays refused fails after the time limit, and immediately from then on", async () => {
  let refused = true;
  const answer = () => refused ? refuse() : issued("it");
  const { get, received } = tokensOf(answer, { timeoutMs: 2_000 });
  const attempt = 'Getting an access token of instance "instance-1"';
  assertEquals(await assertRefused(get()), `${attempt}: the API answered with status 403`);
  const count = received.length;
  assertGreater(count, 1);
  await pause(2_000); // past the time limit
  await assertRefused(get());
  assertEquals(received.length, count + 1);
  // It works as soon as the API accepts it.
  refused = false;
  assertEquals(await get(), "it");
});

Deno.test("a secret that becomes valid late, within the time limit, works", async () => {
  const begun = performance.now();
  const { get } = tokensOf(
    () => performance.now() - begun < 1_000 ? refuse() : issued("it"),
    { timeoutMs: 1_500 },
  );
  assertEquals(await get(), "it");
});

Deno.test("a secret that worked in between is retried again", async () => {
  const { get, received } = tokensOf(
    (_, count) => count % 2 === 1 ? refuse() : issued(`token-${count}`, -1),
    { timeoutMs: 2_000 },
  );
  assertEquals(await get(), "token-2");
  await pause(2_000); // since the first refusal
  assertEquals([await get(), received.length], ["token-4", 4]);
});

Deno.test("a secret rotated while its predecessor is refused works, and its token is cached", async () => {
  const { get, secrets, received } = tokensOf(({ secret }, count) => {
    secrets.set(ID, "second");
    return count < 4 ? refuse() : issued(`token-of-${secret}`);
  });
  assertEquals([await get(), await get()], ["token-of-second", "token-of-second"]);
  assertEquals(received.map(({ secret }) => secret), ["first", "second", "second", "second"]);
});

Deno.test("an instance that is removed while its secret is refused is unknown", async () => {
  const { get, secrets } = tokensOf(() => {
    secrets.delete(ID);
    return refuse(403);
  });
  await assertRejects(get, UnknownExtensionInstanceError);
});

Deno.test("a new secret is retried even after a long refusal of its predecessor", async () => {
  let refusedSecond = 0;
  const { get, secrets } = tokensOf(
    ({ secret }) => secret === "second" && ++refusedSecond > 1 ? issued("it") : refuse(),
    { timeoutMs: 2_000 },
  );
  await assertRefused(get());
  secrets.set(ID, "second");
  assertEquals(await get(), "it");
});

Deno.test("the last answer is reported if the next one does not come in time", async () => {
  const { get, received } = tokensOf(
    (_, count) => count === 1 ? refuse() : new Promise<Response>(() => {}),
    { timeoutMs: 1_000 },
  );
  await assertRefused(get());
  await poll(() => received.at(-1)?.init.signal?.aborted);
});
