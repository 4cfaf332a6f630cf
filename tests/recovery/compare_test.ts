import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { buildEncryptionKey } from "../../mod.ts";
import { type ComparedState, CompareError } from "../../recovery/mod.ts";
import { PgExtensionStorage } from "../../pg/mod.ts";
import type { SimulatedInstance } from "../../testing/mod.ts";
import { extensionInstances } from "../support/extension_instance.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { clock } from "../../recovery/internal/waiting.ts";
import { type Fault, hurried, setUp, takes } from "./support.ts";

const test = (name: string, run: () => Promise<void>) =>
  Deno.test(`compare: ${name}`, () => hurried(50, run));

const ids = (found: readonly { readonly id: string }[]) => found.map(({ id }) => id);

const stateOf = (instance: SimulatedInstance): ComparedState => ({
  contextId: instance.context.id,
  context: instance.context.kind,
  active: instance.enabled,
  variantKey: instance.variantKey ?? null,
  consentedScopes: instance.consentedScopes,
});

test("nothing to do, with one page and with several", async () => {
  await using world = await setUp();
  for (const count of [0, 3, 250]) {
    await world.addInstances(count - world.mstudio.deliveries.length);
    const found = await world.compare({ checkSecrets: true });
    const { counts, equal, missing, gone, different, unusableSecrets, deliveries } = found;
    assertEquals([equal, counts], [true, { mstudio: count, stored: count }]);
    assertEquals([missing, gone, different, unusableSecrets], [[], [], [], []]);
    assertEquals(deliveries, { pending: [], halted: [] });
  }
});

test("a table of several batches: each row counts once", async () => {
  await using world = await setUp();
  await world.addInstances(1);
  await world.sql`INSERT INTO extension_instance (id, "contextId", active, consented_scopes)
    SELECT 'gone-' || number, 'p', true, '{}' FROM generate_series(1001, 2001) number`;
  const { counts, gone, missing } = await world.compare();
  assertEquals([counts, missing], [{ mstudio: 1, stored: 1_002 }, []]);
  assertEquals(ids(gone), Array.from({ length: 1_001 }, (_, index) => `gone-${1_001 + index}`));
});

test("every kind of difference, with both states, and nothing else", async () => {
  await using world = await setUp({ maxAttempts: 2 });
  const { sql, serve } = world;
  const [same, gone, off, variant, scopes, moved, secretless, unreadable, refused] = await world
    .addInstances(9) as [SimulatedInstance, ...SimulatedInstance[]];
  await same.update({ consentedScopes: ["a", "b"] });
  await sql`UPDATE extension_instance SET consented_scopes = '{b,a,b}' WHERE id = ${same.id}`;
  // Accepted by the application, but not stored.
  serve(takes);
  const [missing] = await world.addInstances(1) as [SimulatedInstance];
  const goneState = stateOf(gone!);
  await gone!.remove();
  await off!.update({ enabled: false });
  await variant!.update({ variantKey: "basic" });
  await scopes!.update({ consentedScopes: [...scopes!.consentedScopes, "more"] });
  await refused!.rotateSecret();
  await sql`UPDATE extension_instance SET context = 'customer', "contextId" = 'c' WHERE id = ${
    moved!.id
  }`;
  await sql`UPDATE extension_instance SET secret = NULL WHERE id = ${secretless!.id}`;
  const another = await buildEncryptionKey("another", "salt").encrypt("x");
  await sql`UPDATE extension_instance SET secret = ${another} WHERE id = ${unreadable!.id}`;
  // Never accepted.
  serve(() => new Response(null, { status: 500 }));
  await assertRejects(() => same.update({ consentedScopes: ["b", "a"] }));
  serve();
  const before = await world.rows();

  const found = await world.compare({ checkSecrets: true });
  assertEquals(found.equal, false);
  assertEquals(found.counts, { mstudio: 9, stored: 9 });
  assertEquals(found.missing, [{ id: missing.id, mstudio: stateOf(missing) }]);
  assertEquals(found.gone, [{ id: gone!.id, stored: goneState }]);
  const changed = [off!, variant!, scopes!, moved!].sort((a, b) => a.id < b.id ? -1 : 1);
  assertEquals(ids(found.different), ids(changed));
  for (const [index, instance] of changed.entries()) {
    const { mstudio, stored } = found.different[index]!;
    assertEquals(mstudio, stateOf(instance));
    assert(JSON.stringify(stored) !== JSON.stringify(mstudio));
  }
  const reasons = Object.fromEntries(found.unusableSecrets.map(({ id, reason }) => [id, reason]));
  assertEquals(reasons, {
    [secretless!.id]: "missing",
    [unreadable!.id]: "unreadable",
    [refused!.id]: "refused",
  });
  assertEquals(found.deliveries.pending, []);
  assertEquals(found.deliveries.halted.map(({ instanceId, kind }) => [instanceId, kind]), [
    [same.id, "instanceUpdated"],
  ]);
  // Nothing was changed, and the report contains no secret.
  assertEquals(await world.rows(), before);
  const told = JSON.stringify(found);
  for (const { secret } of [same, refused!, unreadable!]) assert(!told.includes(secret));
  assertEquals((await world.compare()).unusableSecrets.length, 2);
});

