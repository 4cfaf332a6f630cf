import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  type Delivery,
  DeliveryError,
  type Faults,
  SimulatedMstudio,
} from "@wais/mitthooks-drizzle/testing";
import { tampered } from "../../testing/faults.ts";
import { Receiver, until } from "./receiver.ts";

async function create(
  faults: Faults = {},
): Promise<{ mstudio: SimulatedMstudio; receiver: Receiver }> {
  const receiver = new Receiver(() => Response.json({ code: "STORED" }));
  const mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: receiver.handle,
    backoff: { initialMs: 1, maxMs: 2 },
    maxAttempts: Infinity,
    faults,
  });
  receiver.publicKeys = mstudio.publicKeys;
  return { mstudio, receiver };
}

const outcome = ({ attempt, status, failure }: Delivery) => [attempt, status ?? failure];

Deno.test("without faults everything is delivered once", async () => {
  const { mstudio } = await create();
  await using _ = mstudio;
  await mstudio.addInstance();
  assertEquals(mstudio.deliveries.map(outcome), [[1, 200]]);
});

Deno.test("duplicate: the same event comes again, signed anew, before the next one", async () => {
  const { mstudio, receiver } = await create();
  await using _ = mstudio;
  const instance = await mstudio.addInstance({}, { faults: { duplicate: true } });
  await instance.update({}, { faults: { duplicate: 2 } });
  await instance.remove();

  assertEquals(mstudio.deliveries.map((delivery) => [delivery.kind, ...outcome(delivery)]), [
    ["ExtensionAddedToContext", 1, 200],
    ["ExtensionAddedToContext", 2, 200],
    ["InstanceUpdated", 1, 200],
    ["InstanceUpdated", 2, 200],
    ["InstanceUpdated", 3, 200],
    ["InstanceRemovedFromContext", 1, 200],
  ]);
  const [first, second] = receiver.received.map(({ payload: { request: _, ...event } }) => event);
  assertEquals(first, second);
});

Deno.test("duplicate: every copy may fail as often as a single delivery", async () => {
  const statuses = [500, 200, 500, 200, 500, 200];
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: () => new Response(null, { status: statuses.shift()! }),
    backoff: { initialMs: 1 },
    maxAttempts: 2,
  });
  const { attempt } = await mstudio.deliver(mstudio.event("InstanceUpdated"), {
    faults: { duplicate: 2 },
  });
  assertEquals(attempt, 6);
});

Deno.test("drop the response: the receiver worked, the sender tries again", async () => {
  const { mstudio, receiver } = await create({ dropResponse: true });
  await using _ = mstudio;
  const delivery = await mstudio.addInstance().then((instance) => instance.update());

  assertEquals(receiver.received.length, 4);
  assertEquals(mstudio.deliveries.map(outcome), [
    [1, "response-lost"],
    [2, 200],
    [1, "response-lost"],
    [2, 200],
  ]);
  assertEquals(mstudio.deliveries[0]!.responseBody, '{"code":"STORED"}');
  assertEquals(delivery, mstudio.deliveries[3]);
});

Deno.test("drop the response of a single attempt: it rejects, and the receiver worked", async () => {
  const { mstudio, receiver } = await create();
  await using _ = mstudio;
  const event = mstudio.event("SecretRotated", { id: "i-1" });
  const error = await assertRejects(
    () => mstudio.deliverOnce(event, { dropResponse: true }),
    DeliveryError,
  );
  assertEquals(error.code, "ERR_NO_RESPONSE");
  assertEquals(error.message, 'Delivering SecretRotated of instance "i-1": response-lost');
  assertEquals(receiver.received.length, 1);
});

Deno.test("forge: signed by another key under the same serial, then by the right one", async () => {
  const { mstudio, receiver } = await create({ forge: 2 });
  await using _ = mstudio;
  await mstudio.addInstance();
  assertEquals(receiver.received.map(({ signed }) => signed), [false, false, true]);
  assertEquals(mstudio.deliveries.map(outcome), [[1, 401], [2, 401], [3, 200]]);
  for (const { headers } of receiver.received) {
    assertEquals(headers.get("X-Marketplace-Signature-Serial"), mstudio.serial);
  }
});

