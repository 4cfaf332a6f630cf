/** Deliveries of a simulated mStudio: attempts, order, removals, rotations, and closing. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DeliveryError,
  type SimulatedInstance,
  SimulatedMstudio,
  type SimulatedMstudioOptions,
} from "@wais/mitthooks-drizzle/testing";
import { backoffMs } from "../../testing/internal/delivery_queue.ts";
import { poll } from "../../tools/postgres/databases.ts";
import {
  ADDED,
  answers,
  assertUndelivered,
  HOUR_MS,
  log,
  REMOVED,
  ROTATED,
  simulate,
  statusOf,
  UPDATED,
} from "./support.ts";

const withResolvers = () => Promise.withResolvers<void>();

Deno.test("a delivery is repeated until it is answered with 2xx", async () => {
  const failing = [500, 404, 400, 302, 300, 503];
  await using sim = await simulate(answers(Response.json({ no: 1 }), 204, 299, ...failing, 201));
  const { mstudio } = sim;
  for (const id of ["200", "204", "299", "201"]) {
    assertEquals((await mstudio.addInstance({ id })).id, id);
  }
  const { deliveries } = mstudio;
  assertEquals(deliveries.map(({ status }) => status), [200, 204, 299, ...failing, 201]);
  assertEquals(deliveries.map(({ attempt }) => attempt), [1, 1, 1, 1, 2, 3, 4, 5, 6, 7]);
  assertEquals(deliveries.filter(({ ok }) => !ok).map(({ status }) => status), failing);
  const { url, responseBody } = deliveries[0]!;
  assertEquals([url, responseBody], ["https://extension.example/webhooks", '{"no":1}']);
});

Deno.test("a handler that throws, rejects or answers nothing fails; ten failures are the end", async () => {
  const boom = new Error("boom");
  const target: (() => Response | Promise<Response>)[] = [
    () => {
      throw boom;
    },
    () => Promise.reject(boom),
    () => undefined as unknown as Response,
    () => Response.error(),
    () => new Response(null, { status: 500 }),
  ];
  let calls = 0;
  const options = { target: () => target[calls++ % 5]!(), maxAttempts: undefined };
  await using sim = await simulate(undefined, options);
  const message = await assertUndelivered("ERR_GAVE_UP", sim.mstudio.addInstance({ id: "i-1" }));
  const none = "no-response, no-response, no-response, no-response, 500";
  const attempt = 'Delivering ExtensionAddedToContext of instance "i-1"';
  assertEquals(message, `${attempt}: 10 of 10 attempts failed: …, ${none}`);
  const errors = sim.mstudio.deliveries.map(({ error }) => error);
  assertEquals([errors[0], errors[1], errors[4]], [boom, boom, undefined]);
});

Deno.test("the wait doubles up to its cap", () => {
  const backoff = { initialMs: 1_000, maxMs: 600_000 };
  const waits = [1, 2, 3, 8, 9, 10, 11, 5_000].map((failures) => backoffMs(failures, backoff));
  assertEquals(waits, [1_000, 2_000, 4_000, 128_000, 256_000, 512_000, 600_000, 600_000]);
});

Deno.test("one instance: in order, one at a time; several: independently", async () => {
  const running = new Set<string>();
  const succeeded: Record<string, (string | undefined)[]> = { a: [], b: [], c: [], d: [] };
  let calls = 0;
  await using sim = await simulate(async ({ payload: { id, variantKey } }) => {
    assert(!running.has(id));
    running.add(id);
    await new Promise((resolve) => setTimeout(resolve, calls % 3));
    running.delete(id);
    if (++calls % 3 === 0) return 500;
    succeeded[id]!.push(variantKey);
    return 200;
  });
  const variants = Array.from({ length: 20 }, (_, index) => `v${index}`);
  for (const id of Object.keys(succeeded)) {
    const instance = sim.mstudio.instance({ id });
    for (const variantKey of variants) void instance.update({ variantKey });
  }
  await sim.mstudio.idle();
  assertEquals(succeeded, { a: variants, b: variants, c: variants, d: variants });
  // A failed assertion in the handler would show here.
  assertEquals(sim.mstudio.deliveries.filter(({ failure }) => failure !== undefined), []);
});

Deno.test("a failing instance delays no other, and single attempts overlap", async () => {
  const other = withResolvers();
  await using sim = await simulate(async ({ payload: { id } }) => {
    if (id === "waits") await other.promise;
    else other.resolve();
    return 200;
  });
  const { mstudio } = sim;
  const ids = ["waits", "frees"];
  await Promise.all(ids.map((id) => mstudio.addInstance({ id })));
  assertEquals(mstudio.deliveries.map(({ instanceId }) => instanceId), ["frees", "waits"]);

  let waiting = 0;
  const both = withResolvers();
  await using single = await simulate(async () => {
    if (++waiting === 2) both.resolve();
    await both.promise;
    return 299;
  });
  const event = single.mstudio.event(ROTATED);
  const twice = [single.mstudio.deliverOnce(event), single.mstudio.deliverOnce(event)];
  assertEquals((await Promise.all(twice)).map(({ status }) => status), [299, 299]);
});

Deno.test("a removal ends the wait between attempts, drops queued events, and is sent alone", async () => {
  const backoff = { initialMs: HOUR_MS, maxMs: HOUR_MS };
  await using sim = await simulate(({ kind }) => kind === REMOVED ? 200 : 500, { backoff });
  const { mstudio } = sim;
  const instance = mstudio.instance();
  const dropped = [instance.add(), instance.update(), instance.rotateSecretNow()];
  void instance.rotateSecret(); // not awaited; dropping it causes no unhandled rejection
  await poll(() => mstudio.deliveries.length === 1);
  await instance.remove();
  await assertUndelivered("ERR_DROPPED", ...dropped);
  assertEquals(log(mstudio), [`${ADDED} 1 500`, `${REMOVED} 1 200`]);
  // It accepts only another removal.
  await instance.remove();
  const removed = `instance ${JSON.stringify(instance.id)}: it was removed`;
  await assertRejects(() => instance.update(), TypeError, `Updating ${removed}`);
  await assertRejects(() => instance.rotateSecret(), TypeError, removed);
  await assertRejects(() => instance.rotateSecretNow(), TypeError, removed);
});

Deno.test("a removal is repeated until it succeeds", async () => {
  await using sim = await simulate(answers(500, 500, 200));
  await sim.mstudio.instance().remove();
  assertEquals(
    log(sim.mstudio),
    [500, 500, 200].map((status, at) => `${REMOVED} ${at + 1} ${status}`),
  );
});

Deno.test("a removal waits for an attempt in flight, which still counts if it succeeds", async () => {
  const release = withResolvers();
  await using sim = await simulate(async ({ kind }) => {
    if (kind === UPDATED) await release.promise;
    return 200;
  });
  const { mstudio, received } = sim;
  const instance = await mstudio.addInstance();
  const updated = instance.update();
  await poll(() => received.length === 2);
  const removed = instance.remove();
  release.resolve();
  assert((await updated).ok);
  await removed;
  assertEquals(received.map(({ kind }) => kind), [ADDED, UPDATED, REMOVED]);
});

Deno.test("a removed instance stays removed, from the call on", async () => {
  await using sim = await simulate(({ kind }) => kind === REMOVED ? 500 : 200);
  const { mstudio } = sim;
  const instance = await mstudio.addInstance({ id: "i-1" });
  const removed = mstudio.deliver(instance.event(REMOVED));
  const again = mstudio.instance({ id: "i-1" });
  const late = [
    () => instance.update(),
    () => again.add(),
    () => again.update(),
    () => mstudio.addInstance({ id: "i-1" }),
    () => mstudio.deliver(mstudio.event(ROTATED, { id: "i-1" })),
  ];
  for (const attempt of late) {
    await assertRejects(attempt, TypeError, 'instance "i-1": it was removed');
  }
  assertEquals(await statusOf(mstudio, "i-1", instance.secret), 404);
  // Attacks and late attempts are still possible.
  assert((await mstudio.deliverOnce(mstudio.event(UPDATED, { id: "i-1" }))).ok);
  await mstudio.addInstance({ id: "i-2" });
  await mstudio.close();
  await assertUndelivered("ERR_CLOSED", removed);
});

Deno.test("an attempt that takes too long fails and is repeated", async () => {
  const late = withResolvers();
  let calls = 0;
  await using sim = await simulate(async () => {
    if (++calls > 1) return 200;
    await late.promise;
    throw new Error("too late"); // causes no unhandled rejection
  }, { attemptTimeoutMs: 100 });
  await sim.mstudio.addInstance();
  assertEquals(log(sim.mstudio), [`${ADDED} 1 timed-out`, `${ADDED} 2 200`]);
  late.resolve();
  await new Promise((resolve) => setTimeout(resolve));
});

Deno.test("a response with an endless body takes too long, and is cancelled", async () => {
  let cancelled = 0;
  const body = () => new ReadableStream({ cancel: () => void cancelled++ });
  const options = { attemptTimeoutMs: 100 };
  await using sim = await simulate(() => new Response(body()), options);
  const { mstudio } = sim;
  const once = mstudio.deliverOnce(mstudio.event(UPDATED, { id: "i-1" }));
  const message = await assertUndelivered("ERR_NO_RESPONSE", once);
  assertEquals(message, 'Delivering InstanceUpdated of instance "i-1": timed-out');
  assertEquals(cancelled, 1);
});

Deno.test("with maxAttempts it gives up, reports why without the secret, and continues with the next", async () => {
  const secret = "S3CRET";
  const failed = { status: 500 };
  await using sim = await simulate(
    answers(
      Response.json({ code: "ERR_STORAGE_FAILED", message: secret }, failed),
      Response.json({ code: `leak ${secret}` }, failed),
      new Response(secret, failed),
      200,
    ),
    { maxAttempts: 3 },
  );
  const { mstudio } = sim;
  const instance = mstudio.instance({ id: "i-1", secret });
  const added = instance.add();
  const updated = instance.update();
  const error = await assertRejects(() => added, DeliveryError, "500 ERR_STORAGE_FAILED, 500, 500");
  assert((await updated).ok);
  // Nothing else shows the secret, either.
  const { deliveries } = mstudio;
  const shown = [error, mstudio, instance, deliveries.at(-1)];
  assert(!(Deno.inspect(shown, { depth: 20 }) + JSON.stringify(shown)).includes(secret));
});

Deno.test("a rotation through the API is delivered once; the new secret is valid if it succeeds", async () => {
  const options = { faults: { duplicate: 2 } };
  await using sim = await simulate(answers(200, 200, 500, 200), options);
  const { mstudio, received } = sim;
  const instance = await mstudio.addInstance({ id: "i-1", secret: "first" }, { faults: {} });
  const statuses = async (
    ...secrets: string[]
  ) => [await statusOf(mstudio, "i-1", secrets[0]), await statusOf(mstudio, "i-1", secrets[1])];
  assert((await instance.rotateSecretNow("second")).ok);
  assertEquals(instance.secret, "second");
  assertEquals(await statuses("first", "second"), [403, 201]);

  const message = await assertUndelivered("ERR_GAVE_UP", instance.rotateSecretNow("third"));
  const attempt = 'Delivering SecretRotated of instance "i-1"';
  assertEquals(message, `${attempt}: 1 of 1 attempts failed: 500`);
  // A lost response is a failure, whatever the receiver stored.
  const lost = instance.rotateSecretNow("fourth", { faults: { dropResponse: true } });
  await assertUndelivered("ERR_GAVE_UP", lost);
  await mstudio.idle();
  const stored = received.map(({ payload }) => "secret" in payload && payload.secret);
  assertEquals(stored, ["first", "second", "third", "fourth"]);
  assertEquals(instance.secret, "second");
  assertEquals(await statuses("second", "third"), [201, 403]);
});

Deno.test("of several rotations, the latest successful one counts", async () => {
  await using sim = await simulate(({ payload }) =>
    "secret" in payload && payload.secret === "third" ? 500 : 200
  );
  const { mstudio } = sim;
  const instance = await mstudio.addInstance({ secret: "first" });
  const second = instance.rotateSecretNow("second");
  const third = instance.rotateSecretNow("third");
  assertEquals(instance.secret, "first");
  await second;
  await assertUndelivered("ERR_GAVE_UP", third);
  assertEquals(instance.secret, "second");
  const fourth = instance.rotateSecretNow("fourth");
  const fifth = instance.rotateSecret("fifth");
  await fourth;
  assertEquals(instance.secret, "fifth");
  await fifth;
  assertEquals(await statusOf(mstudio, instance.id, "fifth"), 201);
});

Deno.test("invalid and unknown options are refused", async () => {
  const create = (options: object) => simulate(undefined, options);
  const numbers = [
    { attemptTimeoutMs: -1 },
    { attemptTimeoutMs: Infinity },
    { maxAttempts: 0 },
    { maxAttempts: NaN },
    { backoff: { initialMs: -1 } },
    { backoff: { maxMs: 2 ** 31 } },
    { tokenLifetimeMs: -1 },
    { newSecretRefusedMs: NaN },
  ];
  for (const options of numbers) {
    await assertRejects(() => create(options), RangeError, "Reading the option");
  }
  for (const target of ["/webhooks", "ftp://extension.example", "", undefined, null, 1]) {
    await assertRejects(() => create({ target }), TypeError, "Reading the option target");
  }
  const url = "https://extension.example";
  await assertRejects(() => create({ target: url, url }), TypeError, "the target is a URL itself");
  const unknown = { attemptTimeout: 1 };
  await assertRejects(() => create(unknown), TypeError, 'there is no option "attemptTimeout"');
  // As from an unset variable: every event would be of another extension.
  const extensionId = undefined as unknown as string;
  await assertRejects(() => create({ extensionId }), TypeError, "extensionId");
});

/** Closes during work: Deno's sanitizers watch for leaked timers, requests and promises. */
function testClosing(
  name: string,
  options: Partial<SimulatedMstudioOptions>,
  run: (mstudio: SimulatedMstudio, instance: SimulatedInstance) => Promise<unknown>,
): void {
  const fn = async () => {
    const target = () => new Response(null, { status: 500 });
    const mstudio = await SimulatedMstudio.create({ extensionId: "e-1", target, ...options });
    await run(mstudio, mstudio.instance());
  };
  Deno.test({ name, fn, sanitizeOps: true, sanitizeResources: true });
}

