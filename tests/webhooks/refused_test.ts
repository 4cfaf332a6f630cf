/**
 * Signed or unread requests that are refused: by method, body, kind, extension, time, or as a dry
 * run.
 */

import { assert, assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { Readable } from "node:stream";
import { DecryptionError } from "../../errors.ts";
import { verifyWebhook } from "../../webhooks/mod.ts";
import { ahead } from "../support/clock.ts";
import { eachRow } from "../support/each_row.ts";
import {
  ADDED,
  ago,
  ALGORITHM,
  DRY_RUN_URL,
  encode,
  fail,
  KINDS,
  never,
  type Payload,
  payload,
  Receiver,
  requestOf,
  ROTATED,
  SECRET,
  SERIAL,
  SIGNATURE,
  storageThat,
  URL_OF_WEBHOOK,
  WELL_FORMED,
} from "./support.ts";

const UNREADABLE = "400 ERR_BODY_INVALID";

Deno.test("every method but POST is refused, with the allowed one", async () => {
  const receiver = await Receiver.create();
  for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
    const { headers } = await receiver.expectSent("405 ERR_METHOD", null, {}, { method });
    assertEquals([headers.get("allow"), headers.get("content-type")], ["POST", "application/json"]);
  }
});

Deno.test("a signed body for another extension is refused, whatever else is in it", async () => {
  const receiver = await Receiver.create();
  const meta = { extensionId: "extension-2", contributorId: "contributor-1" };
  const bodies = [
    ...KINDS.map((kind) => payload(kind, { meta })),
    payload("Unheard", { meta }),
    payload(ADDED, { meta, id: "\0", context: null, request: 7 }),
    { meta },
  ];
  for (const body of bodies) {
    const { answer } = await receiver.expect("403 ERR_WRONG_EXTENSION", body);
    assertStringIncludes(answer.message, "another extension");
  }
  assertEquals(receiver.storage.callCount, 0);
});

Deno.test("a dry run of every kind stores nothing and reports what would have happened", async () => {
  for (const kind of KINDS) {
    const receiver = await Receiver.create();
    const url = `${DRY_RUN_URL}#part`;
    const { answer } = await receiver.expect("200 DRY_RUN", payload(kind), { url });
    assertStringIncludes(answer.message, `Dry run of ${kind}`);
    assertStringIncludes(answer.message, "would have been");
    assertEquals(receiver.storage.callCount, 0);
    assertEquals([receiver.levels, receiver.errors], [["warn"], []]);
  }
});

Deno.test("a dry run for a stored instance is refused", async (t) => {
  const url = DRY_RUN_URL;
  for (const kind of KINDS) {
    const receiver = await Receiver.create();
    await receiver.deliver(payload(ADDED));
    const before = structuredClone(receiver.storage.rows);
    await receiver.expect("409 ERR_NO_DRY_RUN", payload(kind, { secret: "2" }), { url });
    assertEquals(receiver.storage.rows, before);
    assertEquals([receiver.storage.callCount, receiver.codes], [1, ["ERR_NO_DRY_RUN"]]);
  }
  const storages: Record<string, [string, object]> = {
    "even if its secret cannot be read": [
      "409 ERR_NO_DRY_RUN",
      { getExtension: fail(new DecryptionError()) },
    ],
    "unknown if the storage fails": [
      "500 ERR_STORAGE_FAILED",
      { getExtension: fail(new Error("connection lost")) },
    ],
    "not if the storage cannot read": ["200 DRY_RUN", {}],
  };
  await eachRow(t, storages, async ([expected, more]) => {
    const receiver = await Receiver.create({ storage: { ...storageThat(() => {}), ...more } });
    await receiver.expect(expected, payload(ROTATED), { url });
  });
});

Deno.test("a dry run is verified and validated like any delivery", async () => {
  const receiver = await Receiver.create();
  const how = { url: DRY_RUN_URL };
  const body = encode(payload(ROTATED));
  await receiver.expectSent("401 ERR_SIGNATURE_INVALID", body, WELL_FORMED, how);
  await receiver.expect(UNREADABLE, payload(ROTATED, { secret: undefined }), how);
});

