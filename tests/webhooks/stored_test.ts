import { assertEquals, assertStringIncludes } from "@std/assert";
import type { WebhookHandler } from "@weissaufschwarz/mitthooks/handler/interface";
import { assertAnswer, KINDS, payload, Receiver, SECRET } from "./support.ts";

const ADDED_ROW = {
  id: "instance-1",
  contextId: "p-abc123",
  context: "customer" as const,
  active: true,
  variantKey: null,
  consentedScopes: ["project:read"],
  secret: SECRET,
};

Deno.test("an instance's whole life reaches the storage, context kind and state included", async () => {
  const receiver = await Receiver.create();
  assertAnswer(
    await receiver.deliver(payload("ExtensionAddedToContext", {
      variantKey: "basic",
      state: { enabled: false },
    })),
    200,
    "STORED",
  );
  assertEquals(receiver.storage.rows.get("instance-1"), {
    ...ADDED_ROW,
    active: false,
    variantKey: "basic",
  });

  assertAnswer(
    await receiver.deliver(payload("InstanceUpdated", {
      context: { id: "p-2", kind: "project" },
      consentedScopes: ["a", "b"],
    })),
    200,
    "STORED",
  );
  assertEquals(receiver.storage.rows.get("instance-1"), {
    ...ADDED_ROW,
    contextId: "p-2",
    context: "project",
    consentedScopes: ["a", "b"],
  });

  assertAnswer(
    await receiver.deliver(payload("SecretRotated", { secret: "second" })),
    200,
    "STORED",
  );
  assertEquals(receiver.storage.rows.get("instance-1")?.secret, "second");

  assertAnswer(await receiver.deliver(payload("InstanceRemovedFromContext")), 200, "STORED");
  assertEquals(receiver.storage.rows.size, 0);
});

Deno.test("removing an unknown instance succeeds, updating and rotating one is refused", async () => {
  const receiver = await Receiver.create();
  assertAnswer(await receiver.deliver(payload("InstanceRemovedFromContext")), 200, "STORED");
  assertAnswer(await receiver.deliver(payload("InstanceUpdated")), 404, "ERR_UNKNOWN_INSTANCE");
  assertAnswer(await receiver.deliver(payload("SecretRotated")), 404, "ERR_UNKNOWN_INSTANCE");
  assertEquals(receiver.storage.rows.size, 0);
});

Deno.test("an unknown instance is told by its code, whichever copy of the class it is", async () => {
  const receiver = await Receiver.create({
    storage: {
      upsertExtension() {},
      updateExtension() {
        throw Object.assign(new Error("of another copy"), { code: "ERR_UNKNOWN_INSTANCE" });
      },
      rotateSecret() {},
      removeInstance() {},
    },
  });
  assertAnswer(await receiver.deliver(payload("InstanceUpdated")), 404, "ERR_UNKNOWN_INSTANCE");
});

Deno.test("unknown fields, ids of any form, an empty secret and a body with white space are accepted", async () => {
  const receiver = await Receiver.create();
  for (const id of ["", "ä/..\n\0", "x".repeat(1_000), "__proto__"]) {
    const body = payload("ExtensionAddedToContext", {
      id,
      secret: "",
      more: { deep: [{ toString: 1, constructor: null }] },
      state: { enabled: true, since: 1 },
    });
    assertAnswer(await receiver.deliver(JSON.stringify(body, null, "\t") + "\n"), 200, "STORED");
    assertEquals(receiver.storage.rows.get(id)?.secret, "");
  }
});

Deno.test("every event delivered twice, and concurrently twice, leaves the row of one delivery", async (t) => {
  const rowsAfter = async (kind: typeof KINDS[number], send: "once" | "twice" | "at once") => {
    const receiver = await Receiver.create();
    if (kind !== "ExtensionAddedToContext") {
      await receiver.deliver(payload("ExtensionAddedToContext", { secret: "first" }));
    }
    const body = payload(kind);
    const answers = send === "once"
      ? [await receiver.deliver(body)]
      : send === "twice"
      ? [await receiver.deliver(body), await receiver.deliver(body)]
      : await Promise.all([receiver.deliver(body), receiver.deliver(body)]);
    for (const answer of answers) assertAnswer(answer, 200, "STORED");
    return [...receiver.storage.rows.values()];
  };
  for (const kind of KINDS) {
    await t.step(kind, async () => {
      const expected = await rowsAfter(kind, "once");
      assertEquals(await rowsAfter(kind, "twice"), expected);
      assertEquals(await rowsAfter(kind, "at once"), expected);
    });
  }
});

Deno.test("handlers run one after another, after the data is stored, on exactly the body that was signed", async () => {
  const seen: string[] = [];
  const handler = (name: string): WebhookHandler => ({
    handleWebhook: async (content, next) => {
      seen.push(`${name} ${receiver.storage.rows.size} ${content.rawBody === body}`);
      assertEquals(content.signatureSerial, "serial-1");
      assertEquals(content.signatureAlgorithm, "Ed25519");
      assertEquals(content.signature.length, 88);
      await next(content);
      seen.push(`${name} ends`);
    },
  });
  const receiver = await Receiver.create({ handlers: [handler("a"), handler("b")] });
  const body = JSON.stringify(payload("ExtensionAddedToContext"), null, 3);
  assertAnswer(await receiver.deliver(body), 200, "STORED");
  assertEquals(seen, ["a 1 true", "b 1 true", "b ends", "a ends"]);
});

Deno.test("one line is logged for each delivery", async () => {
  const receiver = await Receiver.create();
  await receiver.deliver(payload("ExtensionAddedToContext"));
  await receiver.deliver(payload("ExtensionAddedToContext", { meta: {} }));
  assertEquals(receiver.log.length, 2);
  assertStringIncludes(
    receiver.log[0] ?? "",
    '200 · STORED · ExtensionAddedToContext "instance-1"',
  );
  assertStringIncludes(receiver.log[1] ?? "", "400 · ERR_BODY_INVALID");
});
