/** Content, signatures and times of simulated events. */

import { assert, assertEquals, assertGreater, assertNotEquals, assertThrows } from "@std/assert";
import {
  buildEvent,
  type LifecycleKind,
  type SimulatedMstudioOptions,
} from "@wais/mitthooks-drizzle/testing";
import {
  answers,
  HOUR_MS,
  isSigned,
  KINDS,
  parsePayload,
  type Received,
  simulate,
} from "./support.ts";

const URL_OF_WEBHOOK = "https://extension.example/webhooks";

Deno.test("a default event has exactly the fields of mitthooks' schema", async () => {
  await using sim = await simulate(undefined, { url: URL_OF_WEBHOOK });
  for (const kind of KINDS) {
    const body = await (await sim.mstudio.request(buildEvent(kind))).text();
    const payload = parsePayload(body);
    assertEquals(JSON.parse(body), payload as unknown);
    assertEquals([payload.kind, payload.apiVersion], [kind, "v1"]);
    const { target, createdAt } = payload.request;
    assertEquals(target, { method: "POST", url: URL_OF_WEBHOOK });
    assertEquals(new Date(createdAt).toISOString(), createdAt);
  }
});

Deno.test("an event has the given fields, and a secret only for kinds with one", () => {
  const chosen = {
    id: "i-1",
    context: { id: "k-1", kind: "customer" },
    variantKey: "gold",
  } as const;
  const meta = { extensionId: "e-1", contributorId: "c-1" };
  const scopes = ["domain:read", "größe:ändern"];
  const state = { consentedScopes: scopes, state: { enabled: false } };
  const more = [{ ...state, secret: "geheim" }, state, { secret: "geheim" }, state];
  const choice = { ...chosen, ...meta, consentedScopes: scopes, enabled: false, secret: "geheim" };
  for (const [index, kind] of KINDS.entries()) {
    const event: unknown = { apiVersion: "v1", kind, ...chosen, meta, ...more[index] };
    assertEquals(buildEvent(kind, choice) as unknown, event);
  }
});

Deno.test("default ids and secrets differ, and an unknown kind is refused", () => {
  const [one, two] = [buildEvent("SecretRotated"), buildEvent("SecretRotated")];
  for (const field of ["id", "secret", "context"] as const) assertNotEquals(one[field], two[field]);
  const unknown = () => buildEvent("InstanceRenamed" as LifecycleKind);
  assertThrows(unknown, TypeError, 'there is no kind "InstanceRenamed"');
});

Deno.test("every kind is signed over its exact bytes, and so is any other body", async () => {
  await using sim = await simulate();
  const { mstudio } = sim;
  const fields = { consentedScopes: ["größe:ändern 🔑"], variantKey: "é" };
  for (const kind of KINDS) {
    const request = await mstudio.request(mstudio.event(kind, fields));
    const { method, headers } = request;
    assertEquals([method, headers.get("Content-Type")], ["POST", "application/json"]);
    assertEquals(headers.get("X-Marketplace-Signature-Algorithm"), "Ed25519");
    const body = await request.text();
    assert(await isSigned(mstudio, headers, body));
    assert(!await isSigned(mstudio, headers, body + " "));
    assertEquals(parsePayload(body).meta.extensionId, "e-1");
  }
  for (const body of ["not JSON", "ü".repeat(100_000)]) {
    for (const form of [body, new TextEncoder().encode(body)]) {
      assert(await isSigned(mstudio, new Headers(await mstudio.sign(form)), body));
    }
  }
});

Deno.test("every attempt is built and signed anew", async () => {
  const url = "https://extension.example/hooks?tenant=1";
  await using sim = await simulate(answers(500, 500, 200), { url, backoff: { initialMs: 5 } });
  const { mstudio, received } = sim;
  await mstudio.addInstance({ secret: "same" });
  assertEquals(received.map(({ signed }) => signed), [true, true, true]);
  assertEquals(new Set(received.map(({ payload }) => payload.request.id)).size, 3);
  for (const { payload, url: requested } of received) {
    assertEquals([payload.request.target.url, requested], [url, url]);
    assert("secret" in payload && payload.secret === "same");
  }
});

Deno.test("an instance's events have its current state", async () => {
  await using sim = await simulate();
  const { mstudio, received } = sim;
  const context = { id: "k-1", kind: "customer" } as const;
  const scopes = { consentedScopes: ["a"] };
  const instance = await mstudio.addInstance({ context, variantKey: "gold", ...scopes });
  await instance.update({ enabled: false, consentedScopes: ["a", "b"] });
  await instance.update({ variantKey: undefined });
  await instance.rotateSecret("second");
  await instance.remove();
  const told = received.map(({ payload }) => {
    assertEquals([payload.id, payload.context], [instance.id, context]);
    assertEquals(payload.meta, received[0]!.payload.meta);
    const { variantKey, ...rest } = payload;
    return "state" in rest ? [variantKey, rest.consentedScopes, rest.state.enabled] : rest.secret;
  });
  assertEquals(told, [
    ["gold", ["a"], true],
    ["gold", ["a", "b"], false],
    [undefined, ["a", "b"], false],
    "second",
    [undefined, ["a", "b"], false],
  ]);
  assertEquals(instance.secret, "second");
});

const stamps = (received: Received[]) =>
  received.map(({ payload }) => Date.parse(payload.request.createdAt));

/** Delivers with one failure, and returns the signed times. */
async function stampsOf(options: Partial<SimulatedMstudioOptions>): Promise<number[]> {
  await using sim = await simulate(answers(500, 200), { backoff: { initialMs: 5 }, ...options });
  await sim.mstudio.addInstance();
  assert(sim.received.every(({ signed }) => signed));
  return stamps(sim.received);
}

Deno.test("every attempt has its own time, by its own clock if there is one", async () => {
  const [first, second] = await stampsOf({});
  assertGreater(second!, first!);
  const clockSkewMs = (attempt: number) => attempt === 1 ? HOUR_MS : -HOUR_MS;
  const before = Date.now();
  const [ahead, behind] = await stampsOf({ faults: { clockSkewMs } });
  const after = Date.now();
  assert(ahead! >= before + HOUR_MS && ahead! <= after + HOUR_MS);
  assert(behind! >= before - HOUR_MS && behind! <= after - HOUR_MS);
  for (const restamp of [true, false]) {
    const all = await stampsOf({ restamp, faults: { clockSkewMs: -HOUR_MS } });
    assert(all.every((stamp) => stamp <= Date.now() - HOUR_MS));
  }
});

Deno.test("restamp: false keeps an event's time over its attempts, but not the request's id", async () => {
  const options = { restamp: false, backoff: { initialMs: 5 } };
  await using sim = await simulate(answers(500, 200, 200, 200), options);
  const { mstudio, received } = sim;
  const instance = await mstudio.addInstance({}, { faults: { duplicate: true } });
  const [first, ...others] = stamps(received);
  assertEquals(others, [first, first]);
  assertEquals(new Set(received.map(({ payload }) => payload.request.id)).size, 3);
  assertEquals(mstudio.deliveries.map(({ createdAt }) => Date.parse(createdAt)), stamps(received));
  await new Promise((resolve) => setTimeout(resolve, 2));
  await instance.update();
  assertGreater(stamps(received).at(-1)!, first!);
});
