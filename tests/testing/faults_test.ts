/** Faults between a simulated mStudio and a receiver, including late arrivals. */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import type { Faults } from "@wais/mitthooks-drizzle/testing";
import { tampered } from "../../testing/internal/faults.ts";
import { poll } from "../../tools/postgres/databases.ts";
import {
  ADDED,
  answers,
  assertUndelivered,
  log,
  REMOVED,
  ROTATED,
  simulate,
  UPDATED,
} from "./support.ts";

Deno.test("duplicate: the same event comes again, signed anew, before the next one", async () => {
  await using sim = await simulate();
  const { mstudio, received } = sim;
  const instance = await mstudio.addInstance({}, { faults: { duplicate: true } });
  await instance.update({}, { faults: { duplicate: 2 } });
  await instance.remove();
  assertEquals(log(mstudio), [
    `${ADDED} 1 200`,
    `${ADDED} 2 200`,
    `${UPDATED} 1 200`,
    `${UPDATED} 2 200`,
    `${UPDATED} 3 200`,
    `${REMOVED} 1 200`,
  ]);
  const [first, second] = received.map(({ payload: { request: _, ...event } }) => event);
  assertEquals(first, second);
  // Every copy may fail as often as a single delivery.
  await using failing = await simulate(answers(500, 200, 500, 200, 500, 200), { maxAttempts: 2 });
  const event = failing.mstudio.event(UPDATED);
  const { attempt } = await failing.mstudio.deliver(event, { faults: { duplicate: 2 } });
  assertEquals(attempt, 6);
});

Deno.test("drop the response: the receiver worked, the sender retries", async () => {
  const stored = () => Response.json({ code: "STORED" });
  await using sim = await simulate(stored, { faults: { dropResponse: true } });
  const { mstudio, received } = sim;
  await mstudio.addInstance();
  const once = mstudio.deliverOnce(mstudio.event(ROTATED, { id: "i-1" }), { dropResponse: true });
  const message = await assertUndelivered("ERR_NO_RESPONSE", once);
  assertEquals(message, 'Delivering SecretRotated of instance "i-1": response-lost');
  const lost = [`${ADDED} 1 response-lost`, `${ADDED} 2 200`, `${ROTATED} 1 response-lost`];
  assertEquals(log(mstudio), lost);
  assertEquals(received.length, 3);
  assertEquals(mstudio.deliveries[0]!.responseBody, '{"code":"STORED"}');
});

Deno.test("forge: signed by another key under the same serial, then by the right one", async () => {
  await using sim = await simulate(undefined, { faults: { forge: 2 } });
  const { mstudio, received } = sim;
  await mstudio.addInstance();
  assertEquals(received.map(({ signed }) => signed), [false, false, true]);
  assertEquals(log(mstudio), [`${ADDED} 1 401`, `${ADDED} 2 401`, `${ADDED} 3 200`]);
  await mstudio.rotateSigningKey("second");
  await mstudio.deliverOnce(mstudio.event(UPDATED), { forge: true });
  const serials = received.map(({ headers }) => headers.get("X-Marketplace-Signature-Serial"));
  assertEquals([new Set(serials).size, serials[3], received[3]!.signed], [2, "second", false]);
});

Deno.test("tamper: the body differs in one byte and is still a payload, of another instance", async () => {
  await using sim = await simulate();
  const { mstudio, received } = sim;
  for (const id of ["a-1", "b-1", "7"]) {
    const response = await mstudio.deliverOnce(mstudio.event(UPDATED, { id }), { tamper: true });
    assertEquals(response.status, 401);
    const { payload } = received.at(-1)!; // parsed, because it is valid except for its signature
    assertNotEquals(payload.id, id);
    assertEquals(payload.id.slice(1), id.slice(1));
  }
  for (const text of ['{"id":"a-1"}', '{"id":"b"}', '{"id":""}', '{"id":"ü🔑"}', "{}", "ü"]) {
    const body = new TextEncoder().encode(text);
    const result = tampered(body);
    assertEquals(new TextDecoder().decode(body), text);
    assertEquals(result.length, body.length);
    assertEquals(result.filter((byte, index) => byte !== body[index]).length, 1);
  }
});

