/** A storage that does not keep up is given what it can do in time. */

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { BusyError } from "../../webhooks/mod.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { DRY_RUN_URL, payload, Receiver, ROTATED, storageThat } from "./support.ts";

/** Calls that end when they are told to, as a driver's queue does: first in, first out. */
function queueingStorage() {
  const queue: (() => void)[] = [];
  const calls = {
    /** The most that were ever under way. */
    most: 0,
    underWay: () => queue.length,
    call: () => {
      const call = new Promise<void>((resolve) => queue.push(resolve));
      calls.most = Math.max(calls.most, queue.length);
      return call;
    },
    endAll: () => queue.splice(0).forEach((resolve) => resolve()),
  };
  return { calls, storage: storageThat(calls.call) };
}

async function deliverMany(
  receiver: Receiver,
  count: number,
  url?: string,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const one = async (number: number) => {
    const body = payload(ROTATED, { id: `instance-${number}` });
    const { status, answer } = await receiver.deliver(body, { url });
    const key = `${status} ${answer.code}`;
    counts[key] = (counts[key] ?? 0) + 1;
  };
  await Promise.all(Array.from({ length: count }, (_, number) => one(number)));
  return counts;
}

Deno.test("a storage that does not keep up: what it cannot do in time is refused at once", async () => {
  const { calls, storage } = queueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 1_000 });
  assertEquals(await deliverMany(receiver, 100), { "503 ERR_DEADLINE_EXCEEDED": 100 });

  // The hundred that were given up are still in its way.
  for (let wave = 0; wave < 5; wave++) {
    assertEquals(await deliverMany(receiver, 100), { "503 ERR_BUSY": 100 });
  }
  assertEquals(calls.underWay(), 100);
  const error = receiver.errors.at(-1);
  assertEquals(
    error instanceof BusyError && error.message,
    "Storing a webhook: the storage does not keep up",
  );

  // It does them all at last: then there is room for some, and their number is limited.
  calls.endAll();
  await Promise.resolve();
  const wave = deliverMany(receiver, 200);
  await poll(() => calls.underWay() > 0 && receiver.errors.length > 650);
  calls.endAll();
  const counts = await wave;
  assertGreater(counts["200 STORED"]!, 0);
  assertGreater(counts["503 ERR_BUSY"]!, 0);
  assertLess(calls.most, 101);
});

Deno.test("no more than 1,000 calls of a storage are ever under way", async () => {
  const { calls, storage } = queueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 60_000 });
  const wave = deliverMany(receiver, 1_100);
  await poll(() => calls.underWay() + receiver.errors.length === 1_100, { timeoutMs: 30_000 });
  calls.endAll();
  assertEquals(await wave, { "200 STORED": 1_000, "503 ERR_BUSY": 100 });
});

Deno.test("what says that it is a dry run is limited, too", async () => {
  const { calls, storage } = queueingStorage();
  const receiver = await Receiver.create({
    storage: { ...storage, getExtension: calls.call },
    timeoutMs: 1_000,
  });
  const late = { "503 ERR_DEADLINE_EXCEEDED": 40 };
  assertEquals(await deliverMany(receiver, 40, DRY_RUN_URL), late);
  assertEquals(await deliverMany(receiver, 40, DRY_RUN_URL), { "503 ERR_BUSY": 40 });
  assertEquals(calls.underWay(), 40);
});

Deno.test("a storage that keeps up again is no longer limited", async () => {
  const { calls, storage } = queueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 1_000 });
  await deliverMany(receiver, 1);
  calls.endAll();
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  const wave = deliverMany(receiver, 40);
  await poll(() => calls.underWay() === 40);
  calls.endAll();
  await wave;
});

Deno.test("calls that never end do not keep others away for good", async () => {
  const { calls, storage } = queueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 300 });
  assertEquals(await deliverMany(receiver, 40), { "503 ERR_DEADLINE_EXCEEDED": 40 });
  assertEquals(await deliverMany(receiver, 1), { "503 ERR_BUSY": 1 });
  const before = calls.underWay();
  await poll(async () => {
    await receiver.deliver(payload(ROTATED));
    return calls.underWay() > before;
  });
});

Deno.test("some calls that wait for a lock do not keep others away", async () => {
  const { calls, storage } = queueingStorage();
  const locked = ["locked-1", "locked-2"];
  const rotateSecret = (id: string) => locked.includes(id) ? calls.call() : Promise.resolve();
  const receiver = await Receiver.create({
    timeoutMs: 500,
    storage: { ...storage, rotateSecret },
  });
  for (let attempt = 0; attempt < 3; attempt++) {
    const late = (id: string) =>
      receiver.expect("503 ERR_DEADLINE_EXCEEDED", payload(ROTATED, { id }));
    await Promise.all(locked.map(late));
    assertEquals(await deliverMany(receiver, 20), { "200 STORED": 20 });
  }
});
