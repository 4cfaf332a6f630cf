/** What the sender's clocks show, and how it spells kinds. */

import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import {
  type LifecycleKind,
  SimulatedMstudio,
  type SimulatedMstudioOptions,
} from "@wais/mitthooks-drizzle/testing";
import { Receiver } from "./receiver.ts";

async function create(
  options: Partial<SimulatedMstudioOptions>,
): Promise<{ mstudio: SimulatedMstudio; receiver: Receiver }> {
  // The first attempt fails.
  const receiver: Receiver = new Receiver(() =>
    new Response(null, { status: receiver.received.length === 1 ? 500 : 200 })
  );
  const mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: receiver.handle,
    backoff: { initialMs: 5 },
    ...options,
  });
  receiver.publicKeys = mstudio.publicKeys;
  return { mstudio, receiver };
}

const stamps = ({ received }: Receiver) =>
  received.map(({ payload }) => Date.parse(payload.request.createdAt));

Deno.test("every attempt is stamped anew", async () => {
  const { mstudio, receiver } = await create({});
  await using _ = mstudio;
  await mstudio.addInstance();
  const [first, second] = stamps(receiver);
  assertGreater(second!, first!);
});

Deno.test("restamp: false keeps the time of an event over its attempts, but no id of a request", async () => {
  const { mstudio, receiver } = await create({ restamp: false });
  await using _ = mstudio;
  const instance = await mstudio.addInstance({}, { faults: { duplicate: true } });
  const [first, ...others] = stamps(receiver);
  assertEquals(others, [first, first]);
  assert(receiver.received.every(({ signed }) => signed));
  assertEquals(new Set(receiver.received.map(({ payload }) => payload.request.id)).size, 3);
  assertEquals(
    mstudio.deliveries.map(({ createdAt }) => Date.parse(createdAt)),
    stamps(receiver),
  );

  await new Promise((resolve) => setTimeout(resolve, 2));
  await instance.update();
  assertGreater(stamps(receiver).at(-1)!, first!);
});

Deno.test("clockSkewMs: each attempt by a clock of its own", async () => {
  const HOUR_MS = 3_600_000;
  const { mstudio, receiver } = await create({
    faults: { clockSkewMs: (attempt) => attempt === 1 ? HOUR_MS : -HOUR_MS },
  });
  await using _ = mstudio;
  const before = Date.now();
  await mstudio.addInstance();
  const after = Date.now();
  const [first, second] = stamps(receiver);
  assert(first! >= before + HOUR_MS && first! <= after + HOUR_MS);
  assert(second! >= before - HOUR_MS && second! <= after - HOUR_MS);
});

Deno.test("clockSkewMs: a number is for all attempts, also where they keep their time", async () => {
  const DAY_MS = 86_400_000;
  for (const restamp of [true, false]) {
    const { mstudio, receiver } = await create({ restamp, faults: { clockSkewMs: -DAY_MS } });
    await using _ = mstudio;
    await mstudio.addInstance();
    for (const stamp of stamps(receiver)) assert(stamp <= Date.now() - DAY_MS);
  }
});

const LONG: Readonly<Record<LifecycleKind, string>> = {
  ExtensionAddedToContext: "ExtensionAddedToContext",
  InstanceUpdated: "ExtensionInstanceUpdated",
  SecretRotated: "ExtensionInstanceSecretRotated",
  InstanceRemovedFromContext: "ExtensionInstanceRemovedFromContext",
};

Deno.test("kinds come in the long spelling, signed; the log keeps to the short one", async () => {
  const receiver = new Receiver();
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: receiver.handle,
    kindSpelling: "long",
  });
  receiver.publicKeys = mstudio.publicKeys;
  const instance = await mstudio.addInstance();
  await instance.update();
  await instance.rotateSecret();
  await instance.remove();
  assertEquals(receiver.received.map(({ kind }) => kind), Object.values(LONG));
  assertEquals(mstudio.deliveries.map(({ kind }) => kind), Object.keys(LONG) as LifecycleKind[]);
  assert(receiver.received.every(({ signed }) => signed));
});

Deno.test("a single attempt can be spelled differently", async () => {
  const receiver = new Receiver();
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: receiver.handle,
  });
  receiver.publicKeys = mstudio.publicKeys;
  const event = mstudio.event("InstanceUpdated");
  await mstudio.deliverOnce(event, { kindSpelling: "long" });
  await mstudio.deliverOnce(event);
  assertEquals(receiver.received.map(({ kind }) => kind), [
    "ExtensionInstanceUpdated",
    "InstanceUpdated",
  ]);
  await assertRejects(
    () => create({ kindSpelling: "both" as "long" }),
    TypeError,
    'Setting the option "kindSpelling"',
  );
});
