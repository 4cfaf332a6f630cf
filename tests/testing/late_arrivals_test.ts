/** Requests that reach the receiver after the sender gave them up. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Delivery,
  DeliveryError,
  type DeliveryTarget,
  type Faults,
  SimulatedMstudio,
} from "@wais/mitthooks-drizzle/testing";
import { gate, isSigned, parsePayload, until } from "./receiver.ts";

function create(target: DeliveryTarget, faults: Faults = {}): Promise<SimulatedMstudio> {
  return SimulatedMstudio.create({
    extensionId: "e-1",
    target,
    attemptTimeoutMs: 300,
    backoff: { initialMs: 1 },
    faults,
  });
}

const kindAndMarks = ({ kind, attempt, status, failure, late }: Delivery) => [
  kind,
  attempt,
  status ?? failure,
  ...late ? ["late"] : [],
];

Deno.test("the attempt fails, a later one succeeds, then the first arrives and is answered", async () => {
  const received: { headers: Headers; body: string }[] = [];
  await using mstudio = await create(async (request) => {
    const { headers } = request;
    received.push({ headers, body: await request.text() });
    return Response.json({ code: "STORED" });
  });
  const instance = await mstudio.addInstance({}, { faults: { arriveLateMs: 3_000 } });
  await instance.remove();
  await mstudio.idle();

  assertEquals(mstudio.deliveries.map(kindAndMarks), [
    ["ExtensionAddedToContext", 1, "timed-out"],
    ["ExtensionAddedToContext", 2, 200],
    ["InstanceRemovedFromContext", 1, 200],
    ["ExtensionAddedToContext", 1, 200, "late"],
  ]);
  assertEquals(received.map(({ body }) => parsePayload(body).kind), [
    "ExtensionAddedToContext",
    "InstanceRemovedFromContext",
    "ExtensionAddedToContext",
  ]);
  const [failed, , , late] = mstudio.deliveries;
  const { headers, body } = received.at(-1)!;
  assert(await isSigned(mstudio.publicKeys, headers, body));
  const { request } = parsePayload(body);
  assertEquals([failed!.requestId, failed!.createdAt], [request.id, request.createdAt]);
  assertEquals([late!.requestId, late!.createdAt], [request.id, request.createdAt]);
  assertEquals([failed!.ok, late!.ok, late!.responseCode], [false, false, "STORED"]);
});

Deno.test("a list makes the first attempts late, each by itself", async () => {
  await using mstudio = await create(() => new Response(), { arriveLateMs: [4_000, 2_000] });
  await mstudio.addInstance();
  await mstudio.idle();
  assertEquals(mstudio.deliveries.map(kindAndMarks), [
    ["ExtensionAddedToContext", 1, "timed-out"],
    ["ExtensionAddedToContext", 2, "timed-out"],
    ["ExtensionAddedToContext", 3, 200],
    ["ExtensionAddedToContext", 2, 200, "late"],
    ["ExtensionAddedToContext", 1, 200, "late"],
  ]);
});

Deno.test("a single attempt rejects, arrives late, and what the handler throws then is in the log", async () => {
  const boom = new Error("boom");
  await using mstudio = await create(() => {
    throw boom;
  });
  const event = mstudio.event("SecretRotated", { id: "i-1" });
  const error = await assertRejects(
    () => mstudio.deliverOnce(event, { arriveLateMs: 310 }),
    DeliveryError,
  );
  assertEquals(error.message, 'Delivering SecretRotated of instance "i-1": timed-out');
  await mstudio.idle();
  assertEquals(mstudio.deliveries.map(kindAndMarks), [
    ["SecretRotated", 1, "timed-out"],
    ["SecretRotated", 1, "no-response", "late"],
  ]);
  assertEquals(mstudio.deliveries[1]!.error, boom);
});

Deno.test("a late arrival that is never answered ends, too", async () => {
  const never = gate();
  let calls = 0;
  await using mstudio = await create(async () => {
    if (++calls > 1) await never.opened;
    return new Response();
  }, { arriveLateMs: 1_000 });
  await mstudio.addInstance();
  await mstudio.idle();
  assertEquals(mstudio.deliveries.map(kindAndMarks).at(-1), [
    "ExtensionAddedToContext",
    1,
    "timed-out",
    "late",
  ]);
  never.open();
});

Deno.test("over HTTP", async () => {
  const kinds: string[] = [];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      kinds.push((await request.json()).kind);
      return Response.json({ code: "STORED" });
    },
  );
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: `http://127.0.0.1:${server.addr.port}`,
    attemptTimeoutMs: 1_000,
    backoff: { initialMs: 1 },
  });
  const instance = await mstudio.addInstance();
  const updated = instance.update({}, { faults: { arriveLateMs: 3_000 } });
  await until(() => mstudio.deliveries.length === 2);
  await instance.remove();
  await assertRejects(() => updated, DeliveryError, "the instance was removed");
  await mstudio.idle();
  assertEquals(kinds.at(-1), "InstanceUpdated");
  const { late, ok, status, responseCode } = mstudio.deliveries.at(-1)!;
  assertEquals({ late, ok, status, responseCode }, {
    late: true,
    ok: false,
    status: 200,
    responseCode: "STORED",
  });
});