Deno.test("delay: the request was signed before the delay", async () => {
  const ages: number[] = [];
  await using sim = await simulate(({ payload }) => {
    ages.push(Date.now() - Date.parse(payload.request.createdAt));
    return 200;
  });
  const { mstudio, received } = sim;
  await mstudio.deliver(mstudio.event(UPDATED), { faults: { delayMs: 50 } });
  await mstudio.deliverOnce(mstudio.event(UPDATED), { delayMs: 50 });
  assert(received.every(({ signed }) => signed));
  assertEquals(ages.length, 2);
  for (const age of ages) assertGreaterOrEqual(age, 49);
});

Deno.test("delay: it counts towards the time limit, and a request delayed too long never arrives", async () => {
  await using sim = await simulate(undefined, { attemptTimeoutMs: 20, maxAttempts: 1 });
  const { mstudio, received } = sim;
  const delayed = mstudio.addInstance({}, { faults: { delayMs: 500 } });
  assert((await assertUndelivered("ERR_GAVE_UP", delayed)).endsWith("timed-out"));
  await mstudio.idle();
  await new Promise((resolve) => setTimeout(resolve, 600));
  assertEquals(received, []);
});

Deno.test("replay: byte for byte the earlier request", async () => {
  await using sim = await simulate();
  const { mstudio, received } = sim;
  const instance = await mstudio.addInstance();
  const rotation = await instance.rotateSecret();
  await instance.rotateSecret();
  assertEquals((await mstudio.replay(rotation)).status, 200);
  assertEquals(received[3], received[1]);
  assertEquals([...received[3]!.headers], [...received[1]!.headers]);
  assertEquals(mstudio.deliveries[3], { ...rotation, replay: true });
  // A replay can be replayed again; deliveries of another simulator cannot.
  assertEquals((await mstudio.replay(mstudio.deliveries.at(-1)!)).status, 200);
  await using other = await simulate();
  await assertRejects(() => other.mstudio.replay(rotation), TypeError, "Replaying a delivery");
});

Deno.test("dry run: in the query of the request, not in the signed target", async () => {
  await using sim = await simulate();
  const { mstudio, received } = sim;
  const event = mstudio.event(ADDED);
  await mstudio.deliverOnce(event, { dryRun: { executingUserId: "u&1" } });
  await mstudio.deliverOnce(event, { dryRun: true });
  await mstudio.deliverOnce(event);
  const url = "https://extension.example/webhooks";
  for (const { payload, signed } of received) {
    assertEquals([payload.request.target.url, signed], [url, true]);
  }
  const [named, random, real] = received.map(({ url }) => url);
  assertEquals([named, real], [`${url}?dry-run=true&executing-user-id=u%261`, url]);
  assert(/\?dry-run=true&executing-user-id=[-\w]+$/.test(random!));
});

Deno.test("an attempt can have another signed time", async () => {
  await using sim = await simulate();
  const createdAt = new Date("2020-02-29T12:00:00Z");
  await sim.mstudio.deliverOnce(sim.mstudio.event(ROTATED), { createdAt });
  const [{ payload, signed }] = sim.received as [typeof sim.received[number]];
  assertEquals([payload.request.createdAt, signed], ["2020-02-29T12:00:00.000Z", true]);
});

Deno.test("faults can change during retries; a delivery's own replace them; single attempts have none", async () => {
  await using sim = await simulate(undefined, { faults: { forge: Infinity } });
  const { mstudio, received } = sim;
  const instance = await mstudio.addInstance({}, { faults: {} });
  assertEquals((await mstudio.deliverOnce(instance.event(UPDATED))).status, 200);
  const updated = instance.update();
  await poll(() => received.length >= 4);
  mstudio.setFaults({});
  assert((await updated).ok);
  assertEquals(received.slice(0, 4).map(({ signed }) => signed), [true, true, false, false]);
});

