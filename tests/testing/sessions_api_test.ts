/** Sessions, instances and rotations in the simulated API. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { MstudioSessions } from "../../sessions/mod.ts";
import type { SimulatedMstudio } from "../../testing/mod.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { HOUR_MS, ROTATED, simulate, statusOf } from "./support.ts";

interface Asked {
  readonly method?: string;
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly bearer?: boolean;
}

/** Calls the API, by default as the contributor. */
async function ask(
  mstudio: SimulatedMstudio,
  path: string,
  { method = "GET", body, bearer = false, ...asked }: Asked = {},
) {
  const token = "token" in asked ? asked.token : mstudio.apiToken;
  const headers = new Headers();
  if (token !== undefined) {
    if (bearer) headers.set("authorization", `Bearer ${token}`);
    else headers.set("x-access-token", token);
  }
  const response = await mstudio.api(
    new Request(`https://api.example/v2/${path}`, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    }),
  );
  return {
    status: response.status,
    total: response.headers.get("x-pagination-totalcount"),
    json: await response.json(),
  };
}

const exchange = (
  mstudio: SimulatedMstudio,
  sessionToken: unknown,
  extensionSecret: unknown = mstudio.extensionSecret,
) =>
  ask(mstudio, "authenticate-session-token", {
    method: "POST",
    token: undefined,
    body: { sessionToken, extensionSecret },
  });

Deno.test("a session token is exchanged for an access token of its user, for a minute", async () => {
  await using sim = await simulate(undefined, { extensionSecret: "S3CRET" });
  const { mstudio } = sim;
  const instance = await mstudio.addInstance({ consentedScopes: ["a"] });
  const token = await instance.sessionToken({ userId: "ada", sessionId: "s" });
  const { status, json } = await exchange(mstudio, token, "S3CRET");
  assertEquals(status, 201);
  assertEquals(mstudio.sessionOfToken(json.publicToken), {
    userId: "ada",
    sessionId: "s",
    extensionInstanceId: instance.id,
    scopes: ["a"],
  });
  assertEquals(mstudio.instanceOfToken(json.publicToken), undefined);
  const lifetimeMs = Date.parse(json.expiry) - Date.now();
  assert(lifetimeMs > 0 && lifetimeMs <= 60_000);
  const free = await instance.sessionToken({ forge: { authenticatableWithoutSecret: true } });
  assertEquals((await exchange(mstudio, free, null)).status, 403);
  const { status: withoutSecret } = await ask(mstudio, "authenticate-session-token", {
    method: "POST",
    body: { sessionToken: free },
  });
  assertEquals(withoutSecret, 201);
  await instance.remove();
  assertEquals(mstudio.sessionOfToken(json.publicToken), undefined);
});

Deno.test("the exchange refuses forged and expired tokens", async () => {
  await using sim = await simulate();
  const { mstudio } = sim;
  const instance = await mstudio.addInstance();
  const good = await instance.sessionToken();
  const refused: [unknown, unknown, number][] = [
    [await instance.sessionToken({ forge: true }), undefined, 400],
    [await instance.sessionToken({ expiresInMs: -1_000 }), undefined, 400],
    [await instance.sessionToken({ forge: { extensionId: "another" } }), undefined, 400],
    [await instance.sessionToken({ forge: { extensionInstanceId: "unknown" } }), undefined, 404],
    [await mstudio.instance().sessionToken(), undefined, 404],
    [good.replace(/.$/, (last) => last === "A" ? "Q" : "A"), undefined, 400],
    ["a.b.c", undefined, 400],
    [7, undefined, 400],
    [good, "another", 403],
    [good, null, 403],
  ];
  for (const [token, secret, status] of refused) {
    assertEquals((await exchange(mstudio, token, secret)).status, status, String(token));
  }
  await instance.update({ enabled: false });
  assertEquals((await exchange(mstudio, good)).status, 403);
  await instance.update({ enabled: true });
  assertEquals((await exchange(mstudio, good)).status, 201);
  await instance.remove();
  assertEquals((await exchange(mstudio, good)).status, 404);
});