Deno.test("a delivery that only looks like a dry run is stored", async () => {
  const receiver = await Receiver.create();
  const queries = [
    "?dry-run=true",
    "?executing-user-id=u-1",
    "?dry-run=true&executing-user-id=",
    "?dry-run=false&executing-user-id=u-1",
    "?dry-run&executing-user-id=u-1",
    "?x=dry-run=true&executing-user-id=u-1",
    "#?dry-run=true&executing-user-id=u-1",
  ];
  for (const query of queries) {
    const url = `${URL_OF_WEBHOOK}${query}`;
    await receiver.expect("200 STORED", payload(ADDED), { url });
  }
});

Deno.test("the signed URL counts, too: without a query, a dry run remains one", async () => {
  const receiver = await Receiver.create();
  const request = { id: "r", createdAt: ago(0), target: { method: "POST", url: DRY_RUN_URL } };
  for (const url of [URL_OF_WEBHOOK, DRY_RUN_URL]) {
    await receiver.expect("200 DRY_RUN", payload(ADDED, { request }), { url });
  }
  assertEquals(receiver.storage.callCount, 0);
  await receiver.expect("200 STORED", payload(ADDED));
  await receiver.expect("409 ERR_NO_DRY_RUN", payload(ROTATED, { request }));
  for (const target of [undefined, null, 7, "x", {}, { url: 7 }, { url: "?" }]) {
    await receiver.expect("200 STORED", payload(ADDED, { request: { ...request, target } }));
  }
});

Deno.test("unknown kinds and versions are refused, and named if possible", async () => {
  const receiver = await Receiver.create();
  const refused = async (kind: string, named: string, changes = {}) => {
    const { answer } = await receiver.expect("400 ERR_UNKNOWN_KIND", payload(kind, changes));
    assertStringIncludes(answer.message, named);
  };
  for (const kind of ["InstancePaused", "toString", "__proto__", "secretrotated"]) {
    await refused(kind, `kind ${kind}`);
  }
  for (const kind of ["", "no name"]) await refused(kind, "its kind is not known");
  for (const kind of KINDS) await refused(kind, "apiVersion v2", { apiVersion: "v2" });
  assertEquals(receiver.storage.callCount, 0);
});

Deno.test("a body that does not match its kind's schema is refused, and the field is named", async () => {
  const receiver = await Receiver.create();
  const times = [
    "",
    "yesterday",
    "2026-13-45T00:00:00Z",
    "2026-08-01",
    "+275760-09-13T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-02-29T12:00:00+01:00",
    "2026-04-31T12:00:00",
    "2026-08-01T24:00:00Z",
    "2026-08-01T23:60:00Z",
    "2026-08-01T23:59:60Z",
    "2026-08-01T12:00:00+24:00",
    "2026-08-01T12:00:00+01:60",
    "0000-01-01T00:00:00Z",
    "1970-01-01T00:00:00+01:00",
    7,
  ];
  const cases: [string, Payload][] = [
    ["kind", { kind: undefined }],
    ["kind", { kind: 7 }],
    ["id", { id: 7 }],
    ["secret", { secret: undefined }],
    ["secret", { secret: null }],
    // UTF-8 cannot encode lone surrogates: another text would be stored.
    ["secret", { secret: "\ud800" }],
    ["id", { id: "\ud800" }],
    ["variantKey", { variantKey: "\udc00" }],
    ["consentedScopes.0", { consentedScopes: ["\ud800"] }],
    // PostgreSQL cannot store U+0000.
    ["id", { id: "instance-1\0" }],
    ["variantKey", { variantKey: "\0" }],
    ["consentedScopes.1", { consentedScopes: ["a", "b\0"] }],
    ["context.id", { context: { id: "p\0", kind: "project" } }],
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
    ...times.map((
      time,
    ): [string, Payload] => ["request.createdAt", { request: { createdAt: time } }]),
  ];
  for (const [field, change] of cases) {
    const { answer } = await receiver.expect(UNREADABLE, payload(ADDED, change));
    assertStringIncludes(answer.message, `: ${field} is missing`, JSON.stringify(change));
  }
  assertEquals(receiver.storage.callCount, 0);
});

