/** A storage that does not keep up is given what it can do in time. */

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import type { ExtensionStorage } from "@weissaufschwarz/mitthooks/storage/extensionStorage";
import { BusyError } from "../../webhooks/mod.ts";
import { assertAnswer, payload, Receiver } from "./support.ts";
import { poll } from "../support/postgres.ts";

/** Calls that end when they are told to, as a driver's queue does: first in, first out. */
class QueueingStorage implements ExtensionStorage {
  readonly #queue: (() => void)[] = [];
  /** The most that were ever under way. */
  most = 0;

  get length(): number {
    return this.#queue.length;
  }

  #enter = () =>
    new Promise<void>((resolve) => {
      this.#queue.push(resolve);
      this.most = Math.max(this.most, this.#queue.length);
    });

  upsertExtension = this.#enter;
  updateExtension = this.#enter;
  rotateSecret = this.#enter;
  removeInstance = this.#enter;

  end(count: number = Infinity): void {
    for (const resolve of this.#queue.splice(0, count)) resolve();
  }
}

async function deliverMany(receiver: Receiver, count: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const one = async (number: number) => {
    const { status, answer } = await receiver.deliver(
      payload("SecretRotated", { id: `instance-${number}` }),
    );
    const key = `${status} ${answer.code}`;
    counts[key] = (counts[key] ?? 0) + 1;
  };
  await Promise.all(Array.from({ length: count }, (_, number) => one(number)));
  return counts;
}

Deno.test("a storage that does not keep up: what it cannot do in time is refused at once", async () => {
  const storage = new QueueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 1_000 });
  assertEquals(await deliverMany(receiver, 100), { "503 ERR_DEADLINE_EXCEEDED": 100 });

  // The hundred that were given up are still in its way.
  for (let wave = 0; wave < 5; wave++) {
    assertEquals(await deliverMany(receiver, 100), { "503 ERR_BUSY": 100 });
  }
  assertEquals(storage.length, 100);
  const error = receiver.errors.at(-1);
  assertEquals(
    error instanceof BusyError && error.message,
    "Storing a webhook: the storage does not keep up",
  );

  // It does them all at last: then there is room for some, and their number is limited.
  storage.end();
  await Promise.resolve();
  const wave = deliverMany(receiver, 200);
  await poll(() => storage.length > 0 && receiver.errors.length > 650);
  storage.end();
  const counts = await wave;
  assertGreater(counts["200 STORED"]!, 0);
  assertGreater(counts["503 ERR_BUSY"]!, 0);
  assertLess(storage.most, 101);
});

Deno.test("no more than 1,000 calls of a storage are ever under way", async () => {
  const storage = new QueueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 60_000 });
  const wave = deliverMany(receiver, 1_100);
  await poll(() => storage.length + receiver.errors.length === 1_100, { timeoutMs: 30_000 });
  storage.end();
  assertEquals(await wave, { "200 STORED": 1_000, "503 ERR_BUSY": 100 });
});

Deno.test("a storage that keeps up again is no longer limited", async () => {
  const storage = new QueueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 1_000 });
  await deliverMany(receiver, 1);
  storage.end();
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  const wave = deliverMany(receiver, 40);
  await poll(() => storage.length === 40);
  storage.end();
  await wave;
});

Deno.test("calls that never end do not keep others away for good", async () => {
  const storage = new QueueingStorage();
  const receiver = await Receiver.create({ storage, timeoutMs: 300 });
  assertEquals(await deliverMany(receiver, 40), { "503 ERR_DEADLINE_EXCEEDED": 40 });
  assertEquals(await deliverMany(receiver, 1), { "503 ERR_BUSY": 1 });
  const before = storage.length;
  await poll(async () => {
    await receiver.deliver(payload("SecretRotated"));
    return storage.length > before;
  });
});

Deno.test("some calls that wait for a lock do not keep others away", async () => {
  const storage = new QueueingStorage();
  const locked = new Set(["locked-1", "locked-2"]);
  const receiver = await Receiver.create({
    timeoutMs: 500,
    storage: {
      ...storage,
      rotateSecret: (id: string) => locked.has(id) ? storage.rotateSecret() : Promise.resolve(),
    },
  });
  for (let attempt = 0; attempt < 3; attempt++) {
    const waiting = [...locked].map((id) => receiver.deliver(payload("SecretRotated", { id })));
    for (const answer of await Promise.all(waiting)) {
      assertAnswer(answer, 503, "ERR_DEADLINE_EXCEEDED");
    }
    assertEquals(await deliverMany(receiver, 20), { "200 STORED": 20 });
  }
});
