import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import {
  assertAnswer,
  encode,
  KINDS,
  payload,
  Receiver,
  signatureHeaders,
  URL_OF_WEBHOOK,
} from "./support.ts";

const DRY_RUN_QUERY = "?dry-run=true&executing-user-id=u-1";

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
      const target = { method: "POST", url: `/webhooks${DRY_RUN_QUERY}#part` };
      const request = { id: "r", createdAt: new Date().toISOString(), target };
      const answers = [
        await receiver.deliver(payload(kind), { url: `${URL_OF_WEBHOOK}${DRY_RUN_QUERY}` }),
        await receiver.deliver(payload(kind, { request })),
      ];
      for (const answer of answers) {
        assertAnswer(answer, 200, "DRY_RUN");
        assertStringIncludes(answer.answer.message, `Dry run of ${kind}`);
        assertStringIncludes(answer.answer.message, "would have been");
      }
      assertEquals(receiver.storage.callCount, 0);
      assertEquals(handled, 0);
    });
  }
});

Deno.test("a dry run is verified and validated like any delivery", async () => {
  const receiver = await Receiver.create();
  const url = `${URL_OF_WEBHOOK}${DRY_RUN_QUERY}`;
  const forged = signatureHeaders("serial-1", btoa("\0".repeat(64)));
  assertAnswer(
    await receiver.send(encode(payload("SecretRotated")), forged, { url }),
    401,
    "ERR_SIGNATURE_INVALID",
  );
  const withoutSecret = payload("SecretRotated", { secret: undefined });
  assertAnswer(await receiver.deliver(withoutSecret, { url }), 400, "ERR_BODY_INVALID");
});

Deno.test("what only looks like a dry run is stored", async () => {
  const receiver = await Receiver.create();
  for (const query of ["?dry-run=false", "?dry-run", "?x=dry-run=true", "#?dry-run=true"]) {
    const url = `${URL_OF_WEBHOOK}${query}`;
    assertAnswer(
      await receiver.deliver(payload("ExtensionAddedToContext"), { url }),
      200,
      "STORED",
    );
  }
});