Deno.test("tokens have the instance's state, and are signed with the key of session tokens", async () => {
  await using sim = await simulate();
  const { mstudio } = sim;
  const instance = mstudio.instance({
    context: { id: "c-1", kind: "customer" },
    consentedScopes: ["a", "b"],
    variantKey: "pro",
  });
  const sessions = new MstudioSessions({
    extensionId: "e-1",
    fetch: (input, init) => mstudio.api(new Request(input, init)),
  });
  const first = await sessions.verify(await instance.sessionToken());
  const second = await sessions.verify(await instance.sessionToken());
  assertEquals([first.context, first.scopes, first.variantKey, first.extensionInstanceId], [
    { id: "c-1", kind: "customer" },
    ["a", "b"],
    "pro",
    instance.id,
  ]);
  assertEquals(first.userId, second.userId);
  assert(first.sessionId !== second.sessionId);
  const lifetimeMs = first.expiresAt.getTime() - Date.now();
  assert(lifetimeMs > 50_000 && lifetimeMs <= 60_000);
  mstudio.publicKeyOutage = true;
  assertEquals((await ask(mstudio, "public-keys/latest?purpose=session_token")).status, 503);
});

Deno.test("the sessions endpoint makes tokens for the contributor only", async () => {
  await using sim = await simulate();
  const { mstudio } = sim;
  const { id } = await mstudio.addInstance();
  const path = `extension-instances/${id}/sessions/tab-1`;
  const { status, json } = await ask(mstudio, path, { method: "POST" });
  assertEquals(status, 200);
  const session = (await exchange(mstudio, json.sessionToken)).json.publicToken;
  assertEquals(mstudio.sessionOfToken(session)?.sessionId, "tab-1");
  assertEquals((await ask(mstudio, path, { method: "POST", token: undefined })).status, 401);
  assertEquals((await ask(mstudio, path, { method: "POST", token: session })).status, 403);
  const unknown = "extension-instances/unknown/sessions/tab-1";
  assertEquals((await ask(mstudio, unknown, { method: "POST" })).status, 404);
});

Deno.test("an instance in the API, through its whole life", async () => {
  let status = 500;
  await using sim = await simulate(() => status, { backoff: { initialMs: 30_000 } });
  const { mstudio } = sim;
  const added = mstudio.addInstance({
    id: "i-1",
    context: { id: "c-1", kind: "customer" },
    consentedScopes: ["a"],
    variantKey: "pro",
  });
  const read = async () => (await ask(mstudio, "extension-instances/i-1")).json;
  await poll(async () => (await read()).nextScheduledWebhookExecution !== undefined);
  const { contributorId } = mstudio;
  const first = await read();
  const { createdAt, nextScheduledWebhookExecution, ...rest } = first;
  assert(Date.parse(nextScheduledWebhookExecution) > Date.now());
  assert(Date.parse(createdAt) <= Date.now());
  assertEquals(rest, {
    id: "i-1",
    extensionId: "e-1",
    contributorId,
    extensionName: "Simulated extension",
    contributorName: "Simulated contributor",
    aggregateReference: { id: "c-1", aggregate: "customer", domain: "customer" },
    consentedScopes: ["a"],
    disabled: false,
    variantKey: "pro",
    pendingInstallation: true,
    pendingRemoval: false,
    webhookExecutionHalted: false,
    chargeability: {
      isChargeable: false,
      reasons: { isNonChargeableCustomer: false, isOwnExtension: true },
    },
  });
  added.catch(() => {});
  await mstudio.close();

  await using quick = await simulate(() => status, { maxAttempts: 2 });
  const other = quick.mstudio;
  const state = async () => (await ask(other, "extension-instances/i-2")).json;
  status = 200;
  const instance = await other.addInstance({ id: "i-2" });
  assertEquals((await state()).pendingInstallation, false);
  status = 500;
  await assertRejects(() => instance.update({ enabled: false, consentedScopes: ["b"] }));
  const halted = await state();
  assertEquals(
    [halted.disabled, halted.consentedScopes, halted.webhookExecutionHalted],
    [true, ["b"], true],
  );
  status = 200;
  await instance.update({ variantKey: "basic" });
  const told = await state();
  assertEquals([told.variantKey, told.webhookExecutionHalted], ["basic", false]);
  status = 500;
  await assertRejects(() => instance.remove());
  assertEquals((await state()).pendingRemoval, true);
  status = 200;
  await instance.remove();
  assertEquals((await ask(other, "extension-instances/i-2")).status, 404);
});