const FOREVER = { backoff: { initialMs: HOUR_MS, maxMs: HOUR_MS } };

testClosing("closing ends the wait between two attempts", FOREVER, async (mstudio, instance) => {
  const added = instance.add();
  void instance.update(); // not awaited; causes no unhandled rejection
  await poll(() => mstudio.deliveries.length >= 1);
  await mstudio.close();
  await assertUndelivered("ERR_CLOSED", added);
  assertEquals(mstudio.deliveries.length, 1);
});

const started = withResolvers();
const hanging = () => {
  started.resolve();
  return new Promise<Response>(() => {});
};
testClosing("closing abandons a handler that is running", { target: hanging }, async (mstudio) => {
  const queued = mstudio.addInstance();
  const single = mstudio.deliverOnce(mstudio.event(UPDATED));
  single.catch(() => {});
  await started.promise;
  await mstudio.close();
  await assertUndelivered("ERR_CLOSED", queued, single);
  assertEquals(mstudio.deliveries.map(({ failure }) => failure), ["closed", "closed"]);
});

const LATE = { attemptTimeoutMs: 5, maxAttempts: 1, faults: { arriveLateMs: HOUR_MS } };
testClosing("closing ends the wait for late arrivals", LATE, async (mstudio, instance) => {
  await assertUndelivered("ERR_GAVE_UP", instance.add());
  await mstudio.close();
  assertEquals(log(mstudio), [`${ADDED} 1 timed-out`]);
});

