import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import type { ExtensionStorage } from "@weissaufschwarz/mitthooks/storage/extensionStorage";
import { StorageError, TableMissingError } from "../../errors.ts";
import { BusyError, HandlerFailedError, type WebhookHandlerOptions } from "../../webhooks/mod.ts";
import { assertAnswer, DRY_RUN_URL, encode, KINDS, payload, Receiver, SECRET } from "./support.ts";

/** A storage whose every method does the same. */
function storageThat(action: () => Promise<void> | void): ExtensionStorage {
  return {
    upsertExtension: action,
    updateExtension: action,
    rotateSecret: action,
    removeInstance: action,
  };
}

function never(): Promise<never> {
  return new Promise(() => {});
}

Deno.test("a failing storage is answered with 500, and its error reported with the cause", async (t) => {
  const cause = new Error(`cannot store ${SECRET}`);
  for (const kind of KINDS) {
    await t.step(kind, async () => {
      const receiver = await Receiver.create({ storage: storageThat(() => Promise.reject(cause)) });
      assertAnswer(await receiver.deliver(payload(kind)), 500, "ERR_STORAGE_FAILED");
      const [error] = receiver.errors;
      assertInstanceOf(error, StorageError);
      assertEquals(error.cause, cause);
    });
  }
  await t.step("synchronously, and with something that is no error", async () => {
    const receiver = await Receiver.create({
      storage: storageThat(() => {
        throw undefined;
      }),
    });
    assertAnswer(await receiver.deliver(payload("SecretRotated")), 500, "ERR_STORAGE_FAILED");
  });
  await t.step("with a StorageError, which is passed on as it is", async () => {
    const missing = new TableMissingError("upsertExtension", cause);
    const receiver = await Receiver.create({
      storage: storageThat(() => Promise.reject(missing)),
    });
    assertAnswer(
      await receiver.deliver(payload("ExtensionAddedToContext")),
      500,
      "ERR_STORAGE_FAILED",
    );
    assert(receiver.errors[0] === missing);
    assertStringIncludes(receiver.log[0] ?? "", "run the migrations first");
  });
});

Deno.test("a throwing handler is answered with 500 after the data was stored", async () => {
  const cause = new Error(`no mail for ${SECRET}`);
  const receiver = await Receiver.create({
    handlers: [
      { handleWebhook: (content, next) => next(content) },
      { handleWebhook: () => Promise.reject(cause) },
    ],
  });
  assertAnswer(
    await receiver.deliver(payload("ExtensionAddedToContext")),
    500,
    "ERR_HANDLER_FAILED",
  );
  assertEquals(receiver.storage.rows.size, 1);
  assertInstanceOf(receiver.errors[0], HandlerFailedError);
  assertEquals(receiver.errors[0].cause, cause);
});

Deno.test("what a handler throws is its failure, whatever code it carries", async () => {
  const receiver = await Receiver.create({
    handlers: [{
      handleWebhook() {
        throw new BusyError("of the handler");
      },
    }],
  });
  assertAnswer(
    await receiver.deliver(payload("ExtensionAddedToContext")),
    500,
    "ERR_HANDLER_FAILED",
  );
});

Deno.test("public keys that are no keys are answered with 502", async (t) => {
  const keys: Record<string, unknown> = {
    "undefined": undefined,
    "a number": 7,
    "empty": "",
    "31 bytes": btoa("\0".repeat(31)),
    "33 bytes": btoa("\0".repeat(33)),
    "not base64": "!".repeat(44),
  };
  for (const [name, key] of Object.entries(keys)) {
    await t.step(name, async () => {
      const receiver = await Receiver.create({
        publicKeys: { getPublicKey: () => key as string },
      });
      const answer = await receiver.deliver(payload("ExtensionAddedToContext"));
      assertAnswer(answer, 502, "ERR_PUBLIC_KEY_UNAVAILABLE");
      assertEquals(receiver.errors.map(({ code }) => code), ["ERR_PUBLIC_KEY_UNAVAILABLE"]);
      assertEquals(receiver.storage.callCount, 0);
    });
  }
});

Deno.test("whatever does not finish is given up at the time limit", async (t) => {
  const hanging: Record<string, Partial<WebhookHandlerOptions>> = {
    "public keys": { publicKeys: { getPublicKey: never } },
    "storage": { storage: storageThat(never) },
    "handlers": { handlers: [{ handleWebhook: never }] },
  };
  for (const [name, options] of Object.entries(hanging)) {
    await t.step(name, async () => {
      const receiver = await Receiver.create({ timeoutMs: 30, ...options });
      assertAnswer(
        await receiver.deliver(payload("ExtensionAddedToContext")),
        503,
        "ERR_DEADLINE_EXCEEDED",
      );
      assertEquals(receiver.errors.map(({ code }) => code), ["ERR_DEADLINE_EXCEEDED"]);
      assertEquals(receiver.levels, ["error"]);
    });
  }
});

