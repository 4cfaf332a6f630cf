import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { DecryptionError } from "../../errors.ts";
import {
  ago,
  assertAnswer,
  DRY_RUN_URL,
  encode,
  KINDS,
  payload,
  Receiver,
  requestOf,
  URL_OF_WEBHOOK,
  WELL_FORMED,
} from "./support.ts";

Deno.test("every method but POST is refused, and told which is allowed", async () => {
  const receiver = await Receiver.create();
  for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
    const answer = await receiver.send(null, {}, { method });
    assertAnswer(answer, 405, "ERR_METHOD");
    assertEquals(answer.headers.get("allow"), "POST");
    assertEquals(answer.headers.get("content-type"), "application/json");
  }
});

Deno.test("a signed body for another extension is refused", async () => {
  const receiver = await Receiver.create();
  for (const kind of KINDS) {
    const meta = { extensionId: "extension-2", contributorId: "contributor-1" };
    assertAnswer(await receiver.deliver(payload(kind, { meta })), 403, "ERR_WRONG_EXTENSION");
  }
  assertEquals(receiver.storage.callCount, 0);
});

Deno.test("a dry run of every kind stores nothing and says what would have happened", async (t) => {
  for (const kind of KINDS) {
    await t.step(kind, async () => {
      let handled = 0;
      const receiver = await Receiver.create({
        handlers: [{ handleWebhook: () => void handled++ }],
      });
      const answer = await receiver.deliver(payload(kind), { url: `${DRY_RUN_URL}#part` });
      assertAnswer(answer, 200, "DRY_RUN");
      assertStringIncludes(answer.answer.message, `Dry run of ${kind}`);
      assertStringIncludes(answer.answer.message, "would have been");
      assertEquals([receiver.storage.callCount, handled], [0, 0]);
      assertEquals([receiver.levels, receiver.errors], [["warn"], []]);
    });
  }
});

Deno.test("what says that it is a dry run, and concerns an instance that is stored, is refused", async (t) => {
  for (const kind of KINDS) {
    await t.step(kind, async () => {
      const receiver = await Receiver.create();
      await receiver.deliver(payload("ExtensionAddedToContext"));
      const before = structuredClone(receiver.storage.rows);
      const answer = await receiver.deliver(payload(kind, { secret: "2" }), { url: DRY_RUN_URL });
      assertAnswer(answer, 409, "ERR_NO_DRY_RUN");
      assertEquals(receiver.storage.rows, before);
      assertEquals(receiver.storage.callCount, 1);
      assertEquals(receiver.errors.map(({ code }) => code), ["ERR_NO_DRY_RUN"]);
    });
  }
  await t.step("also where its secret cannot be read", async () => {
    const receiver = await Receiver.create();
    receiver.storage.getExtension = () => Promise.reject(new DecryptionError());
    const answer = await receiver.deliver(payload("SecretRotated"), { url: DRY_RUN_URL });
    assertAnswer(answer, 409, "ERR_NO_DRY_RUN");
  });
  await t.step("nobody knows where the storage fails", async () => {
    const receiver = await Receiver.create();
    receiver.storage.getExtension = () => Promise.reject(new Error("connection lost"));
    const answer = await receiver.deliver(payload("SecretRotated"), { url: DRY_RUN_URL });
    assertAnswer(answer, 500, "ERR_STORAGE_FAILED");
  });
  await t.step("nor where it cannot read", async () => {
    const stored = {
      upsertExtension() {},
      updateExtension() {},
      rotateSecret() {},
      removeInstance() {},
    };
    const receiver = await Receiver.create({ storage: stored });
    const answer = await receiver.deliver(payload("SecretRotated"), { url: DRY_RUN_URL });
    assertAnswer(answer, 200, "DRY_RUN");
  });
});

Deno.test("a dry run is verified and validated like any delivery", async () => {
  const receiver = await Receiver.create();
  const url = DRY_RUN_URL;
  assertAnswer(
    await receiver.send(encode(payload("SecretRotated")), WELL_FORMED, { url }),
    401,
    "ERR_SIGNATURE_INVALID",
  );
  const withoutSecret = payload("SecretRotated", { secret: undefined });
  assertAnswer(await receiver.deliver(withoutSecret, { url }), 400, "ERR_BODY_INVALID");
});

