/** The limit of concurrent calls of a slow storage. */

import { assertEquals } from "@std/assert";
import { BusyError } from "../../webhooks/mod.ts";
import { ahead } from "../support/clock.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { DRY_RUN_URL, payload, Receiver, ROTATED, storageThat } from "./support.ts";

/** Calls that end on demand, like a driver's queue: first in, first out. */
function queueingStorage() {
  const queue: (() => void)[] = [];
  const calls = {
    /** The peak number of concurrent calls. */
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

Deno.test("beyond maxConcurrent storage calls, deliveries are refused at once, whatever the first ones do", async () => {
  const { calls, storage } = queueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 2_000, maxConcurrent: 40 });
  const first = deliverMany(receiver, 40);
  await poll(() => calls.underWay() === 40);
  assertEquals(await deliverMany(receiver, 100), { "503 ERR_BUSY": 100 });
  assertEquals(await first, { "503 ERR_DEADLINE_EXCEEDED": 40 });
  const error = receiver.errors.find(({ code }) => code === "ERR_BUSY");
  assertEquals(
    error instanceof BusyError && error.message,
    "Storing a webhook: 40 storage calls are in progress",
  );

  // Abandoned calls still occupy the storage until they end.
  assertEquals(await deliverMany(receiver, 100), { "503 ERR_BUSY": 100 });
  calls.endAll();
  await Promise.resolve();
  const before = receiver.errors.length;
  const wave = deliverMany(receiver, 100);
  await poll(() => calls.underWay() + receiver.errors.length - before === 100);
  calls.endAll();
  assertEquals(await wave, { "200 STORED": 40, "503 ERR_BUSY": 60 });
  assertEquals(calls.most, 40);
});

Deno.test("the default of maxConcurrent is 100", async () => {
  const { calls, storage } = queueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 60_000 });
  const wave = deliverMany(receiver, 150);
  await poll(() => calls.underWay() + receiver.errors.length === 150);
  calls.endAll();
  assertEquals(await wave, { "200 STORED": 100, "503 ERR_BUSY": 50 });
});

Deno.test("dry runs are limited, too", async () => {
  const { calls, storage } = queueingStorage();
  const receiver = await Receiver.create({
    storage: { ...storage, getExtension: calls.call },
    timeoutMs: 1_000,
    maxConcurrent: 40,
  });
  const late = { "503 ERR_DEADLINE_EXCEEDED": 40 };
  assertEquals(await deliverMany(receiver, 40, DRY_RUN_URL), late);
  assertEquals(await deliverMany(receiver, 40, DRY_RUN_URL), { "503 ERR_BUSY": 40 });
  assertEquals(calls.underWay(), 40);
});

Deno.test("calls that never end do not block others for good", async () => {
  const { calls, storage } = queueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 100, maxConcurrent: 10 });
  assertEquals(await deliverMany(receiver, 10), { "503 ERR_DEADLINE_EXCEEDED": 10 });
  assertEquals(await deliverMany(receiver, 1), { "503 ERR_BUSY": 1 });
  await ahead(1_100, async () => {
    const wave = deliverMany(receiver, 1);
    await poll(() => calls.underWay() === 11);
    calls.endAll();
    assertEquals(await wave, { "200 STORED": 1 });
  });
});

Deno.test("some calls that wait for a lock do not block others", async () => {
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
