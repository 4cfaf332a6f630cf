import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { drizzle } from "drizzle-orm/postgres-js";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  createWebhookHandler,
  PgExtensionStorage,
  StorageError,
} from "../../mod.ts";
import type { SimulatedInstance } from "../../testing/mod.ts";
import { extensionInstances, lastEvents } from "../support/extension_instance.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { EXTENSION_ID, hurried, setUp, takes } from "./support.ts";

type World = Awaited<ReturnType<typeof setUp>>;

const test = (name: string, run: () => Promise<void>) =>
  Deno.test(`repair: ${name}`, () => hurried(50, run));

const down = () => new Response(null, { status: 500 });

/** Asserts that both sides are equal and mittwald issues a token for every secret. */
async function assertRepaired(world: World): Promise<void> {
  const { equal, counts, ...found } = await world.compare({ checkSecrets: true });
  assertEquals([equal, counts.stored], [true, counts.mstudio], JSON.stringify(found));
}

/** Creates every kind of difference. */
async function spoil(world: World, count = 10): Promise<SimulatedInstance[]> {
  const { sql, serve } = world;
  const [gone, changed, secretless, unreadable, refused, ...others] = await world.addInstances(
    count,
  );
  serve(takes);
  const missing = await world.addInstances(2);
  await gone!.remove();
  await changed!.update({ enabled: false, consentedScopes: ["x"], variantKey: "other" });
  await refused!.rotateSecret();
  await sql`UPDATE extension_instance SET secret = NULL WHERE id = ${secretless!.id}`;
  const another = await buildEncryptionKey("another", "salt").encrypt("x");
  await sql`UPDATE extension_instance SET secret = ${another} WHERE id = ${unreadable!.id}`;
  serve();
  return [...missing, changed!, secretless!, unreadable!, refused!, ...others];
}

test("every kind of difference is repaired while the application runs", async () => {
  await using world = await setUp();
  const instances = await spoil(world);
  const found = await world.compare({ checkSecrets: true });
  const report = await world.repair(found);
  assertEquals(report, {
    inserted: 2,
    updated: 1,
    removed: 1,
    rotated: 5,
    left: [],
    failed: [],
    aborted: false,
  });
  await assertRepaired(world);
  for (const { id, secret } of instances) {
    assertEquals((await world.storage.getExtension(id))?.secret, secret);
  }
  // The application stored the secrets itself, each from a signed event.
  const events = await world.sql`SELECT kind, count(*)::int AS count
    FROM extension_instance_last_event WHERE kind = 'SecretRotated' GROUP BY kind`;
  assertEquals([...events], [{ kind: "SecretRotated", count: 5 }]);
  // A second run has nothing to do, with the old report or a new one.
  const idle = { ...report, inserted: 0, updated: 0, removed: 0, rotated: 0 };
  world.asked.length = 0;
  assertEquals(await world.repair(found), idle);
  assertEquals(await world.repair(await world.compare({ checkSecrets: true })), idle);
  assert(!world.asked.some((request) => request.startsWith("PUT")));
});

test("without an answering application, secrets are stored from the API's answers", async () => {
  await using world = await setUp();
  await spoil(world);
  world.serve(down);
  const report = await world.repair(await world.compare({ checkSecrets: true }));
  assertEquals([report.rotated, report.failed, report.left], [5, [], []]);
  world.serve();
  await assertRepaired(world);
});

test("an empty table becomes complete, with 1,000 instances", async () => {
  await using world = await setUp();
  await world.addInstances(1_000);
  const before = await world.rows();
  await world.sql`TRUNCATE extension_instance, extension_instance_last_event`;
  const found = await hurried(4, () => world.compare());
  const { inserted, rotated, left, failed } = await hurried(4, () => world.repair(found));
  assertEquals([inserted, rotated, left, failed], [1_000, 1_000, [], []]);
  assertEquals(await world.rows(), before);
  await assertRepaired(world);
});

test("what the application stores in the meantime is never undone", async () => {
  await using world = await setUp();
  const [instance] = await world.addInstances(1) as [SimulatedInstance];
  await world.sql`UPDATE extension_instance SET variant_key = 'spoilt'`;
  const found = await world.compare();
  let changes = 0;
  // While mStudio's answer is in flight, the application stores something newer.
  world.fail(async (request, answer) => {
    if (!request.url.endsWith(instance.id) || changes === 2) return;
    const response = await answer();
    await instance.update({ variantKey: `newer ${++changes}` });
    return response;
  });
  const { updated, left } = await world.repair(found);
  assertEquals([changes, updated, left], [2, 0, []]);
  assertEquals((await world.storage.getInstance(instance.id))?.variantKey, "newer 2");
});