Deno.test("what only looks like a dry run is stored", async () => {
  const receiver = await Receiver.create();
  for (
    const query of [
      "?dry-run=true",
      "?executing-user-id=u-1",
      "?dry-run=true&executing-user-id=",
      "?dry-run=false&executing-user-id=u-1",
      "?dry-run&executing-user-id=u-1",
      "?x=dry-run=true&executing-user-id=u-1",
      "#?dry-run=true&executing-user-id=u-1",
    ]
  ) {
    const url = `${URL_OF_WEBHOOK}${query}`;
    const body = payload("ExtensionAddedToContext");
    assertAnswer(await receiver.deliver(body, { url }), 200, "STORED");
  }
  const target = { method: "POST", url: DRY_RUN_URL };
  const request = { id: "r", createdAt: ago(0), target };
  assertAnswer(
    await receiver.deliver(payload("ExtensionAddedToContext", { request })),
    200,
    "STORED",
  );
});

Deno.test("unknown kinds are refused", async () => {
  const receiver = await Receiver.create();
  for (const kind of ["InstancePaused", "toString", "__proto__", "", "secretrotated"]) {
    assertAnswer(await receiver.deliver(payload(kind)), 400, "ERR_UNKNOWN_KIND");
  }
  const { answer } = await receiver.deliver(payload("InstancePaused"));
  assertStringIncludes(answer.message, "InstancePaused");
  for (const kind of KINDS) {
    const answer = await receiver.deliver(payload(kind, { apiVersion: "v2" }));
    assertAnswer(answer, 400, "ERR_UNKNOWN_KIND");
    assertStringIncludes(answer.answer.message, "apiVersion v2");
  }
  assertEquals(receiver.storage.callCount, 0);
});

Deno.test("a body that is not of its kind's schema is refused, and the field named", async (t) => {
  const receiver = await Receiver.create();
  const cases: [string, Record<string, unknown>][] = [
    ["kind", { kind: undefined }],
    ["kind", { kind: 7 }],
    ["id", { id: 7 }],
    ["secret", { secret: undefined }],
    ["secret", { secret: null }],
    ["context", { context: null }],
    ["context.kind", { context: { id: "p-1", kind: "server" } }],
    ["meta.extensionId", { meta: { contributorId: "c" } }],
    ["state.enabled", { state: { enabled: "yes" } }],
    ["consentedScopes.1", { consentedScopes: ["a", 1] }],
    ["consentedScopes", { consentedScopes: "a" }],
    ["variantKey", { variantKey: 1 }],
    ["state", { state: "enabled" }],
    ["apiVersion", { apiVersion: 1 }],
    ["request", { request: null }],
    ...["", "yesterday", "2026-13-45T00:00:00Z", "2026-08-01", "+275760-09-13T00:00:00Z", 7].map(
      (createdAt): [string, Record<string, unknown>] => [
        "request.createdAt",
        { request: { createdAt } },
      ],
    ),
  ];
  for (const [field, change] of cases) {
    await t.step(`${field}: ${JSON.stringify(change)}`, async () => {
      const answer = await receiver.deliver(payload("ExtensionAddedToContext", change));
      assertAnswer(answer, 400, "ERR_BODY_INVALID");
      assertStringIncludes(answer.answer.message, `: ${field} is missing`);
    });
  }
  assertEquals(receiver.storage.callCount, 0);
});

