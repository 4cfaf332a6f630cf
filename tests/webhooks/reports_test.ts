import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { BusyError, createWebhookHandler, PublicKeyUnavailableError } from "../../webhooks/mod.ts";
import {
  assertAnswer,
  createSigner,
  encode,
  EXTENSION_ID,
  payload,
  Receiver,
  WELL_FORMED,
} from "./support.ts";

Deno.test("onError hears of what is lost until somebody acts, and what it was", async () => {
  const receiver = await Receiver.create({ extensionId: "another" });
  assertAnswer(await receiver.deliver(payload("SecretRotated")), 403, "ERR_WRONG_EXTENSION");
  const known = await Receiver.create();
  assertAnswer(await known.deliver(payload("SecretRotated")), 404, "ERR_UNKNOWN_INSTANCE");
  for (
    const [{ errors, details, levels }, code] of [
      [receiver, "ERR_WRONG_EXTENSION"],
      [known, "ERR_UNKNOWN_INSTANCE"],
    ] as const
  ) {
    assertEquals([errors.map((error) => error.code), levels], [[code], ["warn"]]);
    assertEquals(details[0]?.event, {
      kind: "SecretRotated",
      id: "instance-1",
      requestId: "request-1",
    });
    assert(details[0]?.request instanceof Request);
  }
  assertAnswer(await known.deliver(payload("Unheard")), 400, "ERR_UNKNOWN_KIND");
  assertEquals(known.errors.at(-1)?.code, "ERR_UNKNOWN_KIND");
  assertEquals(known.details.at(-1)?.event, undefined);
});

Deno.test("3,000 requests of strangers: no call of onError, each counted at debug", async () => {
  const receiver = await Receiver.create({ maxBodyBytes: 5_000, timeoutMs: 60_000 });
  const forger = await createSigner("serial-1");
  const body = encode(payload("ExtensionAddedToContext"));
  const forged = await forger.headers(body);
  const sends = [
    () => receiver.send(body, {}),
    () => receiver.send(body, forged),
    () => receiver.send(body, { ...forged, "X-Marketplace-Signature-Serial": "made-up" }),
    () => receiver.send(new Uint8Array(5_001), WELL_FORMED),
    () => receiver.send(null, {}, { method: "GET" }),
    () => receiver.send("{", WELL_FORMED),
  ];
  for (let round = 0; round < 500; round++) {
    for (const send of sends) await send();
  }
  assertEquals(receiver.errors, []);
  assertEquals(receiver.storage.callCount, 0);
  assertEquals(new Set(receiver.levels), new Set(["debug"]));
  assertStringIncludes(receiver.log.at(-1) ?? "", "unverified so far: 3000");
});

Deno.test("an outage of the public keys is reported once, and the next one again", async () => {
  let down = true;
  const signer = await createSigner("serial-1");
  const receiver = await Receiver.create({
    publicKeys: {
      getPublicKey() {
        if (down) throw new PublicKeyUnavailableError("the endpoint answered with status 500");
        return signer.publicKey;
      },
    },
  });
  const body = encode(payload("ExtensionAddedToContext"));
  const headers = await signer.headers(body);
  const deliver = () => receiver.send(body, headers);
  for (let attempt = 0; attempt < 5; attempt++) {
    assertAnswer(await deliver(), 502, "ERR_PUBLIC_KEY_UNAVAILABLE");
  }
  assertEquals(receiver.errors.map(({ code }) => code), ["ERR_PUBLIC_KEY_UNAVAILABLE"]);
  assertEquals(receiver.levels, ["error", "debug", "debug", "debug", "debug"]);
  down = false;
  assertAnswer(await deliver(), 200, "STORED");
  down = true;
  assertAnswer(await deliver(), 502, "ERR_PUBLIC_KEY_UNAVAILABLE");
  assertEquals(receiver.errors.length, 2);
});

Deno.test("too many serials are logged once, and not reported", async () => {
  const receiver = await Receiver.create({
    publicKeys: { getPublicKey: () => Promise.reject(new BusyError("of the test")) },
  });
  for (let attempt = 0; attempt < 3; attempt++) {
    assertAnswer(await receiver.deliver(payload("SecretRotated")), 503, "ERR_BUSY");
  }
  assertEquals([receiver.errors, receiver.levels], [[], ["error", "debug", "debug"]]);
});

Deno.test("a logger without warn gets at info what others get at warn", async () => {
  const lines: string[] = [];
  const { signer } = await Receiver.create();
  const handler = createWebhookHandler({
    storage: { upsertExtension() {}, updateExtension() {}, rotateSecret() {}, removeInstance() {} },
    extensionId: EXTENSION_ID,
    publicKeys: { getPublicKey: () => signer.publicKey },
    logger: { info: (line) => void lines.push(line), debug() {}, error() {} },
  });
  const body = encode(payload("SecretRotated"));
  const url = "https://extension.example/?dry-run=true&executing-user-id=u-1";
  await handler(new Request(url, { method: "POST", headers: await signer.headers(body), body }));
  assertStringIncludes(lines[0] ?? "", "DRY_RUN");
});