Deno.test("an instance is visible to itself, its users and the contributor only", async () => {
  await using sim = await simulate();
  const { mstudio } = sim;
  const [mine, others] = [await mstudio.addInstance(), await mstudio.addInstance()];
  const body = { extensionInstanceSecret: mine.secret };
  const path = `extension-instances/${mine.id}`;
  const { json } = await ask(mstudio, `${path}/tokens`, { method: "POST", body });
  const user = (await exchange(mstudio, await mine.sessionToken())).json.publicToken;
  const status = async (path: string, token?: string, bearer = false) =>
    (await ask(mstudio, path, { token, bearer })).status;
  for (const token of [json.publicToken, user, mstudio.apiToken]) {
    assertEquals([await status(path, token), await status(path, token, true)], [200, 200]);
  }
  for (const token of [json.publicToken, user]) {
    assertEquals(await status(`extension-instances/${others.id}`, token), 403);
    assertEquals(await status("extension-instances", token), 403);
    assertEquals(
      await status(`contributors/${mstudio.contributorId}/webhook-executions`, token),
      403,
    );
  }
  for (const path of ["extension-instances", `extension-instances/${mine.id}`]) {
    assertEquals([await status(path), await status(path, "made up")], [401, 401]);
  }
  assertEquals(await status("extension-instances/unknown", mstudio.apiToken), 404);
});

Deno.test("instances in pages, with the total", async () => {
  await using sim = await simulate();
  const { mstudio } = sim;
  const ids: string[] = [];
  for (let count = 0; count < 7; count++) ids.push((await mstudio.addInstance()).id);
  await mstudio.deliver(mstudio.event("ExtensionAddedToContext", { extensionId: "e-2", id: "x" }));
  const list = async (query: string) => {
    const { status, json, total } = await ask(mstudio, `extension-instances?${query}`);
    return status === 200 ? [json.map(({ id }: { id: string }) => id), total] : status;
  };
  assertEquals(await list("extensionId=e-1"), [ids, "7"]);
  assertEquals(await list("extensionId=e-1&limit=3"), [ids.slice(0, 3), "7"]);
  assertEquals(await list("extensionId=e-1&limit=3&skip=6"), [ids.slice(6), "7"]);
  assertEquals(await list("extensionId=e-1&skip=100"), [[], "7"]);
  assertEquals(await list("extensionId=e-2"), [["x"], "1"]);
  assertEquals(await list(""), [[...ids, "x"], "8"]);
  assertEquals(await list("extensionId=unknown"), [[], "0"]);
  for (const query of ["limit=-1", "limit=1001", "skip=x", "limit=1.5"]) {
    assertEquals(await list(query), 400);
  }
});

Deno.test("deliveries as the API lists them: queued, halted, failed, successful", async () => {
  let status = 200;
  await using sim = await simulate(() => status, { maxAttempts: 2 });
  const { mstudio } = sim;
  const instance = await mstudio.addInstance({ id: "i-1" });
  status = 500;
  await assertRejects(() => instance.update({ enabled: false }));
  await assertRejects(() => instance.rotateSecretNow());
  const list = async (query = "") => {
    const path = `contributors/${mstudio.contributorId}/webhook-executions?extensionId=e-1${query}`;
    const { json, total } = await ask(mstudio, path);
    assertEquals(total, String(json.length));
    return json;
  };
  const shown = (await list()).map((
    { kind, state, attempts }: { kind: string; state: string; attempts: number },
  ) => [kind, state, attempts]);
  assertEquals(shown, [
    ["extensionAddedToContext", "successful", 1],
    ["instanceUpdated", "halted", 2],
    ["secretRotated", "failed", 1],
  ]);
  const [halted] = await list("&state=halted");
  const { id, extensionInstanceId, extensionId, contributorId } = halted;
  assertEquals(typeof id, "string");
  assertEquals([extensionInstanceId, extensionId], ["i-1", "e-1"]);
  assertEquals(contributorId, mstudio.contributorId);
  assertEquals((await list("&state=halted&state=failed")).length, 2);
  assertEquals((await list("&extensionInstanceId=another")).length, 0);
  const others = await ask(mstudio, "contributors/another/webhook-executions");
  assertEquals(others.json, []);

  await using slow = await simulate(() => 500, { backoff: { initialMs: HOUR_MS, maxMs: HOUR_MS } });
  void slow.mstudio.addInstance({ id: "i-2" }).catch(() => {});
  const path = `contributors/${slow.mstudio.contributorId}/webhook-executions?state=queued`;
  await poll(async () => (await ask(slow.mstudio, path)).json[0]?.nextScheduledExecution);
  const [queued] = (await ask(slow.mstudio, path)).json;
  assertEquals([queued.attempts, queued.kind], [1, "extensionAddedToContext"]);
  assert(Date.parse(queued.nextScheduledExecution) > Date.now() + HOUR_MS / 2);
});