Deno.test("tamper: the body differs in one byte and is still a payload, of another instance", async () => {
  const { mstudio, receiver } = await create();
  await using _ = mstudio;
  for (const id of ["a-1", "b-1", "7"]) {
    const response = await mstudio.deliverOnce(mstudio.event("InstanceUpdated", { id }), {
      tamper: true,
    });
    assertEquals(response.status, 401);
    const received = receiver.received.at(-1)!; // parsed: it is valid but for the signature
    assertNotEquals(received.payload.id, id);
    assertEquals(received.payload.id.slice(1), id.slice(1));
  }
});

Deno.test("tamper: one byte, whatever the body holds", () => {
  for (const text of ['{"id":"a-1"}', '{"id":"b"}', '{"id":""}', '{"id":"ü🔑"}', "{}", "ü"]) {
    const body = new TextEncoder().encode(text);
    const result = tampered(body);
    assertEquals(new TextDecoder().decode(body), text);
    assertEquals(result.length, body.length);
    assertEquals(result.filter((byte, index) => byte !== body[index]).length, 1);
  }
});

Deno.test("delay: the request was signed before it was held back", async () => {
  const { mstudio, receiver } = await create();
  await using _ = mstudio;
  const arrivals = new Map<string, number>();
  receiver.answer = ({ payload }) => {
    arrivals.set(payload.id, Date.now() - Date.parse(payload.request.createdAt));
    return new Response();
  };
  const faults = { delayMs: 50 };
  await mstudio.deliver(mstudio.event("InstanceUpdated", { id: "queued" }), { faults });
  await mstudio.deliverOnce(mstudio.event("InstanceUpdated", { id: "single" }), faults);
  assert(receiver.received.every(({ signed }) => signed));
  for (const id of ["queued", "single"]) assertGreaterOrEqual(arrivals.get(id)!, 49);
});

Deno.test("delay: it counts into the time of the attempt, and what is held back too long never arrives", async () => {
  let calls = 0;
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: () => new Response(`${++calls}`),
    attemptTimeoutMs: 20,
    maxAttempts: 1,
  });
  const faults = { delayMs: 500 };
  await assertRejects(() => mstudio.addInstance({}, { faults }), DeliveryError, "timed-out");
  await mstudio.idle();
  await new Promise((resolve) => setTimeout(resolve, 600));
  assertEquals(calls, 0);
});

Deno.test("replay: byte for byte what was sent before", async () => {
  const { mstudio, receiver } = await create();
  await using _ = mstudio;
  const instance = await mstudio.addInstance();
  const rotation = await instance.rotateSecret();
  await instance.rotateSecret();
  const response = await mstudio.replay(rotation);

  assertEquals(response.status, 200);
  const [, first, , replayed] = receiver.received;
  assertEquals(replayed!.payload, first!.payload);
  assert(replayed!.signed);
  assertEquals([...replayed!.headers], [...first!.headers]);
  const { attempt, replay, requestId, createdAt, ok } = mstudio.deliveries.at(-1)!;
  assertEquals(mstudio.deliveries.map(({ replay }) => replay), [false, false, false, true]);
  assertEquals({ attempt, replay, requestId, createdAt, ok }, {
    attempt: rotation.attempt,
    replay: true,
    requestId: first!.payload.request.id,
    createdAt: first!.payload.request.createdAt,
    ok: true,
  });
  // What was replayed can be replayed again; what another simulator sent can't be.
  assertEquals((await mstudio.replay(mstudio.deliveries.at(-1)!)).status, 200);
  const { mstudio: other } = await create();
  await using __ = other;
  await assertRejects(() => other.replay(rotation), TypeError, "Replaying a delivery");
});