Deno.test("faults out of range and unknown faults are refused", async () => {
  await using sim = await simulate();
  const { mstudio, received } = sim;
  const event = mstudio.event(UPDATED);
  const outOfRange = [
    { duplicate: -1 },
    { forge: NaN },
    { forge: "yes" as unknown as boolean },
    { delayMs: -1 },
    { delayMs: 2 ** 31 },
    { arriveLateMs: 6_000 }, // within an attempt's time limit
    { arriveLateMs: [7_000, 1] },
    { clockSkewMs: NaN },
  ];
  for (const faults of outOfRange) {
    await assertRejects(() => simulate(undefined, { faults }), RangeError, "Reading the fault");
    await assertRejects(() => mstudio.addInstance({}, { faults }), RangeError);
  }
  await assertRejects(() => mstudio.deliverOnce(event, { delayMs: Infinity }), RangeError);
  await assertRejects(() => mstudio.deliverOnce(event, { arriveLateMs: 1 }), RangeError);
  const skewed = { faults: { clockSkewMs: () => NaN } };
  await assertRejects(() => mstudio.deliver(event, skewed), RangeError, "clockSkewMs");

  for (const name of ["dropResponses", "constructor", "dryRun"]) {
    const faults = { [name]: true } as Faults;
    const message = `Reading the fault ${name}: there is no such fault`;
    assertThrows(() => mstudio.setFaults(faults), TypeError, message);
    await assertRejects(() => simulate(undefined, { faults }), TypeError, message);
    await assertRejects(() => mstudio.addInstance({}, { faults }), TypeError, message);
  }
  await assertRejects(() => mstudio.deliverOnce(event, { duplicate: true } as never), TypeError);
  assertEquals(received, []);
});

Deno.test("a late arrival: the attempt fails, a later one succeeds, then the first arrives and is answered", async () => {
  let removed = false;
  const answer = ({ kind }: { kind: string }) =>
    kind === UPDATED && !removed ? 500 : Response.json({ code: "STORED" });
  await using sim = await simulate(answer, { attemptTimeoutMs: 300 });
  const { mstudio, received } = sim;
  const instance = await mstudio.addInstance({}, { faults: { arriveLateMs: 3_000 } });
  const updated = instance.update({}, { faults: { arriveLateMs: 3_000 } });
  await poll(() => mstudio.deliveries.length > 3);
  await instance.remove();
  removed = true;
  await assertUndelivered("ERR_DROPPED", updated);
  await mstudio.idle();
  assertEquals(log(mstudio).filter((line) => !line.endsWith(" 500")), [
    `${ADDED} 1 timed-out`,
    `${ADDED} 2 200`,
    `${UPDATED} 1 timed-out`,
    `${REMOVED} 1 200`,
    `${ADDED} 1 200 late`,
    `${UPDATED} 1 200 late`,
  ]);
  assert(received.every(({ signed }) => signed));
  const { request } = received.filter(({ kind }) => kind === ADDED)[1]!.payload;
  const late = mstudio.deliveries.find(({ late }) => late)!;
  for (const { requestId, createdAt, ok } of [mstudio.deliveries[0]!, late]) {
    assertEquals([requestId, createdAt, ok], [request.id, request.createdAt, false]);
  }
  assertEquals(late.responseCode, "STORED");
});

Deno.test("late arrivals: a list makes the first attempts late, each by itself", async () => {
  const options = { attemptTimeoutMs: 300, faults: { arriveLateMs: [4_000, 2_000] } };
  await using sim = await simulate(undefined, options);
  await sim.mstudio.addInstance();
  await sim.mstudio.idle();
  assertEquals(log(sim.mstudio), [
    `${ADDED} 1 timed-out`,
    `${ADDED} 2 timed-out`,
    `${ADDED} 3 200`,
    `${ADDED} 2 200 late`,
    `${ADDED} 1 200 late`,
  ]);
});

Deno.test("late arrivals: of a single attempt, a handler's error is logged, and a hanging one ends", async () => {
  const boom = new Error("boom");
  const targets = [() => Promise.reject(boom), () => new Promise<Response>(() => {})];
  const target = () => targets.shift()!();
  await using sim = await simulate(undefined, { target, attemptTimeoutMs: 300 });
  const { mstudio } = sim;
  for (let count = 0; count < 2; count++) {
    const event = mstudio.event(ROTATED, { id: "i-1" });
    const once = mstudio.deliverOnce(event, { arriveLateMs: 310 });
    const message = await assertUndelivered("ERR_NO_RESPONSE", once);
    assertEquals(message, 'Delivering SecretRotated of instance "i-1": timed-out');
    await mstudio.idle();
  }
  assertEquals(log(mstudio), [
    `${ROTATED} 1 timed-out`,
    `${ROTATED} 1 no-response late`,
    `${ROTATED} 1 timed-out`,
    `${ROTATED} 1 timed-out late`,
  ]);
  assertEquals(mstudio.deliveries[1]!.error, boom);
});