test("an instance removed in the meantime is not restored", async () => {
  await using world = await setUp();
  world.serve(takes);
  const [missing, unsecret] = await world.addInstances(2) as [SimulatedInstance, SimulatedInstance];
  world.serve();
  const found = await world.compare();
  world.afterFirst(missing.id, () => missing.remove());
  const first = await world.repair(found);
  assertEquals([first.inserted, first.rotated], [1, 1]);
  // And an instance removed between the repair of its state and of its secret.
  await world.sql`UPDATE extension_instance SET secret = NULL`;
  const secretless = await world.compare();
  world.afterFirst(unsecret.id, () => unsecret.remove());
  const second = await world.repair(secretless);
  assertEquals(second.rotated, 0);
  assertEquals(await world.rows(), []);
  assertEquals(await world.repair(found), { ...first, inserted: 0, rotated: 0 });
});

test("a secret that the application stores in the meantime stays", async () => {
  await using world = await setUp();
  const [one, two] = await world.addInstances(2) as [SimulatedInstance, SimulatedInstance];
  await world.sql`UPDATE extension_instance SET secret = NULL`;
  const found = await world.compare();
  await one.rotateSecret();
  // A newer secret arrives between the API's answer and its storing.
  world.fail(async (request, answer) => {
    if (request.method !== "PUT") return;
    world.serve(down);
    const response = await answer();
    world.serve();
    await two.rotateSecret();
    return response;
  });
  const { rotated } = await world.repair(found);
  assertEquals(rotated, 1);
  for (const { id, secret } of [one, two]) {
    assertEquals((await world.storage.getExtension(id))?.secret, secret);
  }
  await assertRepaired(world);
});

test("earlier events are refused afterwards, and nothing restores a removed instance", async () => {
  await using world = await setUp();
  // mStudio's clock is some minutes past the last delivery, so no delivery is in flight.
  world.fail(async (_, answer) => {
    const response = await answer();
    response.headers.set("date", new Date(Date.now() + 120_000).toUTCString());
    return response;
  });
  const [changed, gone] = await world.addInstances(2) as [SimulatedInstance, SimulatedInstance];
  const backup = await world.sql`SELECT * FROM extension_instance_last_event`;
  await changed.update({ variantKey: "old" });
  const recorded = world.mstudio.deliveries.at(-1)!;
  world.serve(takes);
  await changed.update({ variantKey: "new" });
  await gone.remove();
  world.serve();
  // Restored from a backup.
  await world.sql`TRUNCATE extension_instance_last_event`;
  for (const row of backup) {
    await world.sql`INSERT INTO extension_instance_last_event ${world.sql(row)}`;
  }
  await world.repair(await world.compare());
  assertEquals((await world.mstudio.replay(recorded)).status, 409);
  const added = world.mstudio.deliveries.find(({ instanceId }) => instanceId === gone.id)!;
  assertEquals((await world.mstudio.replay(added)).status, 409);
  assertEquals((await world.rows()).map(({ variant_key }) => variant_key), ["new"]);
  await assertRepaired(world);
});

test("an instance with a pending delivery gets no secret, and none of its events is refused", async () => {
  await using world = await setUp({ backoff: { initialMs: 300, maxMs: 300 } });
  const [instance] = await world.addInstances(1) as [SimulatedInstance];
  await world.sql`UPDATE extension_instance SET secret = NULL, active = false`;
  world.serve(down);
  const rotated = instance.rotateSecret();
  await poll(() => world.mstudio.deliveries.length === 2);
  const { updated, left } = await world.repair(await world.compare());
  assertEquals([updated, left], [1, [{
    id: instance.id,
    reason: "mStudio is about to deliver to it",
  }]]);
  world.serve();
  await rotated;
  await assertRepaired(world);
});

test("webhooks to another database: only secrets that they accept are replaced", async () => {
  await using world = await setUp();
  await using copy = await setUp();
  await world.addInstances(4);
  // A copy of the table for another purpose, without secrets.
  for (const row of await world.sql`SELECT * FROM extension_instance`) {
    await copy.sql`INSERT INTO extension_instance ${copy.sql({ ...row, secret: null })}`;
  }
  const found = await world.compare({ storage: copy.storage });
  // The application goes down after the first rotation.
  world.afterFirst("PUT", () => world.serve(down));
  const { rotated, failed } = await world.repair(found, { storage: copy.storage });
  assertEquals([rotated, failed.length], [1, 3]);
  for (const { reason } of failed) assertStringIncludes(reason, "mStudio rotated no secret");
  world.serve();
  // The application lost nothing.
  await assertRepaired(world);
});

test("an application with another key: no more secrets are replaced, and its own stay", async () => {
  await using world = await setUp();
  await world.addInstances(6);
  const otherKey = buildEncryptionKey("what is really used", "salt");
  const table = buildExtensionInstanceTable(buildEncryptedTextColumn(otherKey));
  const theirs = new PgExtensionStorage(drizzle(world.sql), table, { lastEvents });
  const { publicKeys } = world.mstudio;
  world.serve(createWebhookHandler({ storage: theirs, extensionId: EXTENSION_ID, publicKeys }));
  await world.sql`UPDATE extension_instance SET secret = NULL`;
  const { rotated, failed, left } = await world.repair(await world.compare());
  assertEquals([rotated, failed.length, left.length], [0, 1, 5]);
  assertStringIncludes(failed[0]!.reason, "cannot be read with the available keys");
  for (const { id } of failed) assert((await theirs.getExtension(id))?.secret);
});

