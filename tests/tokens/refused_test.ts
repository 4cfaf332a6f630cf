/** Secrets that the API refuses: for some seconds, or for good. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { InstanceTokenError, UnknownExtensionInstanceError } from "@wais/mitthooks-drizzle/tokens";
import { ID, issued, refuse, tokensOf, until } from "./support.ts";

async function assertRefused(promise: Promise<unknown>): Promise<InstanceTokenError> {
  const error = await assertRejects(() => promise, InstanceTokenError);
  assertEquals(error.code, "ERR_SECRET_REFUSED");
  assertEquals(error.extensionInstanceId, ID);
  return error;
}

for (const status of [400, 401, 403, 404, 409, 410, 422]) {
  Deno.test(`a new secret refused with ${status} is waited for`, async () => {
    const { tokens, received } = tokensOf((_, count) =>
      count < 3 ? refuse(status) : issued("the-token")
    );
    assertEquals(await tokens.get(ID), "the-token");
    assertEquals(received.length, 3);
  });
}

Deno.test("100 callers wait together", async () => {
  const { tokens, secrets, received } = tokensOf((_, count) =>
    count < 3 ? refuse() : issued("the-token")
  );
  const early = Array.from({ length: 50 }, () => tokens.get(ID));
  await until(() => received.length === 1);
  const late = Array.from({ length: 50 }, () => tokens.get(ID));
  assertEquals(new Set(await Promise.all([...early, ...late])), new Set(["the-token"]));
  assertEquals(received.length, 3);
  assert(secrets.reads >= 100);
});

Deno.test("a secret that stays refused is an error after the time limit, and at once from then on", async () => {
  const { tokens, received } = tokensOf(() => refuse(), { timeoutMs: 2_000 });
  const error = await assertRefused(tokens.get(ID));
  assertEquals(
    error.message,
    'Getting an access token of instance "instance-1": the API answered with status 403',
  );
  const count = received.length;
  assert(count > 1);
  await new Promise((resolve) => setTimeout(resolve, 2_000)); // the limit has passed in any case
  await assertRefused(tokens.get(ID));
  assertEquals(received.length, count + 1);
});

Deno.test("a secret that was refused for long is taken when the API takes it", async () => {
  let refused = true;
  const { tokens } = tokensOf(() => refused ? refuse() : issued("the-token"), { timeoutMs: 300 });
  await assertRefused(tokens.get(ID));
  refused = false;
  assertEquals(await tokens.get(ID), "the-token");
});

Deno.test("a secret that was taken in between is waited for again", async () => {
  const { tokens, received } = tokensOf(
    (_, count) => count % 2 === 1 ? refuse() : issued(`token-${count}`, { lifetimeMs: -1 }),
    { timeoutMs: 2_000 },
  );
  assertEquals(await tokens.get(ID), "token-2");
  await new Promise((resolve) => setTimeout(resolve, 2_000)); // since it was refused first
  assertEquals(await tokens.get(ID), "token-4");
  assertEquals(received.length, 4);
});

Deno.test("a secret that is rotated while its predecessor is refused is taken", async () => {
  const { tokens, secrets, received } = tokensOf(({ secret }, count) =>
    secret === "first" || count < 4 ? refuse() : issued(`token-of-${secret}`)
  );
  const token = tokens.get(ID);
  await until(() => received.length === 1);
  secrets.set("second");
  assertEquals(await token, "token-of-second");
  assertEquals(received.map(({ secret }) => secret), ["first", "second", "second", "second"]);
  // The token that came of it is kept.
  assertEquals(await tokens.get(ID), "token-of-second");
  assertEquals(received.length, 4);
});

Deno.test("an instance that is removed while its secret is refused is unknown", async () => {
  const { tokens, secrets, received } = tokensOf(() => refuse(404));
  const token = tokens.get(ID);
  token.catch(() => {});
  await until(() => received.length === 1);
  secrets.rows.delete(ID);
  await assertRejects(() => token, UnknownExtensionInstanceError);
});

Deno.test("a new secret is waited for, although its predecessor was refused for long", async () => {
  const seen: string[] = [];
  const { tokens, secrets } = tokensOf(({ secret }) => {
    seen.push(secret);
    const count = seen.filter((one) => one === "second").length;
    return count < 2 ? refuse() : issued("the-token");
  }, { timeoutMs: 2_000 });
  await assertRefused(tokens.get(ID));
  secrets.set("second");
  assertEquals(await tokens.get(ID), "the-token");
});

Deno.test("the last answer is told where the next one does not come in time", async () => {
  const { tokens } = tokensOf(
    (_, count) => count === 1 ? refuse() : new Promise<Response>(() => {}),
    { timeoutMs: 1_000 },
  );
  await assertRefused(tokens.get(ID));
});
