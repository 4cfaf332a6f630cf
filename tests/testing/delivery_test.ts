import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import {
  type Delivery,
  DeliveryError,
  type DeliveryTarget,
  SimulatedMstudio,
  type SimulatedMstudioOptions,
} from "@wais/mitthooks-drizzle/testing";
import { backoffMs } from "../../testing/delivery_queue.ts";
import { gate, until } from "./receiver.ts";

const HOUR_MS = 3_600_000;

function create(
  target: DeliveryTarget,
  options: Partial<SimulatedMstudioOptions> = {},
): Promise<SimulatedMstudio> {
  return SimulatedMstudio.create({
    extensionId: "e-1",
    target,
    backoff: { initialMs: 1, maxMs: 2 },
    maxAttempts: Infinity,
    ...options,
  });
}

const kindAndOutcome = ({ kind, status, failure }: Delivery) => [kind, status ?? failure];

Deno.test("a delivery is repeated until it is answered with 2xx", async () => {
  const statuses = [500, 404, 400, 302, 300, 503, 201];
  let next = 0;
  await using mstudio = await create(() => Response.json({ next }, { status: statuses[next++]! }));
  const instance = await mstudio.addInstance({ id: "i-1" });

  assertEquals(instance.id, "i-1");
  assertEquals(mstudio.deliveries.map(({ status }) => status), statuses);
  assertEquals(mstudio.deliveries.map(({ attempt }) => attempt), [1, 2, 3, 4, 5, 6, 7]);
  assertEquals(mstudio.deliveries.map(({ ok }) => ok).lastIndexOf(false), 5);
  assertEquals(mstudio.deliveries[0]!.responseBody, '{"next":0}');
  assert(mstudio.deliveries.every(({ instanceId }) => instanceId === "i-1"));
});

for (const status of [200, 204, 299]) {
  Deno.test(`a status of ${status} is a success, and a single attempt returns it`, async () => {
    await using mstudio = await create(() =>
      new Response(null, { status, headers: { "X-A": "b" } })
    );
    await mstudio.addInstance();
    assertEquals(mstudio.deliveries.length, 1);
    const response = await mstudio.deliverOnce(mstudio.event("InstanceUpdated"));
    assertEquals([response.status, response.headers.get("X-A")], [status, "b"]);
    assertEquals(await response.text(), "");
  });
}

Deno.test("a handler that throws, rejects, or answers nothing is a failure", async () => {
  const boom = new Error("boom");
  const answers: (() => Response | Promise<Response>)[] = [
    () => {
      throw boom;
    },
    () => Promise.reject(boom),
    () => undefined as unknown as Response,
    () => Response.error(),
    () => new Response(),
  ];
  await using mstudio = await create(() => answers.shift()!());
  await mstudio.addInstance();
  assertEquals(mstudio.deliveries.map(({ failure }) => failure), [
    "no-response",
    "no-response",
    "no-response",
    "no-response",
    undefined,
  ]);
  assertEquals(mstudio.deliveries[0]!.error, boom);
  assertEquals(mstudio.deliveries[1]!.error, boom);
});

Deno.test("the wait doubles up to its cap", () => {
  const backoff = { initialMs: 1_000, maxMs: 300_000 };
  assertEquals([1, 2, 3, 8, 9, 10, 5_000].map((failures) => backoffMs(failures, backoff)), [
    1_000,
    2_000,
    4_000,
    128_000,
    256_000,
    300_000,
    300_000,
  ]);
});

Deno.test("one instance: in order and never two at once; several: each by itself", async () => {
  const running = new Set<string>();
  const succeeded = new Map<string, string[]>();
  let calls = 0;
  await using mstudio = await create(async (request) => {
    const { id, variantKey } = await request.json() as { id: string; variantKey: string };
    assertFalse(running.has(id));
    running.add(id);
    await new Promise((resolve) => setTimeout(resolve, calls % 3));
    running.delete(id);
    if (++calls % 3 === 0) return new Response(null, { status: 500 });
    succeeded.set(id, [...succeeded.get(id) ?? [], variantKey]);
    return new Response();
  });
  const expected = Array.from({ length: 20 }, (_, index) => `v${index}`);
  const ids = ["a", "b", "c", "d"];
  for (const id of ids) {
    const instance = mstudio.instance({ id });
    for (const variantKey of expected) void instance.update({ variantKey });
  }
  await mstudio.idle();
  for (const id of ids) assertEquals(succeeded.get(id), expected);
  // A handler's failed assertion would show as a failure here.
  assertEquals(mstudio.deliveries.filter(({ failure }) => failure !== undefined), []);
});