Deno.test("signed bodies that are not JSON objects are refused", async (t) => {
  const receiver = await Receiver.create();
  const valid = JSON.stringify(payload(ADDED));
  const bodies = {
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
  };
  await eachRow(t, bodies, async (body) => void await receiver.expect(UNREADABLE, body));
  assertEquals(receiver.storage.callCount, 0);
  // mittwald signed them, so they are reported.
  assertEquals(receiver.errors.length, Object.keys(bodies).length);
});

Deno.test("the verified bytes are stored, even if the body's source reuses its memory", async (t) => {
  const genuine = encode(payload(ADDED));
  const forged = encode(payload(ADDED, { secret: SECRET.replace("-1", "-2") }));
  const sources: Record<string, (memory: Uint8Array<ArrayBuffer>) => object> = {
    "a stream": (memory) => ({
      body: new ReadableStream({
        start(controller) {
          controller.enqueue(memory);
          controller.close();
        },
      }),
    }),
    "arrayBuffer": (memory) => ({ arrayBuffer: () => Promise.resolve(memory) }),
  };
  const { subtle } = crypto;
  const { verify } = subtle;
  await eachRow(t, sources, async (source) => {
    const receiver = await Receiver.create();
    const headers = await receiver.signer.headers(genuine);
    const memory = genuine.slice();
    // Web Crypto has copied the bytes when the call returns; its answer comes later.
    subtle.verify = (...check: Parameters<typeof verify>) => {
      const result = verify.apply(subtle, check);
      memory.set(forged);
      return result;
    };
    try {
      const { status } = await receiver.handler(requestLike(headers, source(memory)));
      assertEquals([status, memory], [200, forged]);
    } finally {
      subtle.verify = verify;
    }
    assertEquals(receiver.storage.rows.get("instance-1")?.secret, SECRET);
  });
});

/** A request-like object, not a web `Request`. */
function requestLike(headers: Record<string, string>, rest: object): Request {
  return {
    method: "POST",
    url: URL_OF_WEBHOOK,
    headers: new Headers(headers),
    ...rest,
  } as unknown as Request;
}

Deno.test("other implementations of requests are read, by any stream or by arrayBuffer", async (t) => {
  const receiver = await Receiver.create({ maxBodyBytes: 5_000 });
  const bytes = encode(payload(ADDED));
  const headers = await receiver.signer.headers(bytes);
  // A view into shared memory, like Node's buffers.
  const pool = new Uint8Array(2 * bytes.length);
  pool.set(bytes, 7);
  const view = pool.subarray(7, 7 + bytes.length);
  const makes: Record<string, object> = {
    "a Node stream": { body: Readable.from([bytes.slice(0, 99), bytes.slice(99)]) },
    "arrayBuffer alone": { arrayBuffer: () => Promise.resolve(bytes.slice().buffer) },
    "arrayBuffer with a Buffer": { body: undefined, arrayBuffer: () => Promise.resolve(view) },
    "a body that is something else": { body: "{}", arrayBuffer: () => Promise.resolve(view) },
  };
  await eachRow(t, makes, async (rest) => {
    const response = await receiver.handler(requestLike(headers, rest));
    assertEquals([response.status, (await response.json()).code], [200, "STORED"]);
  });
  const large = new Uint8Array(5_001);
  let pulled = 0;
  async function* endless() {
    while (true) {
      pulled++;
      yield await Promise.resolve(new Uint8Array(1_000));
    }
  }
  const tooLarge: Record<string, object> = {
    "a stream": { body: endless() },
    "arrayBuffer": { arrayBuffer: () => Promise.resolve(large.buffer) },
    "arrayBuffer, with a content-length": {
      headers: new Headers({ ...headers, "content-length": "5001" }),
      arrayBuffer: () => assert(false, "it was read"),
    },
  };
  await eachRow(t, tooLarge, async (rest) => {
    const response = await receiver.handler(requestLike(headers, rest));
    assertEquals([response.status, (await response.json()).code], [413, "ERR_BODY_TOO_LARGE"]);
  });
  assert(pulled < 10);
  const broken = { arrayBuffer: () => Promise.reject(new Error("connection reset")) };
  assertEquals((await receiver.handler(requestLike(headers, broken))).status, 400);
});