test("handlers are called once for each change", async () => {
  const calls: string[] = [];
  const note = (name: string) => ({ instance }: { instance: { id: string } }) =>
    void calls.push(`${name} ${instance.id}`);
  await using world = await setUp({
    on: {
      added: note("added"),
      updated: note("updated"),
      removed: note("removed"),
      secretRotated: note("secretRotated"),
    },
  });
  const [gone, changed] = await world.addInstances(2) as [SimulatedInstance, SimulatedInstance];
  world.serve(takes);
  const [missing] = await world.addInstances(1) as [SimulatedInstance];
  await gone.remove();
  await changed.update({ enabled: false });
  world.serve();
  calls.length = 0;
  await world.repair(await world.compare());
  assertEquals(
    calls.sort(),
    [
      `added ${missing.id}`,
      `removed ${gone.id}`,
      `secretRotated ${missing.id}`,
      `updated ${changed.id}`,
    ].sort(),
  );
});

test("at most two rotations a second", async () => {
  await using world = await setUp();
  await world.addInstances(12);
  await world.sql`UPDATE extension_instance SET secret = NULL`;
  const at: number[] = [];
  world.fail((request) => void (request.method === "PUT" && at.push(performance.now() * 4)));
  await hurried(1 / 50 * 4, async () => await world.repair(await world.compare()));
  assertEquals(at.length, 12);
  // The time between a start and its request varies by some milliseconds.
  for (let index = 2; index < at.length; index++) {
    assert(at[index]! - at[index - 2]! > 900, at.join());
  }
});

test("a failure of one instance does not keep others from being repaired", async () => {
  await using world = await setUp();
  const instances = await world.addInstances(6);
  const [stubborn] = instances as [SimulatedInstance];
  await world.sql`UPDATE extension_instance SET active = false`;
  await world.sql.unsafe(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON extension_instance
      FOR EACH ROW WHEN (OLD.id = '${stubborn.id}') EXECUTE FUNCTION refuse()`);
  const { updated, failed } = await world.repair(await world.compare());
  assertEquals([updated, failed.map(({ id }) => id)], [5, [stubborn.id]]);
  await world.sql`DROP TRIGGER refuse ON extension_instance`;
  assertEquals((await world.repair(await world.compare())).updated, 1);
  await assertRepaired(world);
});

test("an unreachable database ends it", async () => {
  await using world = await setUp();
  await world.addInstances(30);
  await world.sql`UPDATE extension_instance SET active = false`;
  const found = await world.compare();
  await world.sql`ALTER TABLE extension_instance RENAME TO elsewhere`;
  await assertRejects(() => world.repair(found), StorageError);
});

test("an API that stops answering ends it; a second run finishes", async () => {
  await using world = await setUp();
  await spoil(world, 20);
  const found = await world.compare({ checkSecrets: true });
  let requests = 0;
  world.fail(() => ++requests > 6 ? new Response(null, { status: 500 }) : undefined);
  await assertRejects(() => world.repair(found), Error, "the API answered with status 500");
  world.fail();
  await world.repair(found);
  await assertRepaired(world);
});

test("the signal ends it between two steps; a second run finishes", async () => {
  await using world = await setUp();
  await spoil(world);
  const found = await world.compare({ checkSecrets: true });
  for (const last of [1, 4, 7, 10]) {
    const ending = new AbortController();
    let requests = 0;
    world.fail(() => void (++requests === last && ending.abort()));
    const { aborted } = await world.repair(found, { signal: ending.signal });
    assertEquals(aborted, true);
  }
  world.fail();
  assertEquals((await world.repair(found)).aborted, false);
  await assertRepaired(world);
});

test("a rotation in flight is stored before the signal ends it", async () => {
  await using world = await setUp();
  const [instance] = await world.addInstances(1) as [SimulatedInstance];
  await world.sql`UPDATE extension_instance SET secret = NULL`;
  const found = await world.compare();
  world.serve(down);
  const ending = new AbortController();
  world.afterFirst("PUT", () => ending.abort());
  const { rotated, aborted } = await world.repair(found, { signal: ending.signal });
  assertEquals([rotated, aborted], [1, true]);
  assertEquals((await world.storage.getExtension(instance.id))?.secret, instance.secret);
});

test("progress is reported up to the end", async () => {
  await using world = await setUp();
  await spoil(world);
  const last: Record<string, string> = {};
  await world.repair(await world.compare({ checkSecrets: true }), {
    onProgress: ({ step, done, total }) => last[step] = `${done} of ${total}`,
  });
  assertEquals(last, { state: "4 of 4", secrets: "5 of 5" });
});

test("a storage without order, and invalid options", async () => {
  await using world = await setUp();
  const found = await world.compare();
  const storage = new PgExtensionStorage(drizzle(world.sql), extensionInstances);
  await assertRejects(() => world.repair(found, { storage }), TypeError, "lastEvents");
  await assertRejects(() => world.repair(found, { force: true } as object), TypeError, "force");
  await assertRejects(() => world.repair({} as typeof found), TypeError, "extensionId");
});