Deno.test("an instance that fails holds up no other", async () => {
  const other = gate();
  await using mstudio = await create(async (request) => {
    const { id } = await request.json();
    if (id === "waits") await other.opened;
    else other.open();
    return new Response();
  });
  await Promise.all([mstudio.addInstance({ id: "waits" }), mstudio.addInstance({ id: "frees" })]);
  assertEquals(mstudio.deliveries.map(({ instanceId }) => instanceId), ["frees", "waits"]);
});

Deno.test("deliveries one after the other are all made", async () => {
  await using mstudio = await create(() => new Response());
  const instance = await mstudio.addInstance();
  for (let count = 0; count < 200; count++) await instance.update();
  await mstudio.idle();
  assertEquals(mstudio.deliveries.length, 201);
});

Deno.test("removal drops what is queued, and only the removal is sent from then on", async () => {
  let removals = 0;
  await using mstudio = await create(async (request) => {
    const { kind } = await request.json();
    const removed = kind === "InstanceRemovedFromContext" && ++removals === 3;
    return new Response(null, { status: removed ? 200 : 500 });
  });
  const instance = mstudio.instance({ id: "i-1" });
  const dropped = [instance.add(), instance.update(), instance.rotateSecret()];
  await until(() => mstudio.deliveries.length >= 2);
  const before = mstudio.deliveries.length;
  await instance.remove();

  for (const promise of dropped) {
    const error = await assertRejects(() => promise, DeliveryError);
    assertEquals(error.code, "ERR_DROPPED");
  }
  const after = mstudio.deliveries.slice(before + 1).map(kindAndOutcome);
  assertEquals(after.slice(-2), [
    ["InstanceRemovedFromContext", 500],
    ["InstanceRemovedFromContext", 200],
  ]);
  assert(after.every(([kind]) => kind === "InstanceRemovedFromContext"));
  assert(mstudio.deliveries.every(({ kind }) => kind !== "InstanceUpdated"));
});

Deno.test("removal ends the wait between two attempts", async () => {
  await using mstudio = await create(async (request) => {
    const { kind } = await request.json();
    return new Response(null, { status: kind === "InstanceRemovedFromContext" ? 200 : 500 });
  }, { backoff: { initialMs: HOUR_MS, maxMs: HOUR_MS } });
  const instance = mstudio.instance();
  void instance.add(); // nobody waits for it, and its being dropped is no unhandled rejection
  await until(() => mstudio.deliveries.length === 1);
  await instance.remove();
  assertEquals(mstudio.deliveries.map(kindAndOutcome), [
    ["ExtensionAddedToContext", 500],
    ["InstanceRemovedFromContext", 200],
  ]);
});

Deno.test("removal waits for an attempt on its way, which still counts if it succeeds", async () => {
  const release = gate();
  const kinds: string[] = [];
  await using mstudio = await create(async (request) => {
    const { kind } = await request.json();
    kinds.push(kind);
    if (kind === "InstanceUpdated") await release.opened;
    return new Response();
  });
  const instance = await mstudio.addInstance();
  const updated = instance.update();
  await until(() => kinds.length === 2);
  const removed = instance.remove();
  release.open();
  assert((await updated).ok);
  await removed;
  assertEquals(kinds, ["ExtensionAddedToContext", "InstanceUpdated", "InstanceRemovedFromContext"]);
});

Deno.test("a handler busy with an attempt that timed out can finish after the removal", async () => {
  const removed = gate();
  const finished: string[] = [];
  await using mstudio = await create(async (request) => {
    const { kind } = await request.json();
    if (kind === "InstanceUpdated") await removed.opened;
    finished.push(kind);
    return new Response();
  }, { attemptTimeoutMs: 10 });
  const instance = mstudio.instance();
  const updated = instance.update();
  await until(() => mstudio.deliveries.length >= 1);
  await instance.remove();
  removed.open();
  await assertRejects(() => updated, DeliveryError);
  await until(() => finished.length >= 2);
  assertEquals(finished[0], "InstanceRemovedFromContext");
  assertEquals(mstudio.deliveries[0]!.failure, "timed-out");
});

Deno.test("a removed instance takes no more changes, but another removal", async () => {
  await using mstudio = await create(() => new Response());
  const instance = await mstudio.addInstance({ id: "i-1" });
  await instance.remove();
  await assertRejects(
    () => instance.update(),
    TypeError,
    'Updating instance "i-1": it was removed',
  );
  await assertRejects(() => instance.rotateSecret(), TypeError, "it was removed");
  await instance.remove();
  assertEquals(mstudio.deliveries.length, 3);
});

Deno.test("an attempt that takes too long is a failure, and is repeated", async () => {
  const never = gate();
  let calls = 0;
  await using mstudio = await create(async () => {
    if (++calls === 1) await never.opened;
    return new Response();
  }, { attemptTimeoutMs: 10 });
  await mstudio.addInstance();
  assertEquals(mstudio.deliveries.map(kindAndOutcome), [
    ["ExtensionAddedToContext", "timed-out"],
    ["ExtensionAddedToContext", 200],
  ]);
  never.open();
});

