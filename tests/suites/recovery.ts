/** Reads and writes of `./recovery`, which never override an event. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  type ComparedState,
  PgExtensionStorage,
  StaleEventError,
} from "../../pg/mod.ts";
import { extensionInstances, lastEvents } from "../support/extension_instance.ts";
import { at, ID, INSTANCE, openStorages } from "./instances.ts";
import { suite } from "./suite.ts";

const { cases, test } = suite(async (context) => {
  const { db } = await openStorages(context);
  const storage = new PgExtensionStorage(db, extensionInstances, { lastEvents });
  return { ...context, db, storage, recovery: storage.recovery };
});

export { cases as recovery };

const STATE: ComparedState = {
  contextId: "c-1",
  context: "customer",
  active: false,
  variantKey: "basic",
  consentedScopes: ["a", "b, c", 'd"'],
};

test("reads instances in the order of their ids, batch after batch", async ({ storage, recovery }) => {
  const ids = ["1", "10", "2", "a", "B", "ä", "'"];
  for (const extensionInstanceId of ids) {
    await storage.upsertExtension({ ...INSTANCE, extensionInstanceId, occurredAt: at(1) });
  }
  const read: string[] = [];
  for (let isLast = false; !isLast;) {
    const batch = await recovery.list(read.at(-1), 3);
    read.push(...batch.map(({ id }) => id));
    isLast = batch.length < 3;
  }
  assertEquals(read.toSorted(), ids.toSorted());
  assertEquals(new Set(read).size, ids.length);
});

test("reads state, secret and order, also of missing instances", async ({ storage, recovery, sql }) => {
  assertEquals(await recovery.list(undefined, 10), []);
  const [unknown] = await recovery.find([ID]);
  assertEquals(unknown, {
    id: ID,
    state: undefined,
    sealedSecret: null,
    removed: false,
    version: "",
  });
  await storage.upsertExtension({
    ...INSTANCE,
    ...STATE,
    variantKey: "basic",
    consentedScopes: [...STATE.consentedScopes],
    enabled: false,
    occurredAt: at(1),
  });
  const [stored, other] = await recovery.find([ID, "other"]);
  assertEquals([stored!.state, stored!.removed, other!.state], [STATE, false, undefined]);
  const { id, sealedSecret } = stored!;
  assertEquals(await recovery.list(undefined, 10), [{ id, sealedSecret }]);
  assertEquals(await recovery.openSecret(stored!), INSTANCE.secret);
  await sql("UPDATE extension_instance SET secret = NULL");
  assertEquals(await recovery.openSecret((await recovery.find([ID]))[0]!), null);
  await storage.removeInstance(ID, { occurredAt: at(2) });
  assertEquals((await recovery.find([ID]))[0]!.removed, true);
});

test("finds instances that are missing or stored with another state", async ({ storage, recovery }) => {
  const { consentedScopes } = STATE;
  await storage.upsertExtension({
    ...INSTANCE,
    ...STATE,
    variantKey: "basic",
    consentedScopes: [...consentedScopes],
    enabled: false,
    occurredAt: at(1),
  });
  const find = async (state: ComparedState, id = ID) =>
    (await recovery.findDifferent([{ id, state }])).map(({ id }) => id);
  assertEquals(await find(STATE), []);
  for (
    const change of [
      { contextId: "c-2" },
      { context: "project" },
      { active: true },
      { variantKey: null },
      { variantKey: "other" },
      { consentedScopes: [] },
      { consentedScopes: ["a", 'd"', "b, c"] },
    ] as const
  ) assertEquals(await find({ ...STATE, ...change }), [ID], JSON.stringify(change));
  assertEquals(await find(STATE, "other"), ["other"]);
  const [whole] = await recovery.findDifferent([{ id: ID, state: { ...STATE, active: true } }]);
  assertEquals([whole], await recovery.find([ID]));
});

test("a secret under another key is unreadable, and a key's outage is passed on", async ({ db, storage }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  const open = (key: Parameters<typeof buildEncryptedTextColumn>[0]) => {
    const table = buildExtensionInstanceTable(buildEncryptedTextColumn(key));
    const { recovery } = new PgExtensionStorage(db, table);
    return recovery.find([ID]).then(([instance]) => recovery.openSecret(instance!));
  };
  assertEquals(await open(buildEncryptionKey("another", "salt")), undefined);
  const outage = {
    encrypt: (text: string) => Promise.resolve(text),
    decrypt: () => Promise.reject(new Error("away")),
  };
  await assertRejects(() => open(outage), Error, "away");
});

test("stores a state: inserted without a secret, or keeping the stored one", async ({ storage, recovery }) => {
  const [unknown] = await recovery.find([ID]);
  assert(await recovery.adopt(unknown!, STATE));
  const [inserted] = await recovery.find([ID]);
  assertEquals([inserted!.state, inserted!.sealedSecret], [STATE, null]);
  assert(await recovery.adoptSecret(inserted!, "s3cr3t"));
  const [secret] = await recovery.find([ID]);
  assert(await recovery.adopt(secret!, { ...STATE, variantKey: null, consentedScopes: [] }));
  const row = await storage.getExtension(ID);
  assertEquals([row?.secret, row?.variantKey, row?.consentedScopes], ["s3cr3t", null, []]);
});

test("writes nothing if an event was applied since the read", async ({ storage, recovery }) => {
  const later = at(5);
  const events: Record<string, () => Promise<void>> = {
    added: () => storage.upsertExtension({ ...INSTANCE, occurredAt: later }),
    "added by a call": () => storage.upsertExtension(INSTANCE),
    updated: () => storage.updateExtension({ ...INSTANCE, enabled: true, occurredAt: later }),
    rotated: () => storage.rotateSecret(ID, "n3w", { occurredAt: later }),
    "again at the same time": () =>
      storage.rotateSecret(ID, "n3w", { occurredAt: later, requestId: crypto.randomUUID() }),
    removed: () => storage.removeInstance(ID, { occurredAt: at(6) }),
  };
  for (const [what, event] of Object.entries(events)) {
    const [before] = await recovery.find([ID]);
    await event();
    const row = await storage.getExtension(ID);
    assertEquals(await recovery.adopt(before!, STATE), false, what);
    assertEquals(await recovery.adoptSecret(before!, "s3cr3t"), false, what);
    assertEquals(await storage.getExtension(ID), row);
    // After a second read it is written.
    if (what === "removed") continue;
    assert(await recovery.adopt((await recovery.find([ID]))[0]!, STATE), what);
  }
});

test("of several with the same read, one writes", async ({ recovery }) => {
  for (let round = 1; round <= 3; round++) {
    const [before] = await recovery.find([ID]);
    const written = await Promise.all(
      [1, 2, 3].map((number) => recovery.adopt(before!, { ...STATE, variantKey: `${number}` })),
    );
    assertEquals(written.filter((one) => one).length, 1);
    const [after] = await recovery.find([ID]);
    assertEquals(after!.state?.variantKey, `${written.indexOf(true) + 1}`);
  }
});

test("later events are applied, earlier ones are refused once all have been delivered", async ({ storage, recovery }) => {
  const update = (seconds: number) =>
    storage.updateExtension({ ...INSTANCE, enabled: true, occurredAt: at(seconds) });
  const look = async () => (await recovery.find([ID]))[0]!;
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  assert(await recovery.adopt(await look(), STATE));
  await update(2);
  assert(await recovery.adopt(await look(), STATE, at(10)));
  await assertRejects(() => update(9), StaleEventError);
  await update(10);
  // The time never goes back.
  assert(await recovery.adopt(await look(), STATE, at(3)));
  await assertRejects(() => update(9), StaleEventError);
  await update(11);
});

test("an instance removed here is restored if mStudio still has it", async ({ storage, recovery }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  await storage.removeInstance(ID, { occurredAt: at(2) });
  const [removed] = await recovery.find([ID]);
  assert(await recovery.adopt(removed!, STATE));
  await storage.rotateSecret(ID, "n3w", { occurredAt: at(3) });
  assertEquals((await storage.getExtension(ID))?.secret, "n3w");
});

test("a removed instance stays removed", async ({ storage, recovery }) => {
  await storage.upsertExtension({ ...INSTANCE, occurredAt: at(1) });
  await recovery.remove(ID);
  const added = storage.upsertExtension({ ...INSTANCE, occurredAt: at(2) });
  await assertRejects(() => added, StaleEventError);
  assertEquals(await recovery.list(undefined, 10), []);
});
