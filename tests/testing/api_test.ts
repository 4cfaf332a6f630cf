/** The simulated API: public keys and access tokens. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
import { PublicKeyUnavailableError, UnknownPublicKeyError } from "@wais/mitthooks-drizzle/webhooks";
import { poll } from "../../tools/postgres/databases.ts";
import { HOUR_MS, isSigned, requestToken, ROTATED, simulate, statusOf } from "./support.ts";

function request(mstudio: SimulatedMstudio, path: string, method = "GET"): Promise<Response> {
  return mstudio.api(new Request(`https://api.example${path}`, { method }));
}

Deno.test("the provider and the API have its serial only", async () => {
  const serial = "ä/b ?c";
  await using sim = await simulate(undefined, { serial });
  const { mstudio } = sim;
  assertEquals(atob(mstudio.publicKey).length, 32);
  assertEquals(await mstudio.publicKeys.getPublicKey(serial), mstudio.publicKey);
  for (const other of ["", "serial-2", serial.toUpperCase()]) {
    assertThrows(() => mstudio.publicKeys.getPublicKey(other), UnknownPublicKeyError);
  }
  const response = await request(mstudio, `/v2/public-keys/${encodeURIComponent(serial)}`);
  assertEquals([response.status, response.headers.get("Content-Type")], [200, "application/json"]);
  assertEquals(await response.json(), {
    algorithm: "Ed25519",
    key: mstudio.publicKey,
    serial,
  });
  await using one = await simulate();
  await using two = await simulate();
  assert(one.mstudio.publicKey !== two.mstudio.publicKey);
  assert(one.mstudio.serial !== two.mstudio.serial);
});

Deno.test("latest is the signing key, each purpose has its own, and SPKI is PEM", async () => {
  await using sim = await simulate(undefined, { serial: "first" });
  const { mstudio } = sim;
  const get = async (serial: string, query = "") => {
    const response = await request(mstudio, `/v2/public-keys/${serial}${query}`);
    return response.ok ? await response.json() : response.status;
  };
  assertEquals(await get("latest"), await get("first"));
  await mstudio.rotateSigningKey("second");
  assertEquals([(await get("latest")).serial, (await get("first")).serial], ["second", "first"]);
  assertEquals(await get("latest", "?purpose=webhook&format=raw"), await get("second"));

  const session = await get("latest", "?purpose=session_token");
  assert(session.serial !== "second" && session.key !== mstudio.publicKey);
  assertEquals([await get(session.serial), await get("second", "?purpose=session_token")], [
    404,
    404,
  ]);
  const { key: pem } = await get("second", "?format=spki");
  const [, base64] = /^-----BEGIN PUBLIC KEY-----\n(\S+)\n-----END PUBLIC KEY-----\n$/.exec(pem)!;
  const der = Uint8Array.from(atob(base64!), (byte) => byte.charCodeAt(0));
  const key = await crypto.subtle.importKey("spki", der, "Ed25519", true, ["verify"]);
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", key));
  assertEquals(btoa(String.fromCharCode(...raw)), mstudio.publicKey);

  const wrong = ["?purpose=x", "?purpose=toString", "?purpose=", "?format=jwk", "?format="];
  for (const query of wrong) assertEquals([query, await get("latest", query)], [query, 400]);
  mstudio.publicKeyOutage = true;
  assertEquals(await get("latest", "?purpose=session_token"), 503);
});

Deno.test("the API answers 404 for everything else, and 405 for another method", async () => {
  await using sim = await simulate(undefined, { serial: "serial-1" });
  const { mstudio } = sim;
  const paths = [
    "/",
    "/v2/public-keys",
    "/v2/public-keys/",
    "/v2/public-keys/serial-2",
    "/v2/public-keys/serial-1/",
    "/v2/public-keys/%",
    "/v2/public-keys/%ff",
    "/x/v2/public-keys/serial-1",
    "/v2/extension-instances//tokens",
    "/v2/extension-instances/i-1/tokens/",
  ];
  for (const path of paths) {
    assertEquals([path, (await request(mstudio, path)).status], [path, 404]);
  }
  const keys = await request(mstudio, "/v2/public-keys/serial-1", "POST");
  assertEquals([keys.status, keys.headers.get("Allow")], [405, "GET"]);
  const tokens = await request(mstudio, "/v2/extension-instances/i-1/tokens");
  assertEquals([tokens.status, tokens.headers.get("Allow")], [405, "POST"]);
});

Deno.test("after a rotation the new key signs, and both are served", async () => {
  await using sim = await simulate(undefined, { serial: "first" });
  const { mstudio } = sim;
  const event = mstudio.event(ROTATED);
  const before = await mstudio.request(event);
  const firstKey = mstudio.publicKey;
  await mstudio.rotateSigningKey("second");
  const after = await mstudio.request(event);
  assert(mstudio.publicKey !== firstKey);
  assertEquals(after.headers.get("X-Marketplace-Signature-Serial"), "second");
  for (const signed of [before, after]) {
    assert(await isSigned(mstudio, signed.headers, await signed.text()));
  }
  for (const [serial, key] of [["first", firstKey], ["second", mstudio.publicKey]]) {
    const response = await request(mstudio, `/v2/public-keys/${serial}`);
    assertEquals(await response.json(), { algorithm: "Ed25519", key, serial });
  }
  await assertRejects(() => mstudio.rotateSigningKey("first"), TypeError, "already has a key");
  assertEquals(mstudio.serial, "second");
  await mstudio.rotateSigningKey();
  assert(!["first", "second"].includes(mstudio.serial));
});

Deno.test("during an outage no key is available", async () => {
  await using sim = await simulate(undefined, { serial: "serial-1" });
  const { mstudio } = sim;
  const status = async () => (await request(mstudio, "/v2/public-keys/serial-1")).status;
  mstudio.publicKeyOutage = true;
  assertThrows(() => mstudio.publicKeys.getPublicKey("serial-1"), PublicKeyUnavailableError);
  assertEquals([mstudio.publicKeyOutage, await status()], [true, 503]);
  mstudio.publicKeyOutage = false;
  assertEquals(await status(), 200);
});

Deno.test("a secret is exchanged for a token until the instance is removed", async () => {
  await using sim = await simulate(undefined, { tokenLifetimeMs: 60_000 });
  const { mstudio } = sim;
  const instance = await mstudio.addInstance({ id: "ä/1" });
  const body = JSON.stringify({ extensionInstanceSecret: instance.secret });
  const before = Date.now();
  const response = await requestToken(mstudio, "ä/1", body);
  assertEquals(response.status, 201);
  const { publicToken, expiry } = await response.json();
  const lifetimeMs = Date.parse(expiry) - before;
  assert(lifetimeMs >= 60_000 && lifetimeMs < 120_000);
  assertEquals(mstudio.instanceOfToken(publicToken), "ä/1");
  assertEquals(mstudio.instanceOfToken("made up"), undefined);
  await instance.remove();
  assertEquals(mstudio.instanceOfToken(publicToken), undefined);
  assertEquals(await statusOf(mstudio, "ä/1", instance.secret), 404);

  await using expired = await simulate(undefined, { tokenLifetimeMs: 0 });
  await expired.mstudio.addInstance({ id: "ä/1", secret: instance.secret });
  const token = (await (await requestToken(expired.mstudio, "ä/1", body)).json()).publicToken;
  assertEquals(expired.mstudio.instanceOfToken(token), undefined);
});

Deno.test("wrong and too new secrets, unknown instances and malformed requests are refused", async () => {
  await using sim = await simulate();
  const { mstudio } = sim;
  const { id } = await mstudio.addInstance({ secret: "S3CRET" });
  for (const secret of ["another", ""]) assertEquals(await statusOf(mstudio, id, secret), 403);
  assertEquals(await statusOf(mstudio, "unknown", "S3CRET"), 404);
  for (const secret of [undefined, null, 1, {}]) {
    assertEquals(await statusOf(mstudio, id, secret), 400);
  }
  for (const body of ["", "S3CRET", "null"]) {
    assertEquals((await requestToken(mstudio, id, body)).status, 400);
  }
  await using slow = await simulate(undefined, { newSecretRefusedMs: HOUR_MS });
  await slow.mstudio.addInstance({ id, secret: "S3CRET" });
  assertEquals(await statusOf(slow.mstudio, id, "S3CRET"), 403);
});

Deno.test("a new secret is valid some time after its event was accepted", async () => {
  let status = 500;
  await using sim = await simulate(() => status, { newSecretRefusedMs: 200 });
  const { mstudio } = sim;
  const isTaken = async (secret: string) => await statusOf(mstudio, "i-1", secret) === 201;
  const added = mstudio.addInstance({ id: "i-1", secret: "first" });
  await poll(() => mstudio.deliveries.length >= 2);
  assertEquals(await isTaken("first"), false);
  status = 200;
  const instance = await added;
  await poll(() => isTaken("first"));
  status = 500;
  const rotated = instance.rotateSecret("second");
  await poll(() => mstudio.deliveries.at(-1)!.kind === ROTATED);
  assertEquals([await isTaken("first"), await isTaken("second")], [true, false]);
  status = 200;
  await rotated;
  assertEquals(await isTaken("first"), false);
  await poll(() => isTaken("second"));
});

Deno.test("secrets of single attempts and replays do not become valid", async () => {
  await using sim = await simulate();
  const { mstudio } = sim;
  const instance = await mstudio.addInstance({ id: "i-1", secret: "first" });
  const first = mstudio.deliveries[0]!;
  await instance.rotateSecret("second");
  await mstudio.deliverOnce(instance.event(ROTATED, { secret: "mine" }));
  await mstudio.replay(first);
  for (const [secret, status] of [["mine", 403], ["first", 403], ["second", 201]]) {
    assertEquals(await statusOf(mstudio, "i-1", secret), status);
  }
});