Deno.test("a response whose body never ends takes too long, and is cancelled", async () => {
  let cancelled = 0;
  await using mstudio = await create(() =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode("…")),
        cancel: () => void cancelled++,
      }),
    ), { attemptTimeoutMs: 10 });
  const error = await assertRejects(
    () => mstudio.deliverOnce(mstudio.event("InstanceUpdated", { id: "i-1" })),
    DeliveryError,
  );
  assertEquals(error.message, 'Delivering InstanceUpdated of instance "i-1": timed-out');
  assertEquals(cancelled, 1);
});

Deno.test("a handler that fails after its attempt timed out is no unhandled rejection", async () => {
  const late = gate();
  await using mstudio = await create(async () => {
    await late.opened;
    throw new Error("too late");
  }, { attemptTimeoutMs: 10, maxAttempts: 1 });
  const error = await assertRejects(() => mstudio.addInstance(), DeliveryError);
  assertEquals(error.code, "ERR_GAVE_UP");
  late.open();
  await new Promise((resolve) => setTimeout(resolve, 0));
});

Deno.test("with maxAttempts it gives up, says why without the secret, and goes on with the next", async () => {
  const secret = "S3CRET";
  const answers = [
    () => Response.json({ code: "ERR_STORAGE_FAILED", message: secret }, { status: 500 }),
    () => Response.json({ code: `leak ${secret}` }, { status: 500 }),
    () => new Response(secret, { status: 502 }),
    () => new Response(),
  ];
  await using mstudio = await create(() => answers.shift()!(), { maxAttempts: 3 });
  const instance = mstudio.instance({ id: "i-1", secret });
  const added = instance.add();
  const updated = instance.update();
  const error = await assertRejects(() => added, DeliveryError);
  assertEquals(error.code, "ERR_GAVE_UP");
  assertEquals(
    error.message,
    'Delivering ExtensionAddedToContext of instance "i-1": 3 of 3 attempts failed: ' +
      "500 ERR_STORAGE_FAILED, 500, 502",
  );
  assertFalse(Deno.inspect(error).includes(secret));
  assert((await updated).ok);
});

Deno.test("the error of many attempts lists the latest", async () => {
  let calls = 0;
  await using mstudio = await create(() => new Response(null, { status: 500 + calls++ }), {
    maxAttempts: 8,
  });
  const error = await assertRejects(() => mstudio.addInstance({ id: "i-1" }), DeliveryError);
  assertEquals(
    error.message,
    'Delivering ExtensionAddedToContext of instance "i-1": 8 of 8 attempts failed: …, 503, 504, 505, 506, 507',
  );
});

Deno.test("single attempts can overlap, of one instance too", async () => {
  let waiting = 0;
  const both = gate();
  await using mstudio = await create(async () => {
    if (++waiting === 2) both.open();
    await both.opened;
    return new Response();
  });
  const event = mstudio.event("SecretRotated");
  const responses = await Promise.all([mstudio.deliverOnce(event), mstudio.deliverOnce(event)]);
  assertEquals(responses.map(({ status }) => status), [200, 200]);
});

Deno.test("idle with nothing queued resolves", async () => {
  await using mstudio = await create(() => new Response());
  await mstudio.idle();
  assertEquals(mstudio.deliveries, []);
});

Deno.test("options out of range are refused", async () => {
  const target = () => new Response();
  for (
    const options of [
      { attemptTimeoutMs: -1 },
      { attemptTimeoutMs: Infinity },
      { maxAttempts: 0 },
      { maxAttempts: NaN },
      { backoff: { initialMs: -1 } },
      { backoff: { maxMs: 2 ** 31 } },
    ]
  ) {
    await assertRejects(() => create(target, options), RangeError, "Setting the option");
  }
  for (const wrong of ["/webhooks", "ftp://extension.example", "", undefined, null, 1]) {
    await assertRejects(() => create(wrong as string), TypeError, "Setting the target");
  }
  await assertRejects(
    () => create("https://extension.example", { url: "https://extension.example" }),
    TypeError,
    "the target is a URL itself",
  );
});

Deno.test("neither the simulator, an instance nor the log shows a secret when inspected", async () => {
  await using mstudio = await create(() => new Response());
  const instance = await mstudio.addInstance({ secret: "S3CRET" });
  const shown = Deno.inspect([mstudio, instance, mstudio.deliveries], { depth: 20 }) +
    JSON.stringify([mstudio, instance, mstudio.deliveries]);
  assertFalse(shown.includes("S3CRET"));
});
