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

/** Both sides are the same, and mittwald hands out a token for every secret. */
async function assertMended(world: World): Promise<void> {
  const { equal, counts, ...found } = await world.compare({ checkSecrets: true });
  assertEquals([equal, counts.stored], [true, counts.mstudio], JSON.stringify(found));
}

/** Instances in every state that a table can have lost its order in. */
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

test("every kind of difference is mended while the application runs", async () => {
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
  await assertMended(world);
  for (const { id, secret } of instances) {
    assertEquals((await world.storage.getExtension(id))?.secret, secret);
  }
  // The application has stored the secrets itself, each as a signed event.
  const events = await world.sql`SELECT kind, count(*)::int AS count
    FROM extension_instance_last_event WHERE kind = 'SecretRotated' GROUP BY kind`;
  assertEquals([...events], [{ kind: "SecretRotated", count: 5 }]);
  // Again, there is nothing left to do: neither with the old report nor with a new one.
  const idle = { ...report, inserted: 0, updated: 0, removed: 0, rotated: 0 };
  world.asked.length = 0;
  assertEquals(await world.repair(found), idle);
  assertEquals(await world.repair(await world.compare({ checkSecrets: true })), idle);
  assert(!world.asked.some((request) => request.startsWith("PUT")));
});

test("where no application answers, secrets are stored from the API's answers", async () => {
  await using world = await setUp();
  await spoil(world);
  world.serve(down);
  const report = await world.repair(await world.compare({ checkSecrets: true }));
  assertEquals([report.rotated, report.failed, report.left], [5, [], []]);
  world.serve();
  await assertMended(world);
});

test("from an empty table to a complete one with 1,000 instances", async () => {
  await using world = await setUp();
  await world.addInstances(1_000);
  const before = await world.rows();
  await world.sql`TRUNCATE extension_instance, extension_instance_last_event`;
  const found = await hurried(4, () => world.compare());
  const { inserted, rotated, left, failed } = await hurried(4, () => world.repair(found));
  assertEquals([inserted, rotated, left, failed], [1_000, 1_000, [], []]);
  assertEquals(await world.rows(), before);
  await assertMended(world);
});