test("secrets are checked of instances that are enabled in mStudio, not of disabled ones", async () => {
  await using world = await setUp();
  const [enabled, disabled] = await world.addInstances(2) as [SimulatedInstance, SimulatedInstance];
  await enabled.update({ enabled: false });
  world.serve(takes);
  await enabled.update({ enabled: true });
  await disabled.update({ enabled: false });
  await enabled.rotateSecret();
  await disabled.rotateSecret();
  world.serve();
  const { unusableSecrets } = await world.compare({ checkSecrets: true });
  assertEquals(unusableSecrets, [{ id: enabled.id, reason: "refused" }]);
});

test("a retried delivery is pending, and its difference is reported", async () => {
  await using world = await setUp({ backoff: { initialMs: 60_000, maxMs: 60_000 } });
  const [instance] = await world.addInstances(1) as [SimulatedInstance];
  world.serve(() => new Response(null, { status: 503 }));
  const updated = instance.update({ enabled: false });
  const added = world.mstudio.instance().add();
  await poll(() => world.mstudio.deliveries.length === 3);
  const { missing, different, deliveries } = await world.compare();
  // An instance whose delivery is pending is not missing yet.
  assertEquals([missing, ids(different)], [[], [instance.id]]);
  assertEquals(
    deliveries.pending.map(({ kind, attempts, nextAt }) => [kind, attempts, typeof nextAt]).sort(),
    [["extensionAddedToContext", 1, "string"], ["instanceUpdated", 1, "string"]],
  );
  assertEquals(deliveries.halted, []);
  await Promise.all([world.mstudio.close(), updated.catch(() => {}), added.catch(() => {})]);
});

test("many differences of one page are checked by fetching the page again", async () => {
  await using world = await setUp();
  await world.addInstances(120);
  await world.sql`UPDATE extension_instance SET active = false`;
  world.asked.length = 0;
  const { different } = await world.compare();
  assertEquals(different.length, 120);
  assert(world.asked.length < 20, world.asked.join());
});

test("changes in the meantime are not differences", async () => {
  await using world = await setUp();
  const instances = await world.addInstances(30);
  // While a page is in flight, everything possible happens.
  world.afterFirst("/extension-instances?", async () => {
    const [updated, rotated, removed] = instances as [SimulatedInstance, ...SimulatedInstance[]];
    await updated.update({ enabled: false });
    await rotated!.rotateSecret();
    await removed!.remove();
    await world.addInstances(12);
  });
  const found = await world.compare({ checkSecrets: true });
  assertEquals([found.equal, found.different, found.gone], [true, [], []]);
});

test("a delivery that arrives while it waits repairs its difference", async () => {
  await using world = await setUp();
  const [instance] = await world.addInstances(1) as [SimulatedInstance];
  const { promise: waits, resolve: wait } = Promise.withResolvers<void>();
  world.serve(async (request) => {
    await waits;
    world.serve();
    return await world.handle(request);
  });
  const updated = instance.update({ variantKey: "other" });
  const { setTimeout } = clock;
  clock.setTimeout = (run, ms) => {
    wait();
    void updated.then(() => setTimeout(run, ms));
    return setTimeout(() => {}, 0);
  };
  try {
    assertEquals((await world.compare()).different, []);
  } finally {
    clock.setTimeout = setTimeout;
    wait();
    await updated;
  }
});

test("removing an instance between two pages hides no other one", async () => {
  await using world = await setUp();
  const instances = await world.addInstances(300);
  world.serve(takes);
  const [unknown] = await world.addInstances(1) as [SimulatedInstance];
  world.serve();
  for (const removals of [1, 2, 3]) {
    let pages = 0;
    world.fail(async (request, answer) => {
      if (!request.url.includes("/extension-instances?")) return;
      const response = await answer();
      if (++pages === 1) {
        for (let count = 0; count < removals; count++) await instances.shift()!.remove();
      }
      return response;
    });
    assertEquals(ids((await world.compare()).missing), [unknown.id]);
  }
});