Deno.test("an unreadable request is an error, reported once, that names the cause", async (t) => {
  const thrower = new Proxy({}, {
    get() {
      throw new RangeError(SECRET);
    },
  });
  const makes: Record<string, [() => object, string]> = {
    "no stream, no arrayBuffer": [() => ({ body: { id: 1 } }), "neither a stream nor the method"],
    "not of bytes": [() => ({ body: Readable.from(["text"]) }), "is not bytes"],
    "arrayBuffer without bytes": [() => ({ arrayBuffer: () => "{}" }), "is not bytes"],
    "one that throws": [() => ({ body: thrower }), "RangeError was thrown"],
  };
  await eachRow(t, makes, async ([make, cause]) => {
    const receiver = await Receiver.create();
    for (let attempt = 0; attempt < 3; attempt++) {
      const response = await receiver.handler(requestLike(WELL_FORMED, make()));
      const { code } = await response.json();
      assertEquals([response.status, code], [500, "ERR_HANDLER_FAILED"]);
    }
    assertEquals(receiver.levels, ["error", "debug", "debug"]);
    assertStringIncludes(receiver.log[0]!, cause);
    assertEquals([receiver.codes, receiver.details], [["ERR_HANDLER_FAILED"], [{}]]);
    assert(!receiver.said.includes(SECRET));
    const options = { extensionId: "x", publicKeys: receiver.options.publicKeys };
    const verify = () => verifyWebhook(requestLike(WELL_FORMED, { body: {} }), options);
    await assertRejects(verify, TypeError, "neither a stream");
  });
});

/** A body with given chunks that records its cancellation. */
function streamOf(pull: (controller: ReadableStreamDefaultController<Uint8Array>) => void) {
  const state = { cancelled: false };
  const body = new ReadableStream<Uint8Array>({
    pull,
    cancel() {
      state.cancelled = true;
      return never(); // ignores the cancellation, too
    },
  }, { highWaterMark: 0 });
  return { body, state };
}

Deno.test("a body is read up to the limit and no further", async (t) => {
  const TOO_LARGE = "413 ERR_BODY_TOO_LARGE";
  const added = encode(payload(ADDED));
  await t.step("10 MB", async () => {
    const receiver = await Receiver.create();
    await receiver.expect(TOO_LARGE, new Uint8Array(10_000_000).fill(0x20));
    assertEquals(receiver.errors, []);
  });
  await t.step("endless, whatever its stated length", async () => {
    const receiver = await Receiver.create();
    let sent = 0;
    const { body, state } = streamOf((controller) => {
      sent += 16_384;
      controller.enqueue(new Uint8Array(16_384));
    });
    await receiver.expectSent(TOO_LARGE, body, { ...WELL_FORMED, "content-length": "10" });
    assertLess(sent, 2 * 262_144);
    assert(state.cancelled);
  });
  await t.step("exactly at the limit, and one byte above", async () => {
    const atLimit = await Receiver.create({ maxBodyBytes: added.byteLength });
    await atLimit.expect("200 STORED", added);
    const above = await Receiver.create({ maxBodyBytes: added.byteLength - 1 });
    await above.expect(TOO_LARGE, added);
  });
  await t.step("in many small pieces", async () => {
    const receiver = await Receiver.create();
    const bytes = encode(payload(ADDED, { more: "x".repeat(30_000) }));
    let at = 0;
    const { body } = streamOf((controller) => {
      if (at >= bytes.length) controller.close();
      else controller.enqueue(bytes.slice(at, at += 7));
    });
    await receiver.expectSent("200 STORED", body, await receiver.signer.headers(bytes));
  });
});