test("a signed state is newer than what the application stores in the meantime: never undone", async () => {
  await using world = await setUp();
  const [instance] = await world.addInstances(1) as [SimulatedInstance];
  await world.sql`UPDATE extension_instance SET variant_key = 'spoilt'`;
  const found = await world.compare();
  let changes = 0;
  // mStudio's answer is on its way while the application stores something newer.
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

test("an instance that is removed in the meantime is not brought back", async () => {
  await using world = await setUp();
  world.serve(takes);
  const [missing, unsecret] = await world.addInstances(2) as [SimulatedInstance, SimulatedInstance];
  world.serve();
  const found = await world.compare();
  world.fail(async (request, answer) => {
    if (!request.url.endsWith(missing.id)) return;
    world.fail();
    const response = await answer();
    await missing.remove();
    return response;
  });
  const first = await world.repair(found);
  assertEquals([first.inserted, first.rotated], [1, 1]);
  // And one that is removed between its state and its secret.
  await world.sql`UPDATE extension_instance SET secret = NULL`;
  const secretless = await world.compare();
  world.fail(async (request, answer) => {
    if (!request.url.endsWith(unsecret.id)) return;
    world.fail();
    const response = await answer();
    await unsecret.remove();
    return response;
  });
  const second = await world.repair(secretless);
  assertEquals(second.rotated, 0);
  assertEquals(await world.rows(), []);
  assertEquals(await world.repair(found), { ...first, inserted: 0, rotated: 0 });
});

test("a secret that the application has stored in the meantime stays", async () => {
  await using world = await setUp();
  const [one, two] = await world.addInstances(2) as [SimulatedInstance, SimulatedInstance];
  await world.sql`UPDATE extension_instance SET secret = NULL`;
  const found = await world.compare();
  await one.rotateSecret();
  // Between the API's answer and its storing: a newer one.
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
  await assertMended(world);
});

test("events from before are refused afterwards, and nothing brings a removed instance back", async () => {
  await using world = await setUp();
  // mStudio's clock is some minutes ahead of what has been delivered: nothing of it is under way.
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
  // Restored from the backup.
  await world.sql`TRUNCATE extension_instance_last_event`;
  for (const row of backup) {
    await world.sql`INSERT INTO extension_instance_last_event ${world.sql(row)}`;
  }
  await world.repair(await world.compare());
  assertEquals((await world.mstudio.replay(recorded)).status, 409);
  const added = world.mstudio.deliveries.find(({ instanceId }) => instanceId === gone.id)!;
  assertEquals((await world.mstudio.replay(added)).status, 409);
  assertEquals((await world.rows()).map(({ variant_key }) => variant_key), ["new"]);
  await assertMended(world);
});

test("an instance that mStudio is about to deliver to gets no secret, and no event of it is refused", async () => {
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
  await assertMended(world);
});

test("webhooks that go to another database: no secret is replaced that they have not taken", async () => {
  await using world = await setUp();
  await using copy = await setUp();
  await world.addInstances(4);
  // A copy of the table for something else, without secrets.
  for (const row of await world.sql`SELECT * FROM extension_instance`) {
    await copy.sql`INSERT INTO extension_instance ${copy.sql({ ...row, secret: null })}`;
  }
  const found = await world.compare({ storage: copy.storage });
  world.fail(async (request, answer) => {
    if (request.method !== "PUT") return;
    const response = await answer();
    // The application is down after the first one.
    world.serve(down);
    return response;
  });
  const { rotated, failed } = await world.repair(found, { storage: copy.storage });
  assertEquals([rotated, failed.length], [1, 3]);
  for (const { reason } of failed) assertStringIncludes(reason, "mStudio rotated no secret");
  world.fail();
  world.serve();
  // The application has lost nothing.
  await assertMended(world);
});

test("an application under another key: no more secrets are replaced, and its own stay", async () => {
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
  // What comes between a beginning and its request takes some milliseconds, not always the same.
  for (let index = 2; index < at.length; index++) {
    assert(at[index]! - at[index - 2]! > 900, at.join());
  }
});

test("what fails for one instance does not keep the others from being mended", async () => {
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
  await assertMended(world);
});

test("a database that is away ends it", async () => {
  await using world = await setUp();
  await world.addInstances(30);
  await world.sql`UPDATE extension_instance SET active = false`;
  const found = await world.compare();
  await world.sql`ALTER TABLE extension_instance RENAME TO elsewhere`;
  await assertRejects(() => world.repair(found), StorageError);
});

test("an API that stops answering ends it; begun again, it finishes", async () => {
  await using world = await setUp();
  await spoil(world, 20);
  const found = await world.compare({ checkSecrets: true });
  let requests = 0;
  world.fail(() => ++requests > 6 ? new Response(null, { status: 500 }) : undefined);
  await assertRejects(() => world.repair(found), Error, "the API answered with status 500");
  world.fail();
  await world.repair(found);
  await assertMended(world);
});

test("the signal ends it between two steps; begun again, it finishes", async () => {
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
  await assertMended(world);
});

test("a rotation that is under way is stored before the signal ends it", async () => {
  await using world = await setUp();
  const [instance] = await world.addInstances(1) as [SimulatedInstance];
  await world.sql`UPDATE extension_instance SET secret = NULL`;
  const found = await world.compare();
  world.serve(down);
  const ending = new AbortController();
  world.fail(async (request, answer) => {
    if (request.method !== "PUT") return;
    const response = await answer();
    ending.abort();
    return response;
  });
  const { rotated, aborted } = await world.repair(found, { signal: ending.signal });
  assertEquals([rotated, aborted], [1, true]);
  assertEquals((await world.storage.getExtension(instance.id))?.secret, instance.secret);
});

test("progress is told, up to the end", async () => {
  await using world = await setUp();
  await spoil(world);
  const last: Record<string, string> = {};
  await world.repair(await world.compare({ checkSecrets: true }), {
    onProgress: ({ step, done, total }) => last[step] = `${done} of ${total}`,
  });
  assertEquals(last, { state: "4 of 4", secrets: "5 of 5" });
});

test("a storage that keeps no order, and options that make no sense", async () => {
  await using world = await setUp();
  const found = await world.compare();
  const storage = new PgExtensionStorage(drizzle(world.sql), extensionInstances);
  await assertRejects(() => world.repair(found, { storage }), TypeError, "lastEvents");
  await assertRejects(() => world.repair(found, { force: true } as object), TypeError, "force");
  await assertRejects(() => world.repair({} as typeof found), TypeError, "extensionId");
});