Deno.test("signed bodies that are not JSON objects are refused", async (t) => {
  const receiver = await Receiver.create();
  const valid = JSON.stringify(payload("ExtensionAddedToContext"));
  const bodies: Record<string, string | Uint8Array<ArrayBuffer>> = {
    "empty": "",
    "white space": " \n",
    "text": "hello",
    "cut off": valid.slice(0, -1),
    "trailing text": `${valid}x`,
    "single quotes": valid.replaceAll('"', "'"),
    "null": "null",
    "number": "1",
    "string": '"{}"',
    "array": `[${valid}]`,
    "byte order mark": `\ufeff${valid}`,
    "Latin-1": new Uint8Array([...encode(valid.slice(0, -2)), 0xe4, 0x22, 0x7d]),
  };
  for (const [name, body] of Object.entries(bodies)) {
    await t.step(name, async () => {
      assertAnswer(await receiver.deliver(body), 400, "ERR_BODY_INVALID");
    });
  }
  assertEquals(receiver.storage.callCount, 0);
  // mittwald signed them, so somebody has to look at it.
  assertEquals(receiver.errors.length, Object.keys(bodies).length);
});

Deno.test("a body is read up to the limit and no further", async (t) => {
  await t.step("10 MB", async () => {
    const receiver = await Receiver.create();
    const body = new Uint8Array(10_000_000).fill(0x20);
    assertAnswer(await receiver.deliver(body), 413, "ERR_BODY_TOO_LARGE");
    assertEquals(receiver.errors, []);
  });
  await t.step("without end, whatever its length is said to be", async () => {
    const receiver = await Receiver.create();
    let sent = 0;
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 16_384;
        controller.enqueue(new Uint8Array(16_384));
      },
      cancel() {
        cancelled = true;
      },
    });
    const headers = { ...WELL_FORMED, "content-length": "10" };
    assertAnswer(await receiver.send(body, headers), 413, "ERR_BODY_TOO_LARGE");
    assertLess(sent, 2 * 262_144);
    assert(cancelled);
  });
  await t.step("exactly at the limit, and one byte above", async () => {
    const body = encode(payload("ExtensionAddedToContext"));
    const atLimit = await Receiver.create({ maxBodyBytes: body.byteLength });
    assertAnswer(await atLimit.deliver(body), 200, "STORED");
    const above = await Receiver.create({ maxBodyBytes: body.byteLength - 1 });
    assertAnswer(await above.deliver(body), 413, "ERR_BODY_TOO_LARGE");
  });
  await t.step("in many small pieces", async () => {
    const receiver = await Receiver.create();
    const bytes = encode(payload("ExtensionAddedToContext", { more: "x".repeat(30_000) }));
    let at = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= bytes.length) return controller.close();
        controller.enqueue(bytes.slice(at, at += 7));
      },
    });
    assertAnswer(await receiver.send(body, await receiver.signer.headers(bytes)), 200, "STORED");
  });
});

Deno.test("bodies that cannot be read are refused", async (t) => {
  const receiver = await Receiver.create();
  const headers = WELL_FORMED;
  await t.step("broken off", async () => {
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error("connection reset")),
    });
    assertAnswer(await receiver.send(body, headers), 400, "ERR_BODY_INVALID");
  });
  await t.step("read before", async () => {
    const request = new Request(URL_OF_WEBHOOK, { method: "POST", headers, body: "{}" });
    await request.text();
    const response = await receiver.handler(request);
    const answer = await response.json();
    assertAnswer({ status: response.status, answer }, 400, "ERR_BODY_INVALID");
    assertStringIncludes(answer.message, "already read");
  });
  await t.step("read by a parser of Node's requests, whose stream is at its end", async () => {
    const parsed = { ...headers, "content-length": "2" };
    const answer = await receiver.send(new Uint8Array(0), parsed);
    assertAnswer(answer, 400, "ERR_BODY_INVALID");
    assertStringIncludes(answer.answer.message, "already read");
  });
  await t.step("which is told to the operator once, until it works", async () => {
    assertEquals(receiver.errors.map(({ message }) => message.includes("already read")), [true]);
    await receiver.deliver(payload("ExtensionAddedToContext"));
    await receiver.send(new Uint8Array(0), { ...headers, "content-length": "2" });
    assertEquals(receiver.errors.length, 2);
  });
});