test("an API that returns fewer per page than requested", async () => {
  await using world = await setUp();
  await world.addInstances(75);
  world.fail(async (request) => {
    const url = new URL(request.url);
    if (url.pathname !== "/v2/extension-instances") return;
    url.searchParams.set("limit", "20");
    return await world.mstudio.api(new Request(url, request));
  });
  const { equal, counts } = await world.compare();
  assertEquals([equal, counts.mstudio], [true, 75]);
});

test("at most four concurrent requests", async () => {
  await using world = await setUp();
  await world.addInstances(300);
  let [now, most] = [0, 0];
  world.fail(async (_, answer) => {
    most = Math.max(most, ++now);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const response = await answer();
    now--;
    return response;
  });
  await world.compare({ checkSecrets: true });
  assertEquals(most, 4);
});

test("overload, errors, slowness and broken connections are retried", async () => {
  await using world = await setUp();
  await world.addInstances(450);
  world.serve(takes);
  const [unknown] = await world.addInstances(1) as [SimulatedInstance];
  const faults: (() => Response | Promise<never>)[] = [
    () => new Response(null, { status: 429, headers: { "retry-after": "1" } }),
    () => new Response(null, { status: 429, headers: { "retry-after": "0" } }),
    () => new Response(null, { status: 500 }),
    () => new Response(null, { status: 503, headers: { "retry-after": "1" } }),
    () => Promise.reject(new TypeError("connection reset")),
    () => new Response(new ReadableStream({ pull: (c) => c.error(new Error("broke off")) })),
  ];
  let [requests, failures] = [0, 0];
  world.fail(() => {
    if (++requests % 2 !== 0) return;
    return faults[failures++ % faults.length]!();
  });
  const { missing } = await world.compare();
  assertEquals(ids(missing), [unknown.id]);
  assert(failures > faults.length, `${failures}`);
});

test("Retry-After is waited for", async () => {
  await using world = await setUp();
  await world.addInstances(1);
  const at: number[] = [];
  world.fail(() => {
    at.push(performance.now());
    return at.length > 1
      ? undefined
      : new Response(null, { status: 429, headers: { "retry-after": "3" } });
  });
  await world.compare();
  assert(at[1]! - at[0]! >= 3_000, at.join());
});

const list = (body: unknown, headers: Record<string, string> = {}): Fault => (request) =>
  request.url.includes("/extension-instances?")
    ? new Response(JSON.stringify(body), { headers })
    : undefined;
const of = (changes: object): Fault => async (request, answer) => {
  if (!request.url.includes("/extension-instances?")) return;
  const instances = await (await answer()).json();
  return Response.json(instances.map((instance: object) => ({ ...instance, ...changes })));
};
const status = (status: number, of = ""): Fault => (request) =>
  request.url.includes(of) ? new Response(null, { status }) : undefined;
const unusable: Record<string, [fault: Fault, code: string, found: string]> = {
  "down": [
    () => Promise.reject(new TypeError("refused")),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API could not be reached",
  ],
  "broken for long": [status(500), "ERR_MSTUDIO_UNAVAILABLE", "the API answered with status 500"],
  "never ready": [
    status(429),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API asked for pauses of more than",
  ],
  "a page of HTML": [
    () => new Response("<html>Welcome</html>"),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API's answer is not a list of instances",
  ],
  "not a list": [
    list({ instances: [] }),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API's answer is not a list of instances",
  ],
  "an instance without a context": [
    of({ aggregateReference: undefined }),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API's answer is not a list of instances",
  ],
  "an unknown context": [
    of({ aggregateReference: { id: "x", aggregate: "server" } }),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API's answer is not a list of instances",
  ],
  "scopes that are not a list": [
    of({ consentedScopes: "all" }),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API's answer is not a list of instances",
  ],
  "characters that no database stores": [
    of({ variantKey: "\0" }),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API's answer is not a list of instances",
  ],
  "instances of all extensions": [
    of({ extensionId: "another" }),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API lists instances of other extensions",
  ],
  "fewer than its total": [
    list([], { "x-pagination-totalcount": "7" }),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API lists 0 of 7 instances",
  ],
  "a moved address": [
    status(301),
    "ERR_MSTUDIO_UNAVAILABLE",
    "the API answered with status 301",
  ],
  "an invalid token": [
    status(401),
    "ERR_API_TOKEN_REFUSED",
    "the API answered with status 401, the API token is invalid",
  ],
  "a token that may not list": [
    status(403, "/extension-instances?"),
    "ERR_API_TOKEN_REFUSED",
    "status 403, the API token does not belong to the extension's contributor",
  ],
  // Another token sees few instances or none, so everything in the table would look as if it was
  // gone.
  "a token that sees nothing": [
    (request) =>
      request.url.includes("/extension-instances?")
        ? Response.json([])
        : request.url.includes("/webhook-executions")
        ? new Response(null, { status: 403 })
        : undefined,
    "ERR_API_TOKEN_REFUSED",
    "status 403, the API token does not belong to the extension's contributor",
  ],
  "an unknown contributor": [
    status(404, "/webhook-executions"),
    "ERR_API_TOKEN_REFUSED",
    "status 404, the API token does not belong to the extension's contributor",
  ],
};
for (const [what, [fault, code, found]] of Object.entries(unusable)) {
  test(`an unusable API: ${what}`, async () => {
    await using world = await setUp();
    await world.addInstances(2);
    const before = await world.rows();
    world.fail(fault);
    const error = await assertRejects(() => world.compare(), CompareError);
    assertEquals(error.code, code);
    assertStringIncludes(error.message, `Comparing with mStudio: `);
    assertStringIncludes(error.message, found);
    assert(!error.message.includes(world.mstudio.apiToken));
    assertEquals(await world.rows(), before);
    assert(!world.asked.some((request) => request.startsWith("PUT")));
  });
}

