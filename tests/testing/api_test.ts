/** The API that a simulated mStudio offers: public keys and access tokens. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { APIPublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import { SimulatedMstudio, type SimulatedMstudioOptions } from "@wais/mitthooks-drizzle/testing";
import {
  createWebhookHandler,
  MittwaldPublicKeys,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
} from "@wais/mitthooks-drizzle/webhooks";
import { MemoryStorage } from "../support/memory_storage.ts";
import { isSigned, until } from "./receiver.ts";

function create(options: Partial<SimulatedMstudioOptions> = {}): Promise<SimulatedMstudio> {
  return SimulatedMstudio.create({
    extensionId: "e-1",
    target: () => new Response(),
    newSecretRefusedMs: 0,
    ...options,
  });
}

function get(mstudio: SimulatedMstudio, path: string, method = "GET"): Promise<Response> {
  return mstudio.api(new Request(`https://api.example${path}`, { method }));
}

function requestToken(
  mstudio: SimulatedMstudio,
  id: string,
  extensionInstanceSecret: unknown,
): Promise<Response> {
  return mstudio.api(
    new Request(`https://api.example/v2/extension-instances/${encodeURIComponent(id)}/tokens`, {
      method: "POST",
      body: JSON.stringify({ extensionInstanceSecret }),
    }),
  );
}

Deno.test("the public key is 32 bytes, and another one for every simulator", async () => {
  await using one = await create();
  await using two = await create();
  assertEquals(atob(one.publicKey).length, 32);
  assertEquals(new Set([one.publicKey, two.publicKey]).size, 2);
  assertEquals(new Set([one.serial, two.serial]).size, 2);
});

Deno.test("the provider knows its serial and no other", async () => {
  await using mstudio = await create({ serial: "serial-1" });
  assertEquals(await mstudio.publicKeys.getPublicKey("serial-1"), mstudio.publicKey);
  for (const serial of ["", "serial-2", "SERIAL-1"]) {
    assertThrows(() => mstudio.publicKeys.getPublicKey(serial), UnknownPublicKeyError);
  }
});

Deno.test("the API answers for its serial", async () => {
  await using mstudio = await create({ serial: "ä/b ?c" });
  const response = await get(mstudio, `/v2/public-keys/${encodeURIComponent("ä/b ?c")}`);
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("Content-Type"), "application/json");
  assertEquals(await response.json(), { serial: "ä/b ?c", key: mstudio.publicKey });
});

Deno.test("the API answers 404 for everything else, and 405 for another method", async () => {
  await using mstudio = await create({ serial: "serial-1" });
  for (
    const path of [
      "/",
      "/v2/public-keys",
      "/v2/public-keys/",
      "/v2/public-keys/serial-2",
      "/v2/public-keys/serial-1/",
      "/v2/public-keys/%",
      "/v2/public-keys/%ff",
      "/x/v2/public-keys/serial-1",
      "/v2/extension-instances/i-1",
      "/v2/extension-instances//tokens",
      "/v2/extension-instances/i-1/tokens/",
    ]
  ) {
    assertEquals([path, (await get(mstudio, path)).status], [path, 404]);
  }
  const keys = await get(mstudio, "/v2/public-keys/serial-1", "POST");
  assertEquals([keys.status, keys.headers.get("Allow")], [405, "GET"]);
  const tokens = await get(mstudio, "/v2/extension-instances/i-1/tokens");
  assertEquals([tokens.status, tokens.headers.get("Allow")], [405, "POST"]);
});

Deno.test("mitthooks' own client reads the key from the API", async () => {
  await using mstudio = await create();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    mstudio.api,
  );
  const client = APIPublicKeyProvider.newWithUnauthenticatedAPIClient(
    `http://127.0.0.1:${server.addr.port}`,
  );
  assertEquals(await client.getPublicKey(mstudio.serial), mstudio.publicKey);
  await assertRejects(() => Promise.resolve(client.getPublicKey("unknown")));
});

Deno.test("after a rotation the new key signs, and both are served", async () => {
  await using mstudio = await create({ serial: "first" });
  const event = mstudio.event("SecretRotated");
  const before = await mstudio.request(event);
  const firstKey = mstudio.publicKey;
  await mstudio.rotateSigningKey("second");
  const after = await mstudio.request(event);

  assertEquals(mstudio.serial, "second");
  assert(mstudio.publicKey !== firstKey);
  assertEquals(after.headers.get("X-Marketplace-Signature-Serial"), "second");
  for (const request of [before, after]) {
    assert(await isSigned(mstudio.publicKeys, request.headers, await request.text()));
  }
  for (const [serial, key] of [["first", firstKey], ["second", mstudio.publicKey]]) {
    assertEquals(await (await get(mstudio, `/v2/public-keys/${serial}`)).json(), { serial, key });
  }
  await assertRejects(() => mstudio.rotateSigningKey("first"), TypeError, "has a key");
  assertEquals(mstudio.serial, "second");
  await mstudio.rotateSigningKey();
  assert(!["first", "second"].includes(mstudio.serial));
});

Deno.test("an attempt that is forged after a rotation names the new serial", async () => {
  await using mstudio = await create({ serial: "first" });
  await mstudio.rotateSigningKey("second");
  const forged = await mstudio.request(mstudio.event("SecretRotated"), { forge: true });
  assertEquals(forged.headers.get("X-Marketplace-Signature-Serial"), "second");
  assert(!await isSigned(mstudio.publicKeys, forged.headers, await forged.text()));
});

Deno.test("during an outage nobody gets a key; afterwards the delivery succeeds", async () => {
  const storage = new MemoryStorage();
  const handle = createWebhookHandler({
    storage,
    extensionId: "e-1",
    publicKeys: new MittwaldPublicKeys({
      fetch: (input, init) => mstudio.api(new Request(input, init)),
    }),
  });
  await using mstudio = await create({
    target: handle,
    backoff: { initialMs: 1, maxMs: 2 },
    maxAttempts: Infinity,
  });
  mstudio.publicKeyOutage = true;
  assertThrows(() => mstudio.publicKeys.getPublicKey(mstudio.serial), PublicKeyUnavailableError);
  const added = mstudio.addInstance();
  await until(() => mstudio.deliveries.length >= 2);
  assertEquals(mstudio.deliveries[1]!.responseCode, "ERR_PUBLIC_KEY_UNAVAILABLE");
  assert(mstudio.publicKeyOutage);
  mstudio.publicKeyOutage = false;
  assert(storage.rows.has((await added).id));
});

Deno.test("a secret is exchanged for a token until the instance is removed", async () => {
  await using mstudio = await create({ tokenLifetimeMs: 60_000 });
  const instance = await mstudio.addInstance({ id: "ä/1" });
  const before = Date.now();
  const response = await requestToken(mstudio, "ä/1", instance.secret);
  assertEquals(response.status, 201);
  const { publicToken, expiry } = await response.json();
  const lifetimeMs = Date.parse(expiry) - before;
  assert(lifetimeMs >= 60_000 && lifetimeMs < 120_000);
  assertEquals(mstudio.instanceOfToken(publicToken), "ä/1");
  assertEquals(mstudio.instanceOfToken("made up"), undefined);

  await instance.remove();
  assertEquals(mstudio.instanceOfToken(publicToken), undefined);
  assertEquals((await requestToken(mstudio, "ä/1", instance.secret)).status, 404);
});

Deno.test("a token expires", async () => {
  await using mstudio = await create({ tokenLifetimeMs: 0 });
  const instance = await mstudio.addInstance();
  const { publicToken } = await (await requestToken(mstudio, instance.id, instance.secret)).json();
  assertEquals(mstudio.instanceOfToken(publicToken), undefined);
});

Deno.test("wrong secrets, unknown instances and what is no request are refused", async () => {
  await using mstudio = await create();
  const instance = await mstudio.addInstance({ secret: "S3CRET" });
  assertEquals((await requestToken(mstudio, instance.id, "another")).status, 403);
  assertEquals((await requestToken(mstudio, instance.id, "")).status, 403);
  assertEquals((await requestToken(mstudio, "unknown", "S3CRET")).status, 404);
  for (const secret of [undefined, null, 1, {}]) {
    assertEquals((await requestToken(mstudio, instance.id, secret)).status, 400);
  }
  const url = `https://api.example/v2/extension-instances/${instance.id}/tokens`;
  for (const body of ["", "S3CRET", "null"]) {
    assertEquals((await mstudio.api(new Request(url, { method: "POST", body }))).status, 400);
  }
});

Deno.test("a new secret is valid once its event was answered with success and some time has passed", async () => {
  let status = 500;
  await using mstudio = await create({
    target: () => new Response(null, { status }),
    newSecretRefusedMs: 200,
    backoff: { initialMs: 1, maxMs: 2 },
    maxAttempts: Infinity,
  });
  const statusOf = async (secret: string) => (await requestToken(mstudio, "i-1", secret)).status;
  const added = mstudio.addInstance({ id: "i-1", secret: "first" });
  await until(() => mstudio.deliveries.length >= 2);
  assertEquals(await statusOf("first"), 403);
  status = 200;
  const instance = await added;
  const waitFor = async (secret: string) => {
    const end = performance.now() + 30_000;
    while (await statusOf(secret) !== 201) {
      assert(performance.now() < end, "the secret never became valid");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await waitFor("first");

  status = 500;
  const rotated = instance.rotateSecret("second");
  await until(() => mstudio.deliveries.at(-1)!.kind === "SecretRotated");
  assertEquals([await statusOf("first"), await statusOf("second")], [201, 403]);
  status = 200;
  await rotated;
  assertEquals(await statusOf("first"), 403);
  await waitFor("second");
});

Deno.test("a new secret is refused at first", async () => {
  await using mstudio = await create({ newSecretRefusedMs: 3_600_000 });
  const instance = await mstudio.addInstance();
  assertEquals((await requestToken(mstudio, instance.id, instance.secret)).status, 403);
});

Deno.test("secrets of single attempts and replays do not become valid", async () => {
  await using mstudio = await create();
  const instance = await mstudio.addInstance({ secret: "first" });
  const first = mstudio.deliveries[0]!;
  await instance.rotateSecret("second");
  await mstudio.deliverOnce(instance.event("SecretRotated", { secret: "mine" }), { forge: true });
  await mstudio.replay(first);
  assertEquals((await requestToken(mstudio, instance.id, "mine")).status, 403);
  assertEquals((await requestToken(mstudio, instance.id, "first")).status, 403);
  assertEquals((await requestToken(mstudio, instance.id, "second")).status, 201);
});
