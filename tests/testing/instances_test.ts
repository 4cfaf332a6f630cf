/** What can be done with an instance of a simulated mStudio, and what comes of it. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Delivery,
  DeliveryError,
  SimulatedMstudio,
  type SimulatedMstudioOptions,
} from "@wais/mitthooks-drizzle/testing";
import { until } from "./receiver.ts";

function create(options: Partial<SimulatedMstudioOptions> = {}): Promise<SimulatedMstudio> {
  return SimulatedMstudio.create({
    extensionId: "e-1",
    target: () => new Response(),
    backoff: { initialMs: 1, maxMs: 2 },
    newSecretRefusedMs: 0,
    ...options,
  });
}

async function isValid(mstudio: SimulatedMstudio, id: string, secret: string): Promise<boolean> {
  const { status } = await mstudio.api(
    new Request(`https://api.example/v2/extension-instances/${id}/tokens`, {
      method: "POST",
      body: JSON.stringify({ extensionInstanceSecret: secret }),
    }),
  );
  return status === 201;
}

const kindAndOutcome = ({ kind, status, failure }: Delivery) => [kind, status ?? failure];

Deno.test("a rotation through the API is delivered once and makes the new secret valid", async () => {
  await using mstudio = await create({ faults: { duplicate: 2 } });
  const instance = await mstudio.addInstance({ secret: "first" }, { faults: {} });
  const delivery = await instance.rotateSecretNow("second");
  await mstudio.idle();
  assert(delivery.ok);
  assertEquals(mstudio.deliveries.map(kindAndOutcome), [
    ["ExtensionAddedToContext", 200],
    ["SecretRotated", 200],
  ]);
  assertEquals(instance.secret, "second");
  assertEquals([
    await isValid(mstudio, instance.id, "first"),
    await isValid(mstudio, instance.id, "second"),
  ], [false, true]);
});

Deno.test("a rotation through the API that fails is not repeated, and the old secret stays valid", async () => {
  const statuses = [200, 500];
  await using mstudio = await create({
    target: () => new Response(null, { status: statuses.shift()! }),
    maxAttempts: Infinity,
  });
  const instance = await mstudio.addInstance({ id: "i-1", secret: "first" });
  const error = await assertRejects(() => instance.rotateSecretNow("second"), DeliveryError);
  await mstudio.idle();
  assertEquals(error.code, "ERR_GAVE_UP");
  assertEquals(
    error.message,
    'Delivering SecretRotated of instance "i-1": 1 of 1 attempts failed: 500',
  );
  assertEquals(mstudio.deliveries.length, 2);
  assertEquals(instance.secret, "first");
  assert(await isValid(mstudio, "i-1", "first"));
  assert(!await isValid(mstudio, "i-1", "second"));
});

Deno.test("a rotation through the API whose response is lost has failed, whatever the receiver stored", async () => {
  const secrets: string[] = [];
  await using mstudio = await create({
    target: async (request) => {
      secrets.push((await request.json()).secret);
      return new Response();
    },
  });
  const instance = await mstudio.addInstance({ secret: "first" });
  await assertRejects(
    () => instance.rotateSecretNow("second", { faults: { dropResponse: true } }),
    DeliveryError,
    "response-lost",
  );
  assertEquals(secrets, ["first", "second"]);
  assertEquals(instance.secret, "first");
  assert(await isValid(mstudio, instance.id, "first"));
});

Deno.test("of several rotations the latest that took place counts", async () => {
  const secrets: string[] = [];
  await using mstudio = await create({
    target: async (request) => {
      const { secret } = await request.json();
      secrets.push(secret);
      return new Response(null, { status: secret === "third" ? 500 : 200 });
    },
  });
  const instance = await mstudio.addInstance({ secret: "first" });
  const second = instance.rotateSecretNow("second");
  const third = instance.rotateSecretNow("third");
  assertEquals(instance.secret, "first");
  await second;
  await assertRejects(() => third, DeliveryError);
  assertEquals(instance.secret, "second");

  const fourth = instance.rotateSecretNow("fourth");
  const fifth = instance.rotateSecret("fifth");
  await fourth;
  assertEquals(instance.secret, "fifth");
  await fifth;
  assertEquals(secrets, ["first", "second", "third", "fourth", "fifth"]);
  assert(await isValid(mstudio, instance.id, instance.secret));
});

Deno.test("a rotation through the API waits for its turn, and is dropped by a removal", async () => {
  await using mstudio = await create({
    target: async (request) => {
      const { kind } = await request.json();
      return new Response(null, { status: kind === "InstanceUpdated" ? 500 : 200 });
    },
    maxAttempts: Infinity,
  });
  const instance = await mstudio.addInstance({ secret: "first" });
  const updated = instance.update();
  const rotated = instance.rotateSecretNow("second");
  await until(() => mstudio.deliveries.length >= 4);
  await instance.remove();
  for (const promise of [updated, rotated]) {
    assertEquals((await assertRejects(() => promise, DeliveryError)).code, "ERR_DROPPED");
  }
  assert(mstudio.deliveries.every(({ kind }) => kind !== "SecretRotated"));
  await assertRejects(() => instance.rotateSecretNow(), TypeError, "it was removed");
});

Deno.test("a removed instance stays removed", async () => {
  await using mstudio = await create();
  const instance = await mstudio.addInstance({ id: "i-1" });
  await instance.remove();
  const again = mstudio.instance({ id: "i-1" });
  for (
    const attempt of [
      () => instance.add(),
      () => again.add(),
      () => again.update(),
      () => mstudio.addInstance({ id: "i-1" }),
      () => mstudio.deliver(mstudio.event("SecretRotated", { id: "i-1" })),
    ]
  ) {
    await assertRejects(attempt, TypeError, 'instance "i-1": it was removed');
  }
  assertEquals(mstudio.deliveries.length, 2);
  await again.remove();
  // What an attacker or a late attempt says is another matter.
  assert((await mstudio.deliverOnce(mstudio.event("InstanceUpdated", { id: "i-1" }))).ok);
  await mstudio.addInstance({ id: "i-2" });
});

Deno.test("it stays removed from the call on, before anybody was told", async () => {
  await using mstudio = await create({
    target: async (request) => {
      const { kind } = await request.json();
      return new Response(null, { status: kind === "InstanceRemovedFromContext" ? 500 : 200 });
    },
    maxAttempts: Infinity,
  });
  const instance = await mstudio.addInstance({ id: "i-1" });
  const removed = mstudio.deliver(instance.event("InstanceRemovedFromContext"));
  await assertRejects(() => mstudio.addInstance({ id: "i-1" }), TypeError, "it was removed");
  await assertRejects(() => instance.update(), TypeError, "it was removed");
  assert(!await isValid(mstudio, "i-1", instance.secret));
  await mstudio.close();
  await assertRejects(() => removed, DeliveryError);
});

Deno.test("a handler that always fails is given up after ten attempts, and what it threw is told", async () => {
  const boom = new Error("boom");
  let calls = 0;
  await using mstudio = await create({
    target: () => {
      if (++calls % 2 === 1) throw boom;
      return new Response(null, { status: 500 });
    },
    maxAttempts: undefined,
  });
  const error = await assertRejects(() => mstudio.addInstance(), DeliveryError, "10 of 10");
  assertEquals(error.code, "ERR_GAVE_UP");
  assertEquals(mstudio.deliveries.map(({ error }) => error).slice(0, 2), [boom, undefined]);
});

Deno.test("the log has what a model of the events needs", async () => {
  const bodies: { request: { id: string; createdAt: string } }[] = [];
  await using mstudio = await create({
    target: async (request) => {
      bodies.push(await request.json());
      return bodies.length === 1
        ? Response.json({ code: "ERR_STALE_EVENT", message: "no" }, { status: 409 })
        : new Response("stored");
    },
  });
  const { id } = await mstudio.addInstance();
  const common = {
    kind: "ExtensionAddedToContext",
    instanceId: id,
    url: "https://extension.example/webhooks",
    late: false,
    replay: false,
    failure: undefined,
    error: undefined,
  } as const;
  assertEquals(mstudio.deliveries, [
    {
      ...common,
      requestId: bodies[0]!.request.id,
      createdAt: bodies[0]!.request.createdAt,
      attempt: 1,
      ok: false,
      status: 409,
      responseCode: "ERR_STALE_EVENT",
      responseBody: '{"code":"ERR_STALE_EVENT","message":"no"}',
    },
    {
      ...common,
      requestId: bodies[1]!.request.id,
      createdAt: bodies[1]!.request.createdAt,
      attempt: 2,
      ok: true,
      status: 200,
      responseCode: undefined,
      responseBody: "stored",
    },
  ]);
});

Deno.test("options that there are none of are refused", async () => {
  await assertRejects(
    () => create({ attemptTimeout: 1 } as Partial<SimulatedMstudioOptions>),
    TypeError,
    'there is no option "attemptTimeout"',
  );
  for (const options of [{ tokenLifetimeMs: -1 }, { newSecretRefusedMs: NaN }]) {
    await assertRejects(() => create(options), RangeError, "Setting the option");
  }
});