Deno.test("a storage that fails after the time limit does no harm", async () => {
  const late = Promise.withResolvers<void>();
  const receiver = await Receiver.create({
    timeoutMs: 30,
    storage: storageThat(() => late.promise),
  });
  assertAnswer(await receiver.deliver(payload("SecretRotated")), 503, "ERR_DEADLINE_EXCEEDED");
  const unhandled: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => unhandled.push(event.reason);
  addEventListener("unhandledrejection", listener);
  try {
    late.reject(new Error("too late"));
    // Rejections that nobody handles are reported before the next timer.
    await new Promise((resolve) => setTimeout(resolve));
  } finally {
    removeEventListener("unhandledrejection", listener);
  }
  assertEquals(unhandled, []);
  assertEquals(receiver.errors.length, 1);
});

Deno.test({
  name: "no timer is left behind",
  sanitizeOps: true,
  sanitizeResources: true,
  fn: async () => {
    const receiver = await Receiver.create({ timeoutMs: 600_000 });
    await receiver.deliver(payload("ExtensionAddedToContext"));
    await receiver.deliver("not JSON");
    await receiver.send(null, {});
    await receiver.send(null, {}, { method: "GET" });
  },
});

Deno.test("a logger or onError that fails does not change the answer", async (t) => {
  const fail = () => {
    throw new Error("broken");
  };
  const reject = () => Promise.reject(new Error("broken"));
  for (const broken of [fail, reject]) {
    await t.step(broken.name, async () => {
      const receiver = await Receiver.create({
        onError: broken,
        logger: { info: broken, debug: broken, warn: broken, error: broken },
        handlers: [{ handleWebhook: reject }],
      });
      assertAnswer(
        await receiver.deliver(payload("ExtensionAddedToContext")),
        500,
        "ERR_HANDLER_FAILED",
      );
      assertAnswer(await receiver.deliver("{}"), 400, "ERR_BODY_INVALID");
    });
  }
});

Deno.test("no answer, log line or reported message contains the secret", async () => {
  const leaky = () => {
    throw new Error(`failed with ${SECRET}`);
  };
  const receivers = await Promise.all([
    {},
    { storage: storageThat(leaky) },
    { handlers: [{ handleWebhook: leaky }] },
    { publicKeys: { getPublicKey: leaky } },
    { extensionId: "another" },
    { maxAgeMs: 1 },
    { timeoutMs: 30, storage: storageThat(never) },
    {
      storage: storageThat(() => {
        throw Object.assign(new Error(SECRET), { code: "ERR_STORAGE_FAILED" });
      }),
    },
    {
      publicKeys: {
        getPublicKey() {
          throw Object.assign(new Error(SECRET), { code: "ERR_SIGNATURE_INVALID" });
        },
      },
    },
  ].map((options) => Receiver.create(options)));
  const bodies = [
    ...KINDS.map((kind) => JSON.stringify(payload(kind, { secret: SECRET }))),
    JSON.stringify(payload("ExtensionAddedToContext", { context: SECRET })),
    JSON.stringify(payload("ExtensionAddedToContext", { context: { id: "", kind: SECRET } })),
    JSON.stringify(payload("ExtensionAddedToContext", { secret: [SECRET] })),
    JSON.stringify(payload("InstancePaused", { secret: SECRET })),
    `{"secret":"${SECRET}","secret":"${SECRET}"}`,
    `{"secret":"${SECRET}"`,
    `"${SECRET}"`,
  ];
  let answers = 0;
  for (const receiver of receivers) {
    for (const body of bodies) {
      await receiver.deliver(body);
      await receiver.deliver(body, { url: DRY_RUN_URL });
      await receiver.send(encode(body), {
        "X-Marketplace-Signature-Serial": SECRET.replace(/[^ -~]/g, ""),
      });
    }
    answers += receiver.answers.length;
    for (
      const text of [
        ...receiver.answers,
        ...receiver.log,
        ...receiver.errors.map((error) => error.stack ?? ""),
      ]
    ) {
      assert(!text.includes(SECRET), text);
    }
  }
  assertEquals(answers, receivers.length * bodies.length * 3);
});
