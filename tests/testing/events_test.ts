import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  buildEvent,
  buildPayload,
  type LifecycleKind,
  SimulatedMstudio,
} from "@wais/mitthooks-drizzle/testing";
import { isSigned, ok, parsePayload, Receiver } from "./receiver.ts";

const KINDS: readonly LifecycleKind[] = [
  "ExtensionAddedToContext",
  "InstanceUpdated",
  "SecretRotated",
  "InstanceRemovedFromContext",
];

for (const kind of KINDS) {
  Deno.test(`${kind} with nothing chosen has exactly the fields of mitthooks' schema`, () => {
    const payload = buildPayload(buildEvent(kind), "https://extension.example/webhooks");
    assertEquals(parsePayload(JSON.stringify(payload)), payload);
    assertEquals(payload.kind, kind);
    assertEquals(payload.apiVersion, "v1");
    assertEquals(payload.request.target, {
      method: "POST",
      url: "https://extension.example/webhooks",
    });
    assertEquals(new Date(payload.request.createdAt).toISOString(), payload.request.createdAt);
  });

  Deno.test(`${kind} tells what was chosen`, () => {
    const event = buildEvent(kind, {
      id: "i-1",
      extensionId: "e-1",
      contributorId: "c-1",
      context: { id: "k-1", kind: "customer" },
      consentedScopes: ["domain:read", "größe:ändern"],
      enabled: false,
      variantKey: "gold",
      secret: "geheim",
    });
    assertEquals(event.id, "i-1");
    assertEquals(event.meta, { extensionId: "e-1", contributorId: "c-1" });
    assertEquals(event.context, { id: "k-1", kind: "customer" });
    assertEquals(event.variantKey, "gold");
    if (event.kind !== "SecretRotated") {
      assertEquals(event.consentedScopes, ["domain:read", "größe:ändern"]);
      assertEquals(event.state, { enabled: false });
    }
    if ("secret" in event) assertEquals(event.secret, "geheim");
  });
}

Deno.test("the secret is in the two kinds that carry one, and in no other", () => {
  assertEquals(
    KINDS.filter((kind) => "secret" in buildEvent(kind, { secret: "geheim" })),
    ["ExtensionAddedToContext", "SecretRotated"],
  );
});

Deno.test("ids and secrets that were not chosen differ between events", () => {
  const [one, two] = [buildEvent("SecretRotated"), buildEvent("SecretRotated")];
  assertNotEquals(one.id, two.id);
  assertNotEquals(one.secret, two.secret);
  assertNotEquals(one.context.id, two.context.id);
});

Deno.test("an unknown kind is refused", () => {
  assertThrows(
    () => buildEvent("InstanceRenamed" as LifecycleKind),
    TypeError,
    'there is no kind "InstanceRenamed"',
  );
});

for (const kind of KINDS) {
  Deno.test(`${kind} is signed over its exact bytes`, async () => {
    await using mstudio = await SimulatedMstudio.create({
      extensionId: "e-1",
      target: () => new Response(),
    });
    const event = mstudio.event(kind, { consentedScopes: ["größe:ändern 🔑"], variantKey: "é" });
    const request = await mstudio.request(event);
    const body = await request.text();

    assertEquals(request.method, "POST");
    assertEquals(request.headers.get("X-Marketplace-Signature-Serial"), mstudio.serial);
    assertEquals(request.headers.get("X-Marketplace-Signature-Algorithm"), "Ed25519");
    assertEquals(atob(request.headers.get("X-Marketplace-Signature")!).length, 64);
    assert(await isSigned(mstudio.publicKeys, request.headers, body));
    assert(!await isSigned(mstudio.publicKeys, request.headers, body + " "));
    assertEquals(parsePayload(body).meta.extensionId, "e-1");
  });
}

Deno.test("any body can be signed", async () => {
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: () => new Response(),
  });
  for (const body of ["not JSON", "ü".repeat(100_000)]) {
    assert(await isSigned(mstudio.publicKeys, new Headers(await mstudio.sign(body)), body));
  }
  const bytes = new Uint8Array([0x7b, 0x7d]);
  assert(await isSigned(mstudio.publicKeys, new Headers(await mstudio.sign(bytes)), "{}"));
});

Deno.test("every attempt is built and signed anew", async () => {
  const receiver: Receiver = new Receiver(() =>
    new Response(null, { status: receiver.received.length < 3 ? 500 : 200 })
  );
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: receiver.handle,
    url: "https://extension.example/hooks?tenant=1",
    backoff: { initialMs: 1 },
  });
  receiver.publicKeys = mstudio.publicKeys;
  await mstudio.addInstance({ secret: "same" });

  assertEquals(receiver.received.map(({ signed }) => signed), [true, true, true]);
  assertEquals(new Set(receiver.received.map(({ payload }) => payload.request.id)).size, 3);
  for (const { payload, url } of receiver.received) {
    assertEquals(payload.request.target.url, "https://extension.example/hooks?tenant=1");
    assertEquals(url, "https://extension.example/hooks?tenant=1");
    assert(payload.kind === "ExtensionAddedToContext" && payload.secret === "same");
  }
});

Deno.test("an instance's events tell its present state", async () => {
  const receiver = new Receiver(ok);
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: receiver.handle,
  });
  receiver.publicKeys = mstudio.publicKeys;
  const instance = await mstudio.addInstance({
    context: { id: "k-1", kind: "customer" },
    variantKey: "gold",
    consentedScopes: ["a"],
  });
  await instance.update({ enabled: false, consentedScopes: ["a", "b"] });
  await instance.update({ variantKey: undefined });
  await instance.rotateSecret("second");
  await instance.remove();

  const [added, disabled, plain, rotated, removed] = receiver.received.map(({ payload }) =>
    payload
  );
  assert(added?.kind === "ExtensionAddedToContext");
  assertEquals([added.variantKey, added.consentedScopes, added.state], ["gold", ["a"], {
    enabled: true,
  }]);
  assert(disabled?.kind === "InstanceUpdated");
  assertEquals([disabled.variantKey, disabled.consentedScopes], ["gold", ["a", "b"]]);
  assertEquals(disabled.state, { enabled: false });
  assert(plain?.kind === "InstanceUpdated");
  assert(!("variantKey" in plain));
  assertEquals(plain.state, { enabled: false });
  assert(rotated?.kind === "SecretRotated");
  assertEquals([rotated.secret, instance.secret], ["second", "second"]);
  assert(removed?.kind === "InstanceRemovedFromContext");
  assertEquals([removed.consentedScopes, removed.state], [["a", "b"], { enabled: false }]);
  for (const { payload } of receiver.received) {
    assertEquals([payload.id, payload.context], [instance.id, { id: "k-1", kind: "customer" }]);
    assertEquals(payload.meta, added.meta);
  }
});