Deno.test("a rotation through the API: the webhook is called once, and decides", async () => {
  let status = 200;
  await using sim = await simulate(() => status);
  const { mstudio, received } = sim;
  const instance = await mstudio.addInstance({ secret: "first" });
  const path = (extension = "e-1", id = instance.id, contributor = mstudio.contributorId) =>
    `contributors/${contributor}/extensions/${extension}/extension-instances/${id}/secret`;
  const rotate = (body: unknown = {}) => ask(mstudio, path(), { method: "PUT", body });
  const { json } = await rotate();
  assertEquals(json, {
    secret: instance.secret,
    webhookResult: { failure: false, statusCode: "200" },
  });
  assertEquals(received.at(-1)?.payload.kind, ROTATED);
  const valid = async (...secrets: string[]) => {
    const statuses = [];
    for (const secret of secrets) statuses.push(await statusOf(mstudio, instance.id, secret));
    return statuses;
  };
  assertEquals(await valid("first", json.secret), [403, 201]);

  status = 500;
  const count = mstudio.deliveries.length;
  const refused = await rotate();
  assertEquals([refused.status, refused.json.secret], [400, undefined]);
  assertEquals(mstudio.deliveries.length, count + 1);
  assertEquals(instance.secret, json.secret);
  assertEquals(await valid(json.secret), [201]);
  const forced = await rotate({ allowWebhookFailure: true });
  assertEquals(forced.json.webhookResult, { failure: true, statusCode: "500" });
  assertEquals(instance.secret, forced.json.secret);
  assertEquals(await valid(json.secret, forced.json.secret), [403, 201]);

  for (const wrong of [path("e-2"), path("e-1", "unknown"), path("e-1", instance.id, "c-2")]) {
    assertEquals((await ask(mstudio, wrong, { method: "PUT", body: {} })).status, 404);
  }
  const anonymous = await ask(mstudio, path(), { method: "PUT", token: undefined });
  assertEquals(anonymous.status, 401);
  status = 200;
  // An instance known only from an event.
  await mstudio.deliver(mstudio.event("ExtensionAddedToContext", { id: "i-9" }));
  const spoken = await ask(mstudio, path("e-1", "i-9"), { method: "PUT", body: {} });
  assertEquals(await statusOf(mstudio, "i-9", spoken.json.secret), 201);
  await instance.remove();
  assertEquals((await rotate()).status, 404);
});

Deno.test("the test's own API answers other requests", async () => {
  const asked: string[] = [];
  await using sim = await simulate(undefined, {
    apiToken: "contributor",
    api(request) {
      const { pathname } = new URL(request.url);
      asked.push(`${request.method} ${pathname}`);
      const caller = mstudio.sessionOfToken(request.headers.get("x-access-token") ?? "");
      return Response.json({ userId: caller?.userId ?? null });
    },
  });
  const { mstudio } = sim;
  assertEquals(mstudio.apiToken, "contributor");
  const instance = await mstudio.addInstance();
  const token = await instance.sessionToken({ userId: "ada" });
  const user = (await exchange(mstudio, token)).json.publicToken;
  assertEquals((await ask(mstudio, "projects/p-1", { token: user })).json, { userId: "ada" });
  assertEquals((await ask(mstudio, "projects/p-1")).json, { userId: null });
  const known = `extension-instances/${instance.id}`;
  await ask(mstudio, known);
  await ask(mstudio, known, { method: "DELETE" });
  assertEquals(asked, ["GET /v2/projects/p-1", "GET /v2/projects/p-1", `DELETE /v2/${known}`]);
  await assertRejects(() => simulate(undefined, { api: {} as never }), TypeError, "api");
});