Deno.test("unknown kinds are refused", async () => {
  const receiver = await Receiver.create();
  for (const kind of ["InstancePaused", "toString", "__proto__", "", "secretrotated"]) {
    assertAnswer(await receiver.deliver(payload(kind)), 400, "ERR_UNKNOWN_KIND");
  }
  const { answer } = await receiver.deliver(payload("InstancePaused"));
  assertStringIncludes(answer.message, "InstancePaused");
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
    ["variantKey", { variantKey: 1 }],
    ["request.target.url", { request: { id: "", createdAt: "", target: { method: "POST" } } }],
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

Deno.test("signed bodies that are not unambiguous JSON objects are refused", async (t) => {
  const receiver = await Receiver.create();
  const valid = JSON.stringify(payload("ExtensionAddedToContext"));
  const inserted = (text: string) => `{${text},${valid.slice(1)}`;
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
    "kind twice": inserted('"kind":"InstanceRemovedFromContext"'),
    "secret twice": inserted('"secret":"another"'),
    "secret twice, once escaped": inserted('"\\u0073ecret":"another"'),
    "context.id twice": valid.replace('"context":{', '"context":{"id":"p-2",'),
    "unknown field twice": inserted('"x":{"\\"}":1,"y":[{"a":"\\\\","a":2}]}'),
    "nested 100,000 deep": inserted(`"x":${"[".repeat(100_000)}${"]".repeat(100_000)}`),
    "nested 65 deep": inserted(`"x":${'{"a":'.repeat(64)}1${"}".repeat(64)}`),
  };
  for (const [name, body] of Object.entries(bodies)) {
    await t.step(name, async () => {
      assertAnswer(await receiver.deliver(body), 400, "ERR_BODY_INVALID");
    });
  }
  assertEquals(receiver.storage.callCount, 0);
  assertEquals(receiver.errors, []);
});

Deno.test("what only looks ambiguous is stored", async (t) => {
  const receiver = await Receiver.create();
  const valid = JSON.stringify(payload("ExtensionAddedToContext"));
  const inserted = (text: string) => `{${text},${valid.slice(1)}`;
  const bodies: Record<string, string> = {
    "same name in different objects": inserted('"x":{"id":{"id":1}},"y":[{"id":1},{"id":2}]'),
    "names as values": inserted('"x":["id","id","id"],"y":"secret","z":"secret"'),
    "brackets and quotes in strings": inserted('"x":"{\\"id\\":1,\\"id\\":2}","y":"\\\\"'),
    "nested 64 deep": inserted(`"x":${"[".repeat(63)}${"]".repeat(63)}`),
  };
  for (const [name, body] of Object.entries(bodies)) {
    await t.step(name, async () => {
      assertAnswer(await receiver.deliver(body), 200, "STORED");
    });
  }
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
    const headers = { ...signatureHeaders("serial-1", ""), "content-length": "10" };
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
  const headers = signatureHeaders("serial-1", "");
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
    assertAnswer(
      { status: response.status, answer: await response.json() },
      400,
      "ERR_BODY_INVALID",
    );
  });
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
      await receiver.send(body, signatureHeaders("serial-1", "")),
      503,
      "ERR_DEADLINE_EXCEEDED",
    );
    assert(cancelled);
    assertEquals(receiver.errors.map(({ code }) => code), ["ERR_DEADLINE_EXCEEDED"]);
  });
  await t.step("one of empty chunks without end", async () => {
    const receiver = await Receiver.create({ timeoutMs: 30 });
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(0)),
    });
    assertAnswer(
      await receiver.send(body, signatureHeaders("serial-1", "")),
      503,
      "ERR_DEADLINE_EXCEEDED",
    );
  });
  await t.step("over a socket", async () => {
    const receiver = await Receiver.create({ timeoutMs: 30 });
    await using server = Deno.serve({ port: 0, onListen() {} }, receiver.handler);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
    await connection.write(encode("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"));
    const buffer = new Uint8Array(1_024);
    const length = await connection.read(buffer) ?? 0;
    assertStringIncludes(new TextDecoder().decode(buffer.subarray(0, length)), "HTTP/1.1 503");
  });
});

Deno.test("with maxAgeMs, replayed deliveries are refused", async () => {
  const receiver = await Receiver.create({ maxAgeMs: 60_000 });
  const request = (createdAt: string) => ({
    request: { id: "r", createdAt, target: { method: "POST", url: URL_OF_WEBHOOK } },
  });
  const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
  await receiver.deliver(payload("ExtensionAddedToContext"));

  const old = payload("SecretRotated", { secret: "old", ...request(ago(61_000)) });
  assertAnswer(await receiver.deliver(old), 401, "ERR_DELIVERY_TOO_OLD");
  const recent = payload("SecretRotated", { secret: "recent", ...request(ago(30_000)) });
  assertAnswer(await receiver.deliver(recent), 200, "STORED");
  // Clocks differ; only age is limited.
  const future = payload("SecretRotated", { secret: "future", ...request(ago(-30_000)) });
  assertAnswer(await receiver.deliver(future), 200, "STORED");

  for (const createdAt of ["", "yesterday", "2026-13-45T00:00:00Z"]) {
    const answer = await receiver.deliver(payload("SecretRotated", request(createdAt)));
    assertAnswer(answer, 400, "ERR_BODY_INVALID");
    assertStringIncludes(answer.answer.message, "request.createdAt");
  }
  assertEquals(receiver.storage.rows.get("instance-1")?.secret, "future");
});

Deno.test("without maxAgeMs, neither the age nor the form of createdAt matters", async () => {
  const receiver = await Receiver.create();
  for (const createdAt of ["2001-01-01T00:00:00Z", "yesterday"]) {
    const request = { id: "r", createdAt, target: { method: "POST", url: URL_OF_WEBHOOK } };
    assertAnswer(
      await receiver.deliver(payload("ExtensionAddedToContext", { request })),
      200,
      "STORED",
    );
  }
});