Deno.test("what has no signature of the right form is refused before a byte of its body is read", async (t) => {
  const refused: Record<string, Record<string, string>> = {
    "no headers": {},
    "no signature": { ...WELL_FORMED, "X-Marketplace-Signature": "" },
    "short signature": { ...WELL_FORMED, "X-Marketplace-Signature": "AAAA" },
    "algorithm": { ...WELL_FORMED, "X-Marketplace-Signature-Algorithm": "none" },
    "serial that nobody has": { ...WELL_FORMED, "X-Marketplace-Signature-Serial": "made-up" },
  };
  for (const [name, headers] of Object.entries(refused)) {
    await t.step(name, async () => {
      const receiver = await Receiver.create();
      let pulled = 0;
      const body = new ReadableStream({
        pull(controller) {
          pulled++;
          controller.enqueue(new Uint8Array(1));
        },
      }, { highWaterMark: 0 });
      const { status } = await receiver.send(body, headers);
      assertEquals([status < 500, pulled, receiver.errors, receiver.levels], [true, 0, [], [
        "debug",
      ]]);
    });
  }
});

Deno.test("a slow body is given up at the time limit", async (t) => {
  await t.step("one that stops", async () => {
    const receiver = await Receiver.create({ timeoutMs: 30 });
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(encode("{")),
      cancel() {
        cancelled = true;
        return new Promise(() => {}); // nor does it answer to that
      },
    });
    assertAnswer(
      await receiver.send(body, WELL_FORMED),
      503,
      "ERR_DEADLINE_EXCEEDED",
    );
    assert(cancelled);
    assertEquals([receiver.errors, receiver.levels], [[], ["debug"]]);
  });
  await t.step("one of empty chunks without end", async () => {
    const receiver = await Receiver.create({ timeoutMs: 30 });
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(0)),
    });
    assertAnswer(
      await receiver.send(body, WELL_FORMED),
      503,
      "ERR_DEADLINE_EXCEEDED",
    );
  });
  await t.step("over a socket", async () => {
    const receiver = await Receiver.create({ timeoutMs: 30 });
    await using server = Deno.serve({ port: 0, onListen() {} }, receiver.handler);
    const headers = Object.entries(WELL_FORMED).map((header) => header.join(": ")).join("\r\n");
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
    await connection.write(
      encode(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n${headers}\r\n\r\n{`),
    );
    const buffer = new Uint8Array(1_024);
    const length = await connection.read(buffer) ?? 0;
    assertStringIncludes(new TextDecoder().decode(buffer.subarray(0, length)), "HTTP/1.1 503");
  });
});

Deno.test("with maxAgeMs, old deliveries are refused", async () => {
  const receiver = await Receiver.create({ maxAgeMs: 60_000 });
  await receiver.deliver(payload("ExtensionAddedToContext"));
  const old = payload("SecretRotated", { secret: "old", ...requestOf(ago(61_000)) });
  assertAnswer(await receiver.deliver(old), 401, "ERR_DELIVERY_TOO_OLD");
  const recent = payload("SecretRotated", { secret: "recent", ...requestOf(ago(30_000)) });
  assertAnswer(await receiver.deliver(recent), 200, "STORED");
  assertEquals(receiver.storage.rows.get("instance-1")?.secret, "recent");
  assertEquals(receiver.errors.map(({ code }) => code), ["ERR_DELIVERY_TOO_OLD"]);
});

Deno.test("without maxAgeMs the age does not matter", async () => {
  const receiver = await Receiver.create();
  const old = payload("ExtensionAddedToContext", requestOf("2001-01-01T00:00:00Z"));
  assertAnswer(await receiver.deliver(old), 200, "STORED");
});

Deno.test("times from more than 5 minutes ahead are refused, with and without maxAgeMs", async () => {
  for (const options of [{}, { maxAgeMs: 60_000 }]) {
    const receiver = await Receiver.create(options);
    for (const time of [ago(-310_000), "9999-12-31T23:59:59Z"]) {
      const answer = await receiver.deliver(payload("ExtensionAddedToContext", requestOf(time)));
      assertAnswer(answer, 401, "ERR_DELIVERY_IN_FUTURE");
    }
    assertEquals(receiver.storage.callCount, 0);
    assertEquals(receiver.errors.length, 2);
    const ahead = payload("ExtensionAddedToContext", requestOf(ago(-240_000)));
    assertAnswer(await receiver.deliver(ahead), 200, "STORED");
  }
});