Deno.test("dry run: in the query of the request, not in the signed target", async () => {
  const { mstudio, receiver } = await create();
  await using _ = mstudio;
  const event = mstudio.event("ExtensionAddedToContext");
  const response = await mstudio.deliverOnce(event, { dryRun: { executingUserId: "u&1" } });
  assertEquals(await response.json(), { code: "STORED" });
  await mstudio.deliverOnce(event, { dryRun: true });
  await mstudio.deliverOnce(event);

  const [named, random, real] = receiver.received;
  assertEquals(
    named!.url,
    "https://extension.example/webhooks?dry-run=true&executing-user-id=u%261",
  );
  for (const { payload, url, signed } of receiver.received) {
    assert(signed);
    assertEquals(payload.request.target.url, "https://extension.example/webhooks");
    assert(url.startsWith(payload.request.target.url));
  }
  assert(new URL(random!.url).searchParams.get("executing-user-id"));
  assertEquals(new URL(real!.url).search, "");
});

Deno.test("an attempt can claim another time", async () => {
  const { mstudio, receiver } = await create();
  await using _ = mstudio;
  const createdAt = new Date("2020-02-29T12:00:00Z");
  await mstudio.deliverOnce(mstudio.event("SecretRotated"), { createdAt });
  assertEquals(receiver.received[0]!.payload.request.createdAt, "2020-02-29T12:00:00.000Z");
  assert(receiver.received[0]!.signed);
});

Deno.test("faults can be switched while deliveries are retried", async () => {
  const { mstudio, receiver } = await create({ forge: Infinity });
  await using _ = mstudio;
  receiver.answer = () => new Response();
  const added = mstudio.addInstance();
  await until(() => mstudio.deliveries.length >= 3);
  mstudio.setFaults({});
  await added;
  assertEquals(mstudio.deliveries[2]!.status, 401);
  assertEquals(mstudio.deliveries.at(-1)!.status, 200);
});

Deno.test("a delivery's own faults replace those of all; single attempts have none of these", async () => {
  const { mstudio } = await create({ forge: Infinity, delayMs: 1 });
  await using _ = mstudio;
  const instance = await mstudio.addInstance({}, { faults: {} });
  assertEquals((await mstudio.deliverOnce(instance.event("InstanceUpdated"))).status, 200);
  assertEquals(mstudio.deliveries.map(outcome), [[1, 200], [1, 200]]);
});

Deno.test("faults out of range are refused", async () => {
  const { mstudio, receiver } = await create();
  await using _ = mstudio;
  for (
    const faults of [
      { duplicate: -1 },
      { forge: NaN },
      { forge: "yes" as unknown as boolean },
      { delayMs: -1 },
      { delayMs: 2 ** 31 },
      { arriveLateMs: 6_000 }, // within the time of an attempt
      { arriveLateMs: [7_000, 1] },
      { clockSkewMs: NaN },
    ]
  ) {
    await assertRejects(() => create(faults), RangeError, "Setting the fault");
    await assertRejects(() => mstudio.addInstance({}, { faults }), RangeError);
  }
  const event = mstudio.event("InstanceUpdated");
  await assertRejects(() => mstudio.deliverOnce(event, { delayMs: Infinity }), RangeError);
  await assertRejects(() => mstudio.deliverOnce(event, { arriveLateMs: 1 }), RangeError);
  const faults = { clockSkewMs: () => NaN };
  await assertRejects(() => mstudio.deliver(event, { faults }), RangeError, "clockSkewMs");
  assertEquals(receiver.received.length, 0);
});

Deno.test("faults that there are none of are refused", async () => {
  const { mstudio } = await create();
  await using _ = mstudio;
  const faults = { dropResponses: true } as Faults;
  for (const name of ["dropResponses", "constructor", "dryRun"]) {
    assertThrows(
      () => mstudio.setFaults({ [name]: true }),
      TypeError,
      `Setting the fault "${name}": there is none of this name`,
    );
  }
  await assertRejects(() => create(faults), TypeError);
  await assertRejects(() => mstudio.addInstance({}, { faults }), TypeError);
  const event = mstudio.event("InstanceUpdated");
  await assertRejects(() => mstudio.deliverOnce(event, { duplicate: true } as never), TypeError);
});
