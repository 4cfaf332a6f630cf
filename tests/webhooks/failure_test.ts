/** Failures of the receiver and their reports, which contain no secret. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { encodeBase64 } from "@std/encoding";
import { StorageError, TableMissingError } from "../../errors.ts";
import {
  BusyError,
  createWebhookHandler,
  HandlerFailedError,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
  type WebhookHandlerOptions,
} from "../../webhooks/mod.ts";
import { ahead } from "../support/clock.ts";
import { eachRow } from "../support/each_row.ts";
import { MemoryStorage } from "../support/memory_storage.ts";
import {
  ADDED,
  ago,
  createSigner,
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
  storageThat,
  URL_OF_WEBHOOK,
  WELL_FORMED,
} from "./support.ts";

const STORAGE_FAILED = "500 ERR_STORAGE_FAILED";
const HANDLER_FAILED = "500 ERR_HANDLER_FAILED";
const NO_KEY = "502 ERR_PUBLIC_KEY_UNAVAILABLE";
const TOO_LATE = "503 ERR_DEADLINE_EXCEEDED";

Deno.test("a failing storage is answered with 500, and its error reported with the cause", async () => {
  const cause = new Error(`cannot store ${SECRET}`);
  for (const kind of KINDS) {
    const receiver = await Receiver.create({ storage: storageThat(fail(cause)) });
    await receiver.expect(STORAGE_FAILED, payload(kind));
    assert(receiver.errors[0] instanceof StorageError);
    assertEquals(receiver.errors[0].cause, cause);
    assert(!receiver.said.includes(SECRET));
  }
  const synchronously = () => {
    throw undefined;
  };
  const receiver = await Receiver.create({ storage: storageThat(synchronously) });
  await receiver.expect(STORAGE_FAILED, payload(ROTATED));
  // A StorageError is passed on unchanged.
  const missing = new TableMissingError("upsertExtension", cause);
  const unmigrated = await Receiver.create({ storage: storageThat(fail(missing)) });
  await unmigrated.expect(STORAGE_FAILED, payload(ADDED));
  assert(unmigrated.errors[0] === missing);
  assertStringIncludes(unmigrated.log[0]!, "run the migrations first");
});

Deno.test("a failed handler of the storage is answered with 500, whatever the code of its cause", async () => {
  for (const cause of [new Error(`no mail for ${SECRET}`), new BusyError("of the handler")]) {
    const storage = storageThat(fail(new HandlerFailedError(cause)));
    const receiver = await Receiver.create({ storage });
    await receiver.expect(HANDLER_FAILED, payload(ADDED));
    assert(receiver.errors[0] instanceof HandlerFailedError);
    assertEquals(receiver.errors[0].cause, cause);
    assert(!receiver.said.includes(SECRET));
  }
});

Deno.test("invalid public keys are answered with 502", async (t) => {
  const keys = {
    "undefined": undefined,
    "a number": 7,
    "empty": "",
    "31 bytes": btoa("\0".repeat(31)),
    "33 bytes": btoa("\0".repeat(33)),
    "not base64": "!".repeat(44),
  };
  await eachRow<unknown>(t, keys, async (key) => {
    const receiver = await Receiver.create({ publicKeys: { getPublicKey: () => key as string } });
    await receiver.expect(NO_KEY, payload(ADDED));
    assertEquals(receiver.codes, ["ERR_PUBLIC_KEY_UNAVAILABLE"]);
    assertEquals(receiver.storage.callCount, 0);
  });
});

Deno.test("work that does not finish ends at the time limit", async (t) => {
  const hanging = {
    "public keys": { publicKeys: { getPublicKey: never } },
    "storage": { storage: storageThat(never) },
  };
  await eachRow<Partial<WebhookHandlerOptions>>(t, hanging, async (options) => {
    const receiver = await Receiver.create({ timeoutMs: 30, ...options });
    await receiver.expect(TOO_LATE, payload(ADDED));
    assertEquals([receiver.codes, receiver.levels], [["ERR_DEADLINE_EXCEEDED"], ["error"]]);
  });
});

Deno.test("a storage that fails after the time limit does no harm", async () => {
  const late = Promise.withResolvers<void>();
  const storage = storageThat(() => late.promise);
  const receiver = await Receiver.create({ timeoutMs: 30, storage });
  await receiver.expect(TOO_LATE, payload(ROTATED));
  const unhandled: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => unhandled.push(event.reason);
  addEventListener("unhandledrejection", listener);
  try {
    late.reject(new Error("too late"));
    // Unhandled rejections are reported before the next timer.
    await new Promise((resolve) => setTimeout(resolve));
  } finally {
    removeEventListener("unhandledrejection", listener);
  }
  assertEquals([unhandled, receiver.codes], [[], ["ERR_DEADLINE_EXCEEDED"]]);
});

Deno.test({
  name: "no timer is left behind",
  sanitizeOps: true,
  sanitizeResources: true,
  fn: async () => {
    const receiver = await Receiver.create({ timeoutMs: 600_000 });
    await receiver.deliver(payload(ADDED));
    await receiver.deliver("not JSON");
    await receiver.send(null, {});
    await receiver.send(null, {}, { method: "GET" });
  },
});

Deno.test("a logger or onError that fails does not change the answer", async () => {
  const reject = fail(new Error("broken"));
  const broken = () => {
    throw new Error("broken");
  };
  for (const onError of [broken, reject]) {
    const receiver = await Receiver.create({
      onError,
      logger: { info: onError, debug: onError, warn: onError, error: onError },
      storage: storageThat(reject),
    });
    await receiver.expect(STORAGE_FAILED, payload(ADDED));
    await receiver.expect("400 ERR_BODY_INVALID", "{}");
  }
});

Deno.test("onError gets lost work and its event", async () => {
  const known = await Receiver.create();
  const request = { id: "request-1", createdAt: ago(0) };
  await known.expect("404 ERR_UNKNOWN_INSTANCE", payload(ROTATED, { request }));
  const { codes, details, levels } = known;
  assertEquals([codes.length, levels], [1, ["warn"]]);
  const event = { kind: ROTATED, id: "instance-1", requestId: request.id };
  assertEquals(details[0]!.event, event);
  assert(details[0]!.request instanceof Request);
  await known.expect("400 ERR_UNKNOWN_KIND", payload("Unheard"));
  assertEquals(known.codes, ["ERR_UNKNOWN_INSTANCE", "ERR_UNKNOWN_KIND"]);
  assertEquals(known.details[1]!.event, undefined);
});

Deno.test("3,000 requests of strangers: no call of onError, each counted at debug", async () => {
  const receiver = await Receiver.create({ maxBodyBytes: 5_000, timeoutMs: 60_000 });
  const forger = await createSigner("serial-1");
  const body = encode(payload(ADDED));
  const forged = await forger.headers(body);
  for (let round = 0; round < 500; round++) {
    await receiver.send(body, {});
    await receiver.send(body, forged);
    await receiver.send(body, { ...forged, [SERIAL]: "made-up" });
    await receiver.send(new Uint8Array(5_001), WELL_FORMED);
    await receiver.send(null, {}, { method: "GET" });
    await receiver.send("{", WELL_FORMED);
  }
  assertEquals([receiver.errors, receiver.storage.callCount], [[], 0]);
  assertEquals(new Set(receiver.levels), new Set(["debug"]));
  assertStringIncludes(receiver.log.at(-1)!, "unverified so far: 3000");
});

Deno.test("3,000 deliveries that mittwald signed for another extension: one report in ten minutes", async () => {
  const receiver = await Receiver.create();
  const meta = { extensionId: "extension-2", contributorId: "contributor-1" };
  const WRONG = "403 ERR_WRONG_EXTENSION";
  // One repeated delivery, and many different ones.
  const one = encode(payload(ADDED, { meta, id: "of-another" }));
  for (let round = 0; round < 1_500; round++) {
    await receiver.expect(WRONG, one);
    await receiver.expect(WRONG, payload(ROTATED, { meta, id: `of-another-${round}` }));
  }
  assertEquals([receiver.codes, receiver.storage.callCount], [["ERR_WRONG_EXTENSION"], 0]);
  assertEquals(receiver.levels.filter((level) => level !== "debug"), ["warn"]);
  // Nothing about another extension's instance is reported.
  assertEquals(receiver.details.map(({ event }) => event), [undefined]);
  assert(!receiver.said.includes("of-another"));
  await ahead(11 * 60_000, () => receiver.expect(WRONG, one));
  assertEquals(receiver.errors.length, 2);
});

Deno.test("3,000 replays: one report in ten minutes per kind of refusal, and one per genuine failure", async (t) => {
  const stale = Object.assign(new Error(), { code: "ERR_STALE_EVENT" });
  const none = Object.assign(new Error(), { code: "ERR_UNKNOWN_INSTANCE" });
  const storage = new MemoryStorage();
  await storage.upsertExtension({
    extensionInstanceId: "instance-1",
    contextId: "p-1",
    consentedScopes: [],
    secret: SECRET,
  });
  type Case = [string, Partial<WebhookHandlerOptions>, (turn: number) => Payload, string?];
  const sameTime = requestOf(ago(61_000));
  const cases: Record<string, Case> = {
    "stale ones of many instances": [
      "409 ERR_STALE_EVENT",
      { storage: storageThat(fail(stale)) },
      (turn) => payload(ROTATED, { id: `instance-${turn % 50}`, ...sameTime }),
    ],
    "old ones": [
      "401 ERR_DELIVERY_TOO_OLD",
      { maxAgeMs: 60_000 },
      (turn) => payload(ROTATED, { id: `instance-${turn % 50}`, ...sameTime }),
    ],
    "with a dry run's query, for a stored instance": [
      "409 ERR_NO_DRY_RUN",
      { storage },
      (turn) => payload(ROTATED, { ...sameTime, secret: `${turn % 50}` }),
      DRY_RUN_URL,
    ],
    "one, with a dry run's query": [
      "200 DRY_RUN",
      {},
      () => payload(ROTATED, sameTime),
      DRY_RUN_URL,
    ],
    "one of an unknown instance": [
      "404 ERR_UNKNOWN_INSTANCE",
      { storage: storageThat(fail(none)) },
      () => payload(ROTATED, sameTime),
    ],
    "one while the storage is down": [
      STORAGE_FAILED,
      { storage: storageThat(fail(new Error("connection refused"))) },
      () => payload(ROTATED, sameTime),
    ],
    "one of an unknown kind": [
      "400 ERR_UNKNOWN_KIND",
      {},
      () => payload("Unheard", sameTime),
    ],
  };
  await eachRow(t, cases, async ([expected, options, body, url]) => {
    const receiver = await Receiver.create(options);
    for (let turn = 0; turn < 400; turn++) await receiver.expect(expected, body(turn), { url });
    assertEquals(receiver.levels.filter((level) => level !== "debug").length, 1);
    assertEquals(receiver.errors.length, expected === "200 DRY_RUN" ? 0 : 1);
    await ahead(11 * 60_000, () => receiver.expect(expected, body(0), { url }));
    assertEquals(receiver.levels.filter((level) => level !== "debug").length, 2);
  });
  const receiver = await Receiver.create({ storage: storageThat(fail(new Error("down"))) });
  for (let id = 0; id < 20; id++) {
    await receiver.expect(STORAGE_FAILED, payload(ROTATED, { id: `${id}` }));
  }
  assertEquals(receiver.errors.length, 20);
});

Deno.test("if no delivery can be verified for 5 minutes, that is reported once", async (t) => {
  const genuine = encode(payload(ADDED));
  const busy = { getPublicKey: fail(new BusyError("of the test")) };
  const unknown = { getPublicKey: fail(new UnknownPublicKeyError()) };
  const wrong = { getPublicKey: () => encodeBase64(new Uint8Array(32).fill(7)) };
  const [algorithm, serial] = ["X-Marketplace-Signature-Algorithm", SERIAL];
  const rows: Record<string, [Partial<WebhookHandlerOptions>, Record<string, string>]> = {
    "an API without the serials": [{ publicKeys: unknown }, {}],
    "a wrong key": [{ publicKeys: wrong }, {}],
    "a provider that is always busy": [{ publicKeys: busy }, {}],
    "a new algorithm": [{}, { [algorithm]: "Ed448" }],
    "changed headers": [{}, { [serial]: "" }],
  };
  await eachRow(t, rows, async ([options, changed]) => {
    const receiver = await Receiver.create(options);
    const send = async (minutes: number) => {
      const headers = { ...await receiver.signer.headers(genuine), ...changed };
      const { status } = await ahead(minutes * 60_000, () => receiver.send(genuine, headers));
      assert(status >= 400);
      return receiver.errors.length;
    };
    // As often as mStudio retries, for an hour.
    const counts = [];
    for (const minutes of [0, 0.1, 0.5, 1, 2, 4.9, 5.1, 9, 16, 30, 60]) {
      counts.push(await send(minutes));
    }
    assertEquals(counts, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    assertEquals([receiver.codes, receiver.details], [["ERR_SIGNATURE_INVALID"], [{}]]);
    assertStringIncludes(receiver.errors[0]!.message, "none of 7 deliveries could be verified");
    assertStringIncludes(receiver.log.join("\n"), receiver.errors[0]!.message);
  });
});

Deno.test("strangers beside genuine deliveries cause no report, strangers alone one until the next genuine one", async () => {
  const receiver = await Receiver.create();
  let minutes = 0;
  const at = (after: number, step: () => Promise<unknown>) =>
    ahead((minutes += after) * 60_000, step);
  const forge = () => receiver.expectSent("401 ERR_SIGNATURE_INVALID", "{}", WELL_FORMED);
  for (let round = 0; round < 50; round++) {
    await at(1, forge);
    await at(1, () => receiver.send("{}", {}));
    if (round % 2 === 1) await at(0, () => receiver.expect("200 STORED", payload(ADDED)));
  }
  assertEquals(receiver.errors, []);
  for (let round = 0; round < 500; round++) await at(1, forge);
  assertEquals(receiver.codes, ["ERR_SIGNATURE_INVALID"]);
  await at(0, () => receiver.expect("200 STORED", payload(ADDED)));
  for (let round = 0; round < 50; round++) await at(1, forge);
  assertEquals(receiver.errors.length, 2);
  // Requests without a signature do not count, however many.
  const scanned = await Receiver.create();
  for (let round = 0; round < 50; round++) {
    await ahead(round * 60_000, () => scanned.send("{}", {}));
  }
  assertEquals(scanned.errors, []);
});

Deno.test("a handler whose storage keeps no order warns once, when it is created", async () => {
  const unordered = { ...storageThat(() => {}), ordersEvents: false };
  const receiver = await Receiver.create({ storage: unordered });
  assertEquals([receiver.levels, receiver.errors], [["warn"], []]);
  assertStringIncludes(receiver.log[0]!, "lastEvents");
  // As on Cloudflare Workers, where each request creates a handler.
  for (let request = 0; request < 5; request++) createWebhookHandler(receiver.options);
  assertEquals(receiver.levels, ["warn"]);
  for (const ordersEvents of [true, undefined]) {
    const storage = { ...storageThat(() => {}), ordersEvents };
    assertEquals((await Receiver.create({ storage })).levels, []);
  }
});

/** A receiver whose public keys can be made unavailable. */
async function receiverDuring(outage: { down: boolean }): Promise<Receiver> {
  const receiver: Receiver = await Receiver.create({
    publicKeys: {
      getPublicKey() {
        if (outage.down) throw new PublicKeyUnavailableError("the endpoint answered with 500");
        return receiver.signer.publicKey;
      },
    },
  });
  return receiver;
}