Deno.test("bodies that cannot be read are refused", async (t) => {
  const receiver = await Receiver.create();
  await t.step("broken off", async () => {
    const { body } = streamOf((controller) => controller.error(new Error("connection reset")));
    await receiver.expectSent(UNREADABLE, body, WELL_FORMED);
  });
  await t.step("read before", async () => {
    const init = { method: "POST", headers: WELL_FORMED, body: "{}" };
    const request = new Request(URL_OF_WEBHOOK, init);
    await request.text();
    const response = await receiver.handler(request);
    assertEquals(response.status, 400);
    assertStringIncludes((await response.json()).message, "already read");
  });
  const parsed = { ...WELL_FORMED, "content-length": "2" };
  await t.step("read by a parser of Node's requests, with an ended stream", async () => {
    const { answer } = await receiver.expectSent(UNREADABLE, new Uint8Array(0), parsed);
    assertStringIncludes(answer.message, "already read");
  });
  await t.step(
    "empty, in chunks, which strangers can send: told them, and reported to nobody",
    async () => {
      const { handler, errors, levels } = await Receiver.create();
      const headers = { ...WELL_FORMED, "transfer-encoding": "chunked" };
      const response = await handler(new Request(URL_OF_WEBHOOK, { method: "POST", headers }));
      assertEquals([response.status, errors, levels], [400, [], ["debug"]]);
      assertStringIncludes((await response.json()).message, "already read");
    },
  );
  await t.step("reported to the operator once in ten minutes", async () => {
    assertEquals(receiver.errors.map(({ message }) => message.includes("already read")), [true]);
    await receiver.deliver(payload(ADDED));
    await receiver.send(new Uint8Array(0), parsed);
    assertEquals(receiver.errors.length, 1);
    await ahead(11 * 60_000, () => receiver.send(new Uint8Array(0), parsed));
    assertEquals(receiver.errors.length, 2);
  });
});

Deno.test("requests without a well-formed signature are refused before their body is read", async (t) => {
  const refused = {
    "no headers": {},
    "no signature": { ...WELL_FORMED, [SIGNATURE]: "" },
    "short signature": { ...WELL_FORMED, [SIGNATURE]: "AAAA" },
    "algorithm": { ...WELL_FORMED, [ALGORITHM]: "none" },
    "unknown serial": { ...WELL_FORMED, [SERIAL]: "made-up" },
  };
  await eachRow<Record<string, string>>(t, refused, async (headers) => {
    const receiver = await Receiver.create();
    const { body } = streamOf(() => assert(false, "it was read"));
    const { answer } = await receiver.send(body, headers);
    assertStringIncludes(answer.code, "ERR_SIGNATURE_");
    assertEquals([receiver.errors, receiver.levels], [[], ["debug"]]);
  });
});

Deno.test("a slow body ends at the time limit", async (t) => {
  const TOO_SLOW = "503 ERR_DEADLINE_EXCEEDED";
  await t.step("one that stops", async () => {
    const receiver = await Receiver.create({ timeoutMs: 30 });
    const { body, state } = streamOf(never);
    await receiver.expectSent(TOO_SLOW, body, WELL_FORMED);
    assert(state.cancelled);
    assertEquals([receiver.errors, receiver.levels], [[], ["debug"]]);
  });
  await t.step("one of endless empty chunks", async () => {
    const receiver = await Receiver.create({ timeoutMs: 30 });
    const { body } = streamOf((controller) => controller.enqueue(new Uint8Array(0)));
    await receiver.expectSent(TOO_SLOW, body, WELL_FORMED);
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
  await receiver.deliver(payload(ADDED));
  const rotated = (secret: string, ageMs: number) =>
    payload(ROTATED, { secret, ...requestOf(ago(ageMs)) });
  await receiver.expect("401 ERR_DELIVERY_TOO_OLD", rotated("old", 61_000));
  await receiver.expect("200 STORED", rotated("recent", 30_000));
  assertEquals(receiver.storage.rows.get("instance-1")?.secret, "recent");
  assertEquals(receiver.codes, ["ERR_DELIVERY_TOO_OLD"]);
});

Deno.test("times from more than 5 minutes ahead are refused, with and without maxAgeMs", async () => {
  for (const options of [{}, { maxAgeMs: 60_000 }]) {
    const receiver = await Receiver.create(options);
    for (const time of [ago(-310_000), "9999-12-31T23:59:59Z"]) {
      await receiver.expect("401 ERR_DELIVERY_IN_FUTURE", payload(ADDED, requestOf(time)));
    }
    assertEquals([receiver.storage.callCount, receiver.errors.length], [0, 1]);
    await receiver.expect("200 STORED", payload(ADDED, requestOf(ago(-240_000))));
  }
});
