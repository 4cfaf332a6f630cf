import { assertEquals } from "@std/assert";
import { assertAnswer, payload, Receiver, requestOf } from "./support.ts";

Deno.test("both spellings of each kind lead to the same, under the short name", async (t) => {
  const events: [string, string, string][] = [
    ["ExtensionInstanceUpdated", "InstanceUpdated", "updateExtension"],
    ["ExtensionInstanceSecretRotated", "SecretRotated", "rotateSecret"],
    ["ExtensionInstanceRemovedFromContext", "InstanceRemovedFromContext", "removeInstance"],
  ];
  for (const [long, short, method] of events) {
    await t.step(long, async () => {
      const receiver = await Receiver.create();
      await receiver.deliver(payload("ExtensionAddedToContext"));
      const body = payload(short, { kind: long });
      if (short === "SecretRotated") body["secret"] = "second";
      const answer = await receiver.deliver(body);
      assertAnswer(answer, 200, "STORED");
      assertEquals(answer.answer.message, `Handling ${short}: done`);
      assertEquals(receiver.storage.calls, { upsertExtension: 1, [method]: 1 });
    });
  }
});

Deno.test("what is null or left out is read as nothing", async (t) => {
  for (const nothing of [null, undefined]) {
    for (const state of [nothing, {}, { enabled: nothing }]) {
      await t.step(`${nothing}, state ${JSON.stringify(state)}`, async () => {
        const receiver = await Receiver.create();
        await receiver.deliver(payload("ExtensionAddedToContext", { variantKey: "basic" }));
        for (const kind of ["ExtensionAddedToContext", "InstanceUpdated"]) {
          const body = payload(kind, {
            consentedScopes: nothing,
            variantKey: nothing,
            state,
            apiVersion: nothing,
          });
          assertAnswer(await receiver.deliver(body), 200, "STORED");
          const row = receiver.storage.rows.get("instance-1");
          assertEquals([row?.consentedScopes, row?.variantKey, row?.active], [[], null, true]);
        }
      });
    }
  }
});

Deno.test("a removal and a new secret need no more than they use", async () => {
  const receiver = await Receiver.create();
  await receiver.deliver(payload("ExtensionAddedToContext"));
  const least = {
    id: "instance-1",
    meta: { extensionId: "extension-1" },
    request: { createdAt: new Date().toISOString() },
  };
  const rotated = { ...least, kind: "SecretRotated", secret: "second" };
  assertAnswer(await receiver.deliver(rotated), 200, "STORED");
  const odd = { context: 1, consentedScopes: 2, state: 3, variantKey: 4, secret: 5 };
  const removed = { ...least, ...odd, kind: "InstanceRemovedFromContext" };
  assertAnswer(await receiver.deliver(removed), 200, "STORED");
  assertEquals(receiver.storage.rows.size, 0);
});

Deno.test("the storage is given the time that was signed, in UTC where it has no zone", async (t) => {
  const times: Record<string, string> = {
    "2026-08-01T12:00:00Z": "2026-08-01T12:00:00.000Z",
    "2026-08-01T12:00:00": "2026-08-01T12:00:00.000Z",
    "2026-08-01 12:00:00.5": "2026-08-01T12:00:00.500Z",
    "2026-08-01T12:00:00.123456789+02:00": "2026-08-01T10:00:00.123Z",
    "2026-08-01T12:00-0230": "2026-08-01T14:30:00.000Z",
    "2026-08-01t12:00:00z": "2026-08-01T12:00:00.000Z",
  };
  for (const [written, read] of Object.entries(times)) {
    await t.step(written, async () => {
      const receiver = await Receiver.create();
      const changes = requestOf(written);
      for (
        const kind of [
          "ExtensionAddedToContext",
          "InstanceUpdated",
          "SecretRotated",
          "InstanceRemovedFromContext",
        ]
      ) {
        assertAnswer(await receiver.deliver(payload(kind, changes)), 200, "STORED");
      }
      const { occurrences } = receiver.storage;
      assertEquals(occurrences.map((time) => time?.toISOString()), [read, read, read, read]);
    });
  }
});

Deno.test("an event that a newer one overtook is answered with 409, whichever copy of the class it is", async () => {
  const stale = () => {
    throw Object.assign(new Error("of another copy"), { code: "ERR_STALE_EVENT" });
  };
  const receiver = await Receiver.create({
    storage: {
      upsertExtension: stale,
      updateExtension: stale,
      rotateSecret: stale,
      removeInstance: stale,
    },
  });
  for (const kind of ["ExtensionAddedToContext", "InstanceUpdated", "SecretRotated"]) {
    assertAnswer(await receiver.deliver(payload(kind)), 409, "ERR_STALE_EVENT");
  }
  assertEquals(receiver.errors.map(({ code }) => code), Array(3).fill("ERR_STALE_EVENT"));
});