test("an extension that mStudio does not have, or a table of another one", async () => {
  await using world = await setUp();
  const unknown = await assertRejects(
    () => world.compare({ extensionId: "another" }),
    CompareError,
    "mStudio has no extension with this id",
  );
  assertEquals(unknown.code, "ERR_WRONG_EXTENSION");
  await using other = await setUp({
    extensionId: "another",
    contributorId: world.mstudio.contributorId,
  });
  // The contributor has both: the list is of one extension, the table of the other.
  const [{ id }] = await world.addInstances(1) as [SimulatedInstance];
  other.serve(takes);
  await other.addInstances(2);
  other.fail((request) =>
    request.url.endsWith(id)
      ? world.mstudio.api(
        new Request(request.url, { headers: { "x-access-token": world.mstudio.apiToken } }),
      )
      : undefined
  );
  const wrong = await assertRejects(
    () => other.compare({ storage: world.storage, extensionId: "another" }),
    CompareError,
    `instance "${id}" in the table belongs to another extension`,
  );
  assertEquals(wrong.code, "ERR_WRONG_EXTENSION");
});

test("the signal aborts it at any request, with its reason", async () => {
  await using world = await setUp();
  await world.addInstances(150);
  await world.sql`DELETE FROM extension_instance WHERE id < '8'`;
  await world.compare();
  // Towards the end, the signal would come too late.
  const needed = world.asked.length - 2;
  for (let last = 1; last <= needed; last++) {
    const ending = new AbortController();
    let requests = 0;
    world.fail(() => {
      if (++requests === last) ending.abort(new Error("enough"));
      return undefined;
    });
    await assertRejects(() => world.compare({ signal: ending.signal }), Error, "enough");
  }
  // Also during a pause.
  const ending = new AbortController();
  world.fail(() => {
    setTimeout(() => ending.abort(new Error("enough")), 1_000);
    return new Response(null, { status: 429, headers: { "retry-after": "600" } });
  });
  await assertRejects(() => world.compare({ signal: ending.signal }), Error, "enough");
});

test("progress is reported up to the end", async () => {
  await using world = await setUp();
  await world.addInstances(230);
  await world.sql`UPDATE extension_instance SET active = false WHERE id < '8'`;
  const last: Record<string, string> = {};
  const { different } = await world.compare({
    onProgress: ({ step, done, total }) => {
      assert(done <= total);
      last[step] = `${done} of ${total}`;
    },
  });
  assertEquals(last, {
    instances: "230 of 230",
    table: "230 of 230",
    differences: `${different.length} of ${different.length}`,
  });
});

test("a storage without a table of last events can be compared", async () => {
  await using world = await setUp();
  await world.addInstances(2);
  await world.sql`DROP TABLE extension_instance_last_event`;
  const { drizzle } = await import("drizzle-orm/postgres-js");
  const storage = new PgExtensionStorage(drizzle(world.sql), extensionInstances);
  assertEquals((await world.compare({ storage })).equal, true);
});

test("invalid options", async () => {
  await using world = await setUp();
  const wrong: Record<string, object> = {
    "storage": { storage: {} },
    "extensionId": { extensionId: "" },
    "apiToken": { apiToken: "two words" },
    "checkSecrets": { checkSecrets: "yes" },
    "apiUrl": { apiUrl: "ftp://x" },
    "fetch": { fetch: 1 },
    "signal": { signal: {} },
    "onProgress": { onProgress: 1 },
    "timeout": { timeout: 1 },
  };
  for (const [name, options] of Object.entries(wrong)) {
    await assertRejects(() => world.compare(options), TypeError, name);
  }
});