Deno.test("an outage of the public keys is reported once, and the next one again", async () => {
  const outage = { down: true };
  const receiver = await receiverDuring(outage);
  for (let attempt = 0; attempt < 5; attempt++) await receiver.expect(NO_KEY, payload(ADDED));
  assertEquals(receiver.codes, ["ERR_PUBLIC_KEY_UNAVAILABLE"]);
  assertEquals(receiver.levels, ["error", "debug", "debug", "debug", "debug"]);
  outage.down = false;
  await receiver.expect("200 STORED", payload(ADDED));
  outage.down = true;
  await receiver.expect(NO_KEY, payload(ADDED));
  assertEquals(receiver.errors.length, 2);
});

Deno.test("an outage that a stranger met first: the next one is reported, and again while it lasts", async () => {
  const outage = { down: true };
  const receiver = await receiverDuring(outage);
  await receiver.expectSent(NO_KEY, "{}", { ...WELL_FORMED, [SERIAL]: "made-up" });
  outage.down = false;
  await receiver.expect("200 STORED", payload(ADDED));
  outage.down = true;
  const errorsAfter = async (minutes: number) => {
    const headers = { ...WELL_FORMED, [SERIAL]: "made-up" };
    await ahead(minutes * 60_000, () => receiver.expectSent(NO_KEY, "{}", headers));
    return receiver.errors.length;
  };
  // Strangers neither end the outage nor suppress its reports. Nothing that they send is passed on.
  const counts = [];
  for (const minutes of [0, 9, 11, 20, 22]) counts.push(await errorsAfter(minutes));
  assertEquals(counts, [2, 2, 3, 3, 4]);
  assertEquals(receiver.details, [{}, {}, {}, {}]);
});

