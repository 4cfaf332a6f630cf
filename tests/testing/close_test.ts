/** What a closed simulator leaves behind: nothing. Deno's sanitizers watch timers, requests and promises. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeliveryError, SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
import { gate, until } from "./receiver.ts";

const HOUR_MS = 3_600_000;

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, sanitizeOps: true, sanitizeResources: true });
}

async function assertClosed(promise: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => promise, DeliveryError);
  assertEquals(error.code, "ERR_CLOSED");
}

test("closing ends the wait between two attempts", async () => {
  const mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: () => new Response(null, { status: 500 }),
    backoff: { initialMs: HOUR_MS, maxMs: HOUR_MS },
  });
  const instance = mstudio.instance();
  const added = instance.add();
  void instance.update(); // nobody waits for it: no unhandled rejection
  await until(() => mstudio.deliveries.length >= 1);
  await mstudio.close();
  await assertClosed(added);
  assertEquals(mstudio.deliveries.length, 1);
});

test("closing abandons a handler that is running", async () => {
  const started = gate();
  const never = gate();
  const mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: async () => {
      started.open();
      await never.opened;
      return new Response();
    },
  });
  const queued = mstudio.addInstance();
  const single = mstudio.deliverOnce(mstudio.event("InstanceUpdated"));
  single.catch(() => {});
  await started.opened;
  await mstudio.close();
  await assertClosed(queued);
  await assertClosed(single);
  assertEquals(mstudio.deliveries.map(({ failure }) => failure), ["closed", "closed"]);
});

test("closing ends a delay", async () => {
  let calls = 0;
  const mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: () => new Response(`${++calls}`),
    faults: { delayMs: HOUR_MS },
  });
  const added = mstudio.addInstance();
  await new Promise((resolve) => setTimeout(resolve, 1));
  await mstudio.close();
  await assertClosed(added);
  assertEquals(calls, 0);
});

test("closing ends the wait for late arrivals", async () => {
  let calls = 0;
  const mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: () => new Response(`${++calls}`),
    attemptTimeoutMs: 5,
    maxAttempts: 1,
    faults: { arriveLateMs: HOUR_MS },
  });
  await assertRejects(() => mstudio.addInstance(), DeliveryError, "timed-out");
  await mstudio.close();
  assertEquals(calls, 0);
  assertEquals(mstudio.deliveries.length, 1);
});

const WAYS: Record<string, (mstudio: SimulatedMstudio) => Promise<unknown>> = {
  "a queued": (mstudio) => mstudio.addInstance(),
  "a single": (mstudio) => mstudio.deliverOnce(mstudio.event("InstanceUpdated")),
};

for (const [way, deliver] of Object.entries(WAYS)) {
  test(`closing aborts ${way} request to a URL`, async () => {
    // A bare socket: Deno.serve does not notice at once that a client has gone.
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const mstudio = await SimulatedMstudio.create({
      extensionId: "e-1",
      target: `http://127.0.0.1:${listener.addr.port}/`,
    });
    const closed = assertClosed(deliver(mstudio));
    using connection = await listener.accept();
    await connection.read(new Uint8Array(1));
    await mstudio.close();
    assertEquals(mstudio.deliveries.map(({ failure }) => failure), ["closed"]);
    await readToEnd(connection);
    await closed;
  });
}

/** Reads what was sent before the other side went; resolves only once it has gone. */
async function readToEnd(connection: Deno.Conn): Promise<void> {
  let read: number | null = 0;
  while (read !== null) read = await connection.read(new Uint8Array(4096));
}

test("leaving the scope closes, in the middle of everything", async () => {
  const unsettled: Promise<unknown>[] = [];
  {
    await using mstudio = await SimulatedMstudio.create({
      extensionId: "e-1",
      target: () => new Response(null, { status: 500 }),
      backoff: { initialMs: 5, maxMs: HOUR_MS },
    });
    for (let count = 0; count < 10; count++) {
      const instance = mstudio.instance();
      unsettled.push(instance.add(), instance.update(), instance.remove());
    }
    await until(() => mstudio.deliveries.length >= 15);
  }
  const outcomes = await Promise.allSettled(unsettled);
  assert(outcomes.every(({ status }) => status === "rejected"));
});

test("a closed simulator refuses to deliver, and can be closed again", async () => {
  const mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: () => new Response(),
  });
  const instance = await mstudio.addInstance();
  await mstudio.close();
  await mstudio.close();
  await assertClosed(instance.update());
  await assertClosed(mstudio.addInstance());
  await assertClosed(mstudio.deliverOnce(instance.event("InstanceUpdated")));
  await assertClosed(mstudio.replay(mstudio.deliveries[0]!));
  assertEquals(mstudio.deliveries.length, 1);
  await mstudio.idle();
});