const DELAY = { faults: { delayMs: HOUR_MS } };
testClosing("closing ends a delay", DELAY, async (mstudio, instance) => {
  const added = instance.add();
  await new Promise((resolve) => setTimeout(resolve, 1));
  await mstudio.close();
  await assertUndelivered("ERR_CLOSED", added);
  assertEquals(log(mstudio), [`${ADDED} 1 closed`]);
});

const BACKOFF = { backoff: { initialMs: 5, maxMs: HOUR_MS }, maxAttempts: Infinity };
testClosing("leaving the scope closes, in the middle of everything", BACKOFF, async (mstudio) => {
  const unsettled: Promise<unknown>[] = [];
  {
    await using scoped = mstudio;
    for (let count = 0; count < 10; count++) {
      const instance = scoped.instance();
      unsettled.push(instance.add(), instance.update(), instance.remove());
    }
    await poll(() => scoped.deliveries.length >= 15);
  }
  const outcomes = await Promise.allSettled(unsettled);
  assert(outcomes.every(({ status }) => status === "rejected"));
});

const OK = { target: () => new Response() };
testClosing(
  "a closed simulator refuses to deliver, and can be closed again",
  OK,
  async (mstudio, instance) => {
    await instance.add();
    await mstudio.close();
    await mstudio.close();
    const late = [
      instance.update(),
      mstudio.addInstance(),
      mstudio.deliverOnce(instance.event(UPDATED)),
      mstudio.replay(mstudio.deliveries[0]!),
    ];
    for (const promise of late) promise.catch(() => {});
    await assertUndelivered("ERR_CLOSED", ...late);
    assertEquals(mstudio.deliveries.length, 1);
    await mstudio.idle();
  },
);