Deno.test("an outage is reported once, even if each request creates a handler", async () => {
  const publicKeys = { getPublicKey: fail(new PublicKeyUnavailableError("of the test")) };
  const receiver = await Receiver.create({ publicKeys });
  for (let attempt = 0; attempt < 5; attempt++) {
    const handle = createWebhookHandler(receiver.options);
    const init = { method: "POST", headers: WELL_FORMED, body: "{}" };
    assertEquals((await handle(new Request(URL_OF_WEBHOOK, init))).status, 502);
  }
  assertEquals(receiver.codes, ["ERR_PUBLIC_KEY_UNAVAILABLE"]);
  assertStringIncludes(receiver.log.at(-1)!, "unverified so far: 5");
  // Another extension has its own operator.
  const other = createWebhookHandler({ ...receiver.options, extensionId: "extension-2" });
  await other(new Request(URL_OF_WEBHOOK, { method: "POST", headers: WELL_FORMED, body: "{}" }));
  assertEquals(receiver.errors.length, 2);
});

Deno.test("too many serials are logged once, and not reported", async () => {
  const publicKeys = { getPublicKey: fail(new BusyError("of the test")) };
  const receiver = await Receiver.create({ publicKeys });
  for (let attempt = 0; attempt < 3; attempt++) {
    await receiver.expect("503 ERR_BUSY", payload(ROTATED));
  }
  assertEquals([receiver.errors, receiver.levels], [[], ["error", "debug", "debug"]]);
});

Deno.test("a logger without warn gets warnings at info", async () => {
  const lines: string[] = [];
  const logger = { info: (line: string) => void lines.push(line), debug() {}, error() {} };
  const receiver = await Receiver.create({ logger });
  await receiver.expect("200 DRY_RUN", payload(ROTATED), { url: DRY_RUN_URL });
  assertStringIncludes(lines[0]!, "DRY_RUN");
});
